"""Placements: where λ enters an update.

With θ_old = θ_{t-1}, g the gradient there, α the learning rate and η_t the schedule multiplier:

    l2         g ← g + λ·θ_old before the moments;  decay = 0
    decoupled  decay = η_t·λ·θ_old           λ is never multiplied by α (the paper's rule)
    scaled     decay = η_t·α·λ·θ_old         the convention of torch.optim.AdamW
"""

from __future__ import annotations

from typing import Literal

Placement = Literal["l2", "decoupled", "scaled"]

PLACEMENTS: dict[Placement, str] = {
    "l2": "λ·θ joins the gradient",
    "decoupled": "θ decays by η·λ·θ, never multiplied by α",
    "scaled": "θ decays by η·α·λ·θ, as torch.optim.AdamW",
}
