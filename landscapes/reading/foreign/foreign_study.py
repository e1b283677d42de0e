"""Sweeps as studies: panels, seeds and metric under names that a study can have."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.curve_counter import COUNTED, EPOCH
from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.file_results import PLACE, FileResults
from landscape_study.landscapes.reading.foreign.panel_grid import refined_grid
from landscape_study.landscapes.reading.foreign.sweep import Sweep, read_sweep
from landscape_study.landscapes.reading.foreign.tables.column_names import (
    TRAIN_LOSS,
    plain,
    training_loss,
)
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import LONGEST_NAME, TAKEN, Metric
from landscape_study.study.spec.study import IMPORTED, Panel, Study

LONGEST = 100  # characters of a name that a file gave
MOST_SEEDS = 1000  # more than these are no seeds that cells share


def read_foreign(
    files: Sequence[str], columns: Asked | None = None, name: str | None = None
) -> FileResults:
    """Read files as one study.

    Args:
        files: their panels are its panels.
        columns: which column is what, as far as it shall not be guessed.
        name: of the study; as the file calls it, or that of the first file, if None.

    Raises:
        UsageError: a file that cannot be read or understood, or files of several metrics.
    """
    sweep = read_sweep(files, columns)
    metric = _one_metric(sweep)
    names = panel_names([one.name for one in sweep.panels])
    frames = [_runs(one, names[one.name]) for one in sweep.panels]
    frame = pd.concat(frames, ignore_index=True)
    seeds = _Seeds(frame)
    frame = seeds.numbered(frame)
    study = Study.from_dict(
        {
            "name": name or _plain(sweep.study or Path(files[0]).stem, "sweep"),
            "task": IMPORTED,
            "seeds": sorted(set(frame["seed"].tolist())),
            "metric": _short(metric),
            "panels": [_panel(one, names[one.name]) for one in sweep.panels],
        },
        files[0],
    )
    return FileResults(
        spec=study,
        frame=frame,
        curve_frame=_curves(sweep, names, seeds),
        said=sweep.said,
        files=tuple(files),
        asked=columns or Asked(),
    )


def _one_metric(sweep: Sweep) -> Metric:
    metrics = list(dict.fromkeys(one.metric for one in sweep.panels))
    if len(metrics) > 1:
        raise UsageError(
            f"the files are of {' and '.join(metric.label for metric in metrics)}: look at one "
            "metric at a time, or name its column with --metric"
        )
    return metrics[0]


def _short(metric: Metric) -> Metric:
    """The metric under a name that databases, frames and cubes can have."""
    return replace(metric, name=column_name(metric.name))


def column_name(name: object) -> str:
    """A name for a measurement: "val/loss" is val_loss."""
    plain = re.sub(r"[^A-Za-z0-9_.]+", "_", str(name)).strip("_.") or "value_measured"
    if plain.startswith(COUNTED):
        plain = f"measured_{plain}"
    plain = f"{plain}_measured" if plain in TAKEN else plain
    return plain[-LONGEST_NAME:].lstrip("_.")


def panel_names(titles: Sequence[str]) -> dict[str, str]:
    """Names of panels by what the files call them: with plain characters, each another."""
    return _each_another(titles, lambda title: _plain(title, "panel"))


def _each_another(given: Sequence[str], plain: Callable[[str], str]) -> dict[str, str]:
    """A plain name for each of some, which no other has."""
    names: dict[str, str] = {}
    for one in given:
        base, number = plain(one), 2
        name = base
        while name in names.values():
            name, number = f"{base}-{number}", number + 1
        names[one] = name
    return names


def _plain(title: str, otherwise: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._+]+", "-", title).strip("-._+")
    return name[:LONGEST].rstrip("-._+") or otherwise


def _panel(one: PanelData, name: str) -> Panel:
    return Panel(name=name, design="imported", pair=one.name, grid=refined_grid(one.cells))


def _runs(one: PanelData, name: str) -> pd.DataFrame:
    """The runs of a panel; their α and λ are those of its grid."""
    cells = one.cells
    state = cells["state"].mask(cells["clipped"], "pruned")
    return pd.DataFrame(
        {
            "panel": name,
            "seed": cells["seed"],
            "alpha": cells["alpha"].astype(float),
            "lambda": cells["lambda"].astype(float),
            "state": state,
            "value": cells[one.metric.name].astype(float),
            "diverged": cells["diverged"].astype(bool),
        }
    )


class _Seeds:
    """Numbers of seeds: those of the file where these are numbers that cells share.

    Else the runs of a cell are counted from 0.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        named = list(dict.fromkeys(frame["seed"]))
        self.of: dict[str, int] | None = None
        if len(named) <= MOST_SEEDS:
            whole = all(name.isdecimal() and int(name) < 2**32 for name in named)
            self.of = {name: int(name) if whole else i for i, name in enumerate(named)}
            if len(set(self.of.values())) < len(named):  # "1" and "01"
                self.of = {name: i for i, name in enumerate(named)}
        self.frame = frame

    @cached_property
    def places(self) -> pd.Series:
        """The number of each run within its cell, by panel, α, λ and the file's seed."""
        number = self.frame.groupby(["panel", "alpha", "lambda"]).cumcount()
        counted = self.frame.assign(number=number)
        return counted.set_index(["panel", "alpha", "lambda", "seed"])["number"]

    def numbered(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with numbers for seeds."""
        if self.of is not None:
            return frame.assign(seed=frame["seed"].map(self.of).astype(np.int64))
        where = pd.MultiIndex.from_frame(frame[["panel", "alpha", "lambda", "seed"]])
        return frame.assign(seed=self.places.loc[where].to_numpy(dtype=np.int64))


def _curves(sweep: Sweep, names: dict[str, str], seeds: _Seeds) -> pd.DataFrame:
    """The curves of the sweep under the study's names."""
    curves = sweep.curves
    if curves.empty:
        return curves
    measured = [str(column) for column in curves if column not in (*PLACE, "epoch")]
    own = _each_another(measured, column_name)
    training = training_loss(own.values(), column_name(sweep.panels[0].metric.name))
    own = {column: TRAIN_LOSS if name == training else name for column, name in own.items()}
    curves = curves.rename(columns=own)
    curves = curves.sort_values([*PLACE, "epoch"], kind="stable", ignore_index=True)
    curves = _counted(curves, _counter_name(sweep.counted, own.values()))
    return seeds.numbered(curves.assign(panel=curves["panel"].map(names)))


def _counter_name(called: str, measured: Collection[str]) -> str:
    """What the file counts, under a name that no other column of curves has."""
    name = EPOCH if plain(called) in ("epoch", "epochs") else column_name(called)
    return f"{name}_counted" if name in measured or name in PLACE else name


def _counted(curves: pd.DataFrame, name: str) -> pd.DataFrame:
    """Curves whose epochs are counted from 1; what the file counted otherwise is one more."""
    count = curves.groupby(list(PLACE)).cumcount() + 1
    if name == EPOCH and (curves["epoch"] == count).all():
        return curves
    return curves.assign(**{f"{COUNTED}{name}": curves["epoch"].astype(float)}, epoch=count)
