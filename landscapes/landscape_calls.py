"""Landscapes in one call, from Python: what `landscape plot`, `report`, `compare` and others do.

Each function takes a database as a `Store`, its URL or its path, and the name of a study in it.
What it may raise is a `study.errors.LandscapeError`, whose message says what to do. The examples
show the study `mine`:

>>> from landscape_study import study
>>> grid = {"pairs": ["adamw"], "alpha": [0.01, 0.02, 0.04], "lambda_": [0, 0.001, 0.002, 0.004]}
>>> mine = study.run(name="mine", store="mine.db", quiet=True, seeds=1, epochs=1, **grid)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from landscape_study.landscapes.extending import go_beyond_borders, sides_to_extend
from landscape_study.landscapes.figures.study_figure import study_figure
from landscape_study.landscapes.reading.frames import cells_frame, curves_frame
from landscape_study.landscapes.reading.landscape import Landscape
from landscape_study.landscapes.reading.panels import study_landscapes, study_panels
from landscape_study.landscapes.reporting import page
from landscape_study.landscapes.reporting.verdict_frame import verdict_frame
from landscape_study.study import study_calls
from landscape_study.study.planning.request import resumed_study
from landscape_study.study.spec.extension import STEPS, Further, extended_study
from landscape_study.study.spec.figure_kinds import FigureKind
from landscape_study.study.spec.study import Study
from landscape_study.study.store import DEFAULT_URL, opened
from landscape_study.study.study_calls import Database


def load(store: Database, name: str, panels: Sequence[str] = ()) -> list[Landscape]:
    """The landscapes of a study's panels, in its order; of the named ones only, if any are.

    >>> [landscape.title for landscape in load("mine.db", "mine")]
    ['AdamW']
    """
    with opened(store) as there:
        return study_landscapes(there, name, panels)


def cells(store: Database, name: str) -> pd.DataFrame:
    """Every cell of a study, one row each; for the columns see `reading.frames.cells_frame`.

    >>> cells("mine.db", "mine")["state"].unique().tolist()
    ['finished']
    """
    with opened(store) as there:
        return cells_frame(there, name)


def curves(store: Database, name: str) -> pd.DataFrame:
    """The curves of all finished cells, one row per cell and epoch.

    >>> len(curves("mine.db", "mine"))
    12
    """
    with opened(store) as there:
        return curves_frame(there, name)


def plot(
    store: Database,
    name: str,
    panels: Sequence[str] = (),
    *,
    kind: FigureKind | None = None,
    **options: Any,
) -> Figure:
    """The figure of a study, finished or not; options as of `figures.study_figure.study_figure`.

    >>> plot("mine.db", "mine", kind="slices").savefig("slices.png")
    """
    with opened(store) as there:
        return study_figure(there, name, panels, kind=kind, **options)


def heatmaps(store: Database, name: str, panels: Sequence[str] = (), **options: Any) -> Figure:
    """The heatmaps of a study, with the best cells circled; options as of `plot`.

    >>> figure = heatmaps("mine.db", "mine", top=3)
    """
    return plot(store, name, panels, kind="heatmaps", **options)


def verdicts(store: Database, name: str, panels: Sequence[str] = ()) -> pd.DataFrame:
    """How coupled α and λ are in each panel, one row a panel.

    Columns: panel, verdict, reason, then of each statistic its value and the ends of its 95 %
    interval: tilt, tilt_low, tilt_high, drift, …, interaction, …, regret, …, worst_regret, …;
    best (percent), cells, seeds, noise (points).

    >>> verdicts("mine.db", "mine")["panel"].tolist()
    ['adamw']
    """
    with opened(store) as there:
        return verdict_frame(study_panels(there, name, panels))


def report(
    store: Database,
    name: str,
    path: Path | str | None = None,
    *,
    kind: page.Format = "html",
    panels: Sequence[str] = (),
) -> Path:
    """Write the report of a study, beside the database if no path is named; return its path.

    >>> report("mine.db", "mine", "mine.html").name
    'mine.html'
    """
    with opened(store) as there:
        target = there.folder / f"{name}.{kind}" if path is None else Path(path)
        return page.write_report(there, name, target, kind=kind, panels=panels)


def extend(
    name: str,
    *,
    store: Database = DEFAULT_URL,
    panels: Sequence[str] = (),
    sides: Sequence[str] = (),
    steps: int = STEPS,
    auto_extend: int = 0,
    task: str | None = None,
    quiet: bool = False,
    **more: Any,
) -> Study:
    """Extend the grids of a study beyond their border, and train the cells that are new.

    Args:
        panels: only these.
        sides: "alpha-low", …; where best cells lie on the border, if none is named.
        steps: how many values to add beyond each side.
        auto_extend: how often more, as long as best cells lie on a border.
        task: names the study's task again, if it is the user's own.
        quiet: whether to show no progress.
        **more: as of `study.run`.

    >>> grown = extend("mine", store="mine.db", sides=["alpha-high"], steps=1, quiet=True)
    >>> len(grown.panels[0].grid.alpha.values)
    4
    """

    def train(grown: Study, left: int = 0) -> None:
        study_calls.run(grown, store=there, quiet=quiet, **more)

    tell = study_calls.audience(quiet=quiet).tell
    with opened(store) as there:
        stored = resumed_study(there, name, task)
        if beyond := sides_to_extend(there, name, panels, sides):
            train(extended_study(stored, beyond, steps))
        further = Further(auto_extend, steps, panels, sides)
        go_beyond_borders(there, name, further, train, tell)
        return there.study(name)
