"""Landscapes that others published, to hold one's own against.

`fig2.csv` is Figure 2 of Loshchilov & Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019):
test error in percent of a 26 2x64d ResNet with Shake-Shake on CIFAR-10 after 100 epochs, cosine
annealing. The numbers were read off the colours of the published figure: about ±0.1 points, less
sure in the column λ = 0 and under the rims of circles; they end where the colour bar ends, at 7.

It imports the reading room. Figures and reporting import its panels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from landscape_study.landscapes.reading.landscape import Landscape, landscape
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.registry import PAIRS
from landscape_study.study.spec.grid import Axis, Grid
from landscape_study.study.spec.study import Panel

FOLDER = Path(__file__).parent
REFERENCES = {"fig2": "Figure 2 of the paper: CIFAR-10, 26 2x64d ResNet, 100 epochs, cosine"}
COLOUR_BAR_END = 7.0  # percent; errors beyond it show as this
ALPHA_BASE = {"sgd": 1.0, "adam": 0.1}  # by update rule, as the paper writes the axis
LAMBDA_BASE = 0.001


def reference_frame(name: str) -> pd.DataFrame:
    """The cells of a published figure as a landscape frame, one row per panel, α and λ.

    Columns: study, panel, pair, seed, alpha, lambda, state, test_error (percent), diverged,
    clipped (the true error is at least this), circled (one of the ten that the figure circles).

    Raises:
        UsageError: there is no such reference.
    """
    if name not in REFERENCES:
        raise UsageError(f"unknown reference '{name}': choose one of {', '.join(REFERENCES)}")
    frame = pd.read_csv(FOLDER / f"{name}.csv")
    return frame.assign(
        study=f"paper-{name}",
        seed=0,
        state="finished",
        diverged=False,
        panel=frame["pair"],
        clipped=frame["test_error"] >= COLOUR_BAR_END,
        circled=frame["circled"] == 1,
    )


def reference_landscapes(name: str, pairs: Sequence[str] = ()) -> list[Landscape]:
    """The landscapes of a published figure, in its order; of the named pairs only, if any are.

    Errors beyond the end of the figure's colours are infinite: only that much is known.

    Raises:
        UsageError: there is no such reference.
    """
    cells = reference_frame(name)
    cells["test_error"] = cells["test_error"].mask(cells["clipped"], float("inf"))
    own = [pair for pair in dict.fromkeys(cells["pair"]) if not pairs or pair in pairs]
    drawn = [landscape(cells, _panel(cells[cells["pair"] == pair], pair)) for pair in own]
    return [replace(one, title=f"{one.title}, paper", panel="") for one in drawn]


def reference_panels(name: str, pairs: Sequence[str] = ()) -> list[PanelData]:
    """The panels of a published figure; those of the named pairs only, if any are.

    Raises:
        UsageError: there is no such reference, or it has none of these pairs.
    """
    cells = reference_frame(name)
    if pairs and not any(pairs):
        raise UsageError(
            f"reference '{name}' is of pairs of this tool, and which these are is not known of "
            "what was trained elsewhere: leave out --reference"
        )
    found = [
        PanelData(f"{name}/{one.pair}", one, cells[cells["pair"] == one.pair])
        for one in reference_landscapes(name, pairs)
    ]
    if not found:
        known = ", ".join(dict.fromkeys(cells["pair"]))
        raise UsageError(f"reference '{name}' has no panel of {', '.join(pairs)}: it has {known}")
    return found


def circled_cells(name: str, pair: str) -> list[tuple[float, float]]:
    """The (α, λ) that the figure circles for this pair; none if it has no such panel."""
    cells = reference_frame(name)
    marked = cells[(cells["pair"] == pair) & cells["circled"]]
    return list(zip(marked["alpha"], marked["lambda"], strict=True))


def _panel(cells: pd.DataFrame, pair: str) -> Panel:
    grid = Grid(
        alpha=Axis(values=tuple(set(cells["alpha"])), base=ALPHA_BASE[PAIRS[pair].rule]),
        lambda_=Axis(values=tuple(set(cells["lambda"])), base=LAMBDA_BASE),
    )
    return Panel(name=pair, pair=pair, epochs=100, grid=grid)
