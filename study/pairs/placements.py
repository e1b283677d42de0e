"""Placements: where λ enters an update, and what multiplies it there.

With θ_old = θ_{t-1}, g the gradient there, α the learning rate and η_t the schedule multiplier:

    l2         g ← g + λ·θ_old before the moments;  decay = 0
    decoupled  decay = η_t·λ·θ_old           λ is never multiplied by α (the paper's rule)
    scaled     decay = η_t·α·λ·θ_old         the convention of torch.optim.AdamW

Adding a placement is adding a row; every rule gets it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

PlacementName = Literal["l2", "decoupled", "scaled"]


@dataclass(frozen=True)
class Placement:
    """Where λ·θ goes.

    Attributes:
        about: what happens, in a phrase.
        in_gradient: whether it joins the gradient; else θ loses it.
        multiplied: λ [K, 1 or P], or a number, as it stands before θ, of η and of η·α [K, 1].
    """

    about: str
    in_gradient: bool
    multiplied: Callable[[Any, float, Any], Any]


PLACEMENTS: dict[PlacementName, Placement] = {
    "l2": Placement(
        "λ·θ joins the gradient",
        in_gradient=True,
        multiplied=lambda lambda_, eta, rate: lambda_,
    ),
    "decoupled": Placement(
        "θ decays by η·λ·θ, never multiplied by α",
        in_gradient=False,
        multiplied=lambda lambda_, eta, rate: lambda_ * eta,
    ),
    "scaled": Placement(
        "θ decays by η·α·λ·θ, as torch.optim.AdamW",
        in_gradient=False,
        multiplied=lambda lambda_, eta, rate: lambda_ * rate,
    ),
}
