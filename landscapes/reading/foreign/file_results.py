"""A sweep as a study: read off files, it is looked at like one of a database, or stored in one."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.foreign.column_roles import Asked
from landscape_study.landscapes.reading.foreign.sweep import Sweep, read_sweep
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.study.errors import UsageError
from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.grid import Grid
from landscape_study.study.spec.metric import LONGEST_NAME, Metric
from landscape_study.study.spec.study import IMPORTED, Panel, Study
from landscape_study.study.store import PanelProgress, Store
from landscape_study.study.store.importing import ImportedRun, import_study
from landscape_study.study.store.results import UNKNOWN_EPOCH
from landscape_study.study.store.seals import Place

LONGEST = 100  # characters of a name that a file gave
MOST_SEEDS = 1000  # more than these are no seeds that cells share
MEASURED = ("train_loss", "test_loss", "test_error", "top5_error")  # columns that metrics may have
TAKEN = {
    *("study", "panel", "pair", "schedule", "epochs", "normalized", "seed", "alpha", "lambda"),
    *("state", "diverged", "diverged_epoch", "clipped", "seconds", "trial", "attempts"),
    *("doubtful", "epoch", "value"),
}  # other columns of our frames


@dataclass(frozen=True, eq=False)
class FileResults:
    """Results that were trained elsewhere, as a study; read like those of a database.

    Attributes:
        spec: what they amount to.
        frame: a row a run: panel, seed, alpha, lambda, state, value (in the metric's unit; NaN
            where there is none), diverged.
        curve_frame: a row per run and epoch: panel, seed, alpha, lambda, epoch, and metrics.
        said: how the files were understood, a line each.
        files: they were read from.
        asked: what the user said of their columns.
    """

    spec: Study
    frame: pd.DataFrame
    curve_frame: pd.DataFrame
    said: tuple[str, ...]
    files: tuple[str, ...]
    asked: Asked

    @property
    def display_url(self) -> str:
        """The files."""
        return ", ".join(self.files)

    @property
    def words(self) -> tuple[str, ...]:
        """What names them on a command line: the files, and what was said of their columns."""
        return (*self.files, *self.asked.options)

    @property
    def folder(self) -> Path:
        """Where figures and reports go: into the working directory."""
        return Path()

    def study(self, name: str) -> Study:
        """The study.

        Raises:
            UsageError: it has another name.
        """
        if name != self.spec.name:
            raise UsageError(
                f"{self.display_url} holds no study '{name}', only '{self.spec.name}'"
            )
        return self.spec

    def cells(self, name: str) -> list[dict[str, Any]]:
        """Every run, one row each, as of `Store.cells`."""
        self.study(name)
        lost = self.spec.metric.sign * np.inf
        rows = self.frame.assign(
            value=self.frame["value"].mask(self.frame["diverged"], lost),
            diverged_epoch=np.where(self.frame["diverged"], UNKNOWN_EPOCH, 0),
            trial=np.arange(len(self.frame)),
            attempts=1,
        )
        return rows.drop(columns="diverged").to_dict("records")  # type: ignore[return-value]

    def curves(self, name: str) -> list[dict[str, Any]]:
        """The curves of all runs that have some, one row per run and metric."""
        self.study(name)
        if self.curve_frame.empty:
            return []
        place = ["panel", "seed", "alpha", "lambda"]
        metrics = [c for c in self.curve_frame if c not in (*place, "epoch")]
        rows = []
        for where, run in self.curve_frame.groupby(place, sort=False):
            at = dict(zip(place, where, strict=True))
            for metric in metrics:
                values = run[metric].to_numpy(dtype=np.float32)
                if not np.isnan(values).all():
                    rows.append({**at, "metric": metric, "values": values})
        return rows

    def progress(self, name: str) -> list[PanelProgress]:
        """How many runs each panel has, and what became of them."""
        return [self._progress(panel.name) for panel in self.study(name).panels]

    def _progress(self, panel: str) -> PanelProgress:
        rows = self.frame[self.frame["panel"] == panel]
        finished = rows[rows["state"] == "finished"]
        values = finished["value"][~finished["diverged"]]
        best = values.min() if self.spec.metric.sign > 0 else values.max()
        return PanelProgress(
            panel=panel,
            total=len(rows),
            finished=len(finished),
            diverged=int(finished["diverged"].sum()),
            failed=int((rows["state"] == "failed").sum()),
            running=0,
            best=None if values.empty else float(best),
            seconds=0.0,
        )

    def witnesses(self, name: str) -> list[Witness]:
        """None: what was trained elsewhere cannot be trained again here."""
        self.study(name)
        return []

    def runs(self, name: str) -> list[dict[str, Any]]:
        """Where the results come from."""
        self.study(name)
        return [{"started": None, "ended": None, "provenance": self.provenance}]

    @cached_property
    def provenance(self) -> dict[str, object]:
        """Where the results come from, and how they were understood."""
        return {"imported": list(self.files), "said": list(self.said)}

    def seed_noise(self, name: str) -> dict[str, float]:
        """Standard deviation of the value between seeds, by panel: median of the cells."""
        self.study(name)
        good = self.frame[(self.frame["state"] == "finished") & ~self.frame["diverged"]]
        spreads = good.groupby(["panel", "alpha", "lambda"])["value"].std().dropna()
        return {
            str(panel): statistics.median(some) for panel, some in spreads.groupby(level="panel")
        }


def store_results(results: FileResults, store: Store) -> None:
    """Store them as a study, whole or not at all.

    Raises:
        UsageError: the database holds a study of this name.
    """
    curves: dict[Place, dict[str, np.ndarray]] = {}
    for row in results.curves(results.spec.name):
        curves.setdefault(_place(row), {})[row["metric"]] = row["values"]
    runs = [
        ImportedRun(
            place=_place(row),
            state=row["state"],
            value=row["value"],
            diverged=row["diverged"],
            curves=curves.get(_place(row), {}),
        )
        for row in results.frame.to_dict("records")
    ]
    import_study(store, results.spec, runs, results.provenance)


def _place(row: Mapping[Any, Any]) -> Place:
    return row["panel"], row["seed"], row["alpha"], row["lambda"]


def read_results(
    files: Sequence[str], columns: Asked | None = None, name: str | None = None
) -> FileResults:
    """Read files as one study.

    Args:
        files: their panels are its panels.
        columns: which column is what, as far as it shall not be guessed.
        name: of the study; that of the first file if None.

    Raises:
        UsageError: a file that cannot be read or understood, or files of several metrics.
    """
    sweep = read_sweep(files, columns)
    metric = _one_metric(sweep)
    names = _names([one.name for one in sweep.panels])
    frames = [_runs(one, names[one.name]) for one in sweep.panels]
    frame = pd.concat(frames, ignore_index=True)
    seeds = _Seeds(frame)
    frame = seeds.numbered(frame)
    study = Study.from_dict(
        {
            "name": name or _plain(Path(files[0]).stem, "sweep"),
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
        curve_frame=_curves(sweep, names, seeds, metric),
        said=sweep.said,
        files=tuple(files),
        asked=columns or Asked(),
    )


def _one_metric(sweep: Sweep) -> Metric:
    metrics = list(dict.fromkeys(one.metric for one in sweep.panels))
    if len(metrics) > 1:
        raise UsageError(
            f"the files are of {' and '.join(metric.title for metric in metrics)}: look at one "
            "metric at a time, or name its column with --metric"
        )
    return metrics[0]


def _short(metric: Metric) -> Metric:
    """The metric under a name that databases and frames can have."""
    name = metric.name
    if name in TAKEN:
        name = f"{name}_measured"
    return replace(metric, name=name[-LONGEST_NAME:])


def _names(titles: Sequence[str]) -> dict[str, str]:
    """Names of panels by what the files call them: with plain characters, each another."""
    names: dict[str, str] = {}
    for title in titles:
        plain, number = _plain(title, "panel"), 2
        name = plain
        while name in names.values():
            name, number = f"{plain}-{number}", number + 1
        names[title] = name
    return names


def _plain(title: str, otherwise: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._+]+", "-", title).strip("-._+")
    return name[:LONGEST].rstrip("-._+") or otherwise


def _panel(one: PanelData, name: str) -> Panel:
    grid = Grid(alpha=one.landscape.alpha, lambda_=one.landscape.lambda_)
    return Panel(name=name, design="imported", pair=one.name, grid=grid)


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
        self.places = frame.assign(
            number=frame.groupby(["panel", "alpha", "lambda"]).cumcount()
        ).set_index(["panel", "alpha", "lambda", "seed"])["number"]

    def numbered(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with numbers for seeds."""
        if self.of is not None:
            return frame.assign(seed=frame["seed"].map(self.of).astype(np.int64))
        where = pd.MultiIndex.from_frame(frame[["panel", "alpha", "lambda", "seed"]])
        return frame.assign(seed=self.places.loc[where].to_numpy(dtype=np.int64))


def _curves(sweep: Sweep, names: dict[str, str], seeds: _Seeds, metric: Metric) -> pd.DataFrame:
    """The curves of the sweep under the study's names."""
    curves = sweep.curves.rename(columns={metric.name: _short(metric).name})
    if curves.empty:
        return curves
    return seeds.numbered(curves.assign(panel=curves["panel"].map(names)))
