"""Kinds of figures of a study, and what each shows."""

from __future__ import annotations

from typing import Literal

Over = Literal["lambda", "timescale"]  # what the axis of heatmaps to the right is
FigureKind = Literal[
    "heatmaps", "slices", "generalization", "anytime", "schedule", "mechanism", "law"
]

FIGURE_KINDS: dict[FigureKind, str] = {  # {metric} is what is measured: "error", "accuracy"
    "heatmaps": "{metric} over α × λ, with the best cells circled.",
    "slices": "{metric} against λ, a line for each α.",
    "generalization": "training loss and {metric} by epoch, and final {metric} against λ and "
    "against training loss.",
    "anytime": "the best cell of each panel by epoch; markers are the ends of cycles or runs.",
    "schedule": "the multiplier η by epoch.",
    "mechanism": "norms of weights, gradients and steps over α × λ, with the best cells circled.",
    "law": "the best α, λ and α·λ over batch sizes or budgets, with power laws of ours and of "
    "others.",
}
OF_PANELS: tuple[FigureKind, ...] = ("heatmaps", "slices")  # what reports show of each panel
OVER_GRIDS: tuple[FigureKind, ...] = ("heatmaps", "slices", "mechanism", "law")  # of α × λ
