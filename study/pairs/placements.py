"""Placements: where λ enters an update, and what multiplies it there.

With θ_old = θ_{t-1}, g the gradient there, α the learning rate and η_t the schedule multiplier:

    l2           g ← g + λ·θ_old before the moments;  decay = 0
    decoupled    decay = η_t·λ·θ_old           λ is never multiplied by α (Loshchilov & Hutter,
                                               "Decoupled Weight Decay Regularization", ICLR 2019)
    scaled       decay = η_t·α·λ·θ_old         the convention of torch.optim.AdamW
    unscheduled  decay = λ·θ_old               by neither α nor η_t
    corrected    decay = η_t²·α·λ·θ_old        α·λ at the peak rate (Defazio, "Why Gradients
                                               Rapidly Increase Near the End of Training", 2025)
    squared      decay = η_t²·α²·λ·θ_old       by the square of the rate (arXiv 2512.08217)

Decay may be cautious: only where the update and θ_old do not have opposite signs, so that both
make θ smaller (Chen et al., "Cautious Weight Decay", arXiv 2510.12402). An update of 0, as where
η = 0, has no sign that is opposite. λ in the gradient cannot: the update is not known before.

Adding a placement is adding a row; every rule gets it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

PlacementName = Literal["l2", "decoupled", "scaled", "unscheduled", "corrected", "squared"]


@dataclass(frozen=True)
class Placement:
    """Where λ·θ goes.

    Attributes:
        title: how figures name it, behind the rule.
        about: what happens, in a phrase.
        in_gradient: whether it joins the gradient; else θ loses it.
        multiplied: λ [K, 1 or P], or a number, as it stands before θ, of η and of η·α [K, 1].
    """

    title: str
    about: str
    in_gradient: bool
    multiplied: Callable[[Any, Any, Any], Any]


PLACEMENTS: dict[PlacementName, Placement] = {
    "l2": Placement(
        "L2",
        "λ·θ joins the gradient",
        in_gradient=True,
        multiplied=lambda lambda_, eta, rate: lambda_,
    ),
    "decoupled": Placement(
        "λ decoupled",
        "θ decays by η·λ·θ, never multiplied by α",
        in_gradient=False,
        multiplied=lambda lambda_, eta, rate: lambda_ * eta,
    ),
    "scaled": Placement(
        "λ scaled by α",
        "θ decays by η·α·λ·θ, as torch.optim.AdamW",
        in_gradient=False,
        multiplied=lambda lambda_, eta, rate: lambda_ * rate,
    ),
    "unscheduled": Placement(
        "λ unscheduled",
        "θ decays by λ·θ, whatever α and η are",
        in_gradient=False,
        multiplied=lambda lambda_, eta, rate: lambda_,
    ),
    "corrected": Placement(
        "λ corrected",
        "θ decays by η²·α·λ·θ, as AdamC",
        in_gradient=False,
        multiplied=lambda lambda_, eta, rate: lambda_ * (rate * eta),
    ),
    "squared": Placement(
        "λ squared",
        "θ decays by η²·α²·λ·θ",
        in_gradient=False,
        multiplied=lambda lambda_, eta, rate: lambda_ * (rate * rate),
    ),
}
CAUTIOUS = "only where the update is not of the opposite sign"
