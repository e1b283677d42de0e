"""Kinds of figures of a study, and what each shows."""

from __future__ import annotations

from typing import Literal

FigureKind = Literal["heatmaps", "slices", "generalization", "anytime", "schedule"]

FIGURE_KINDS: dict[FigureKind, str] = {
    "heatmaps": "Error over α × λ, with the best cells circled.",
    "slices": "Error against λ, a line for each α.",
    "generalization": "Training loss and error by epoch, and final error against λ and against "
    "training loss.",
    "anytime": "The best cell of each panel by epoch; markers are the ends of cycles or runs.",
    "schedule": "The multiplier η by epoch.",
}
OVER_GRIDS: tuple[FigureKind, ...] = ("heatmaps", "slices")  # figures of α × λ
