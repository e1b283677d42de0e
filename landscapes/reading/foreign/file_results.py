"""A sweep as a study: read off files, it is looked at like one of a database, or stored in one."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.study.errors import UsageError
from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Failure, PanelProgress, Store
from landscape_study.study.store.importing import import_study, imported_runs
from landscape_study.study.store.queries import PanelCell
from landscape_study.study.store.results import UNKNOWN_EPOCH

PLACE = ("panel", "seed", "alpha", "lambda")


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

    def words(self, name: str) -> tuple[str, ...]:
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
        lost, missing = self.spec.metric.sign * np.inf, self.frame["value"].isna()
        rows = self.frame.assign(
            value=self.frame["value"].mask(self.frame["diverged"] & missing, lost),
            diverged_epoch=np.where(self.frame["diverged"], UNKNOWN_EPOCH, 0),
            trial=np.arange(len(self.frame)),
            attempts=1,
        )
        return rows.drop(columns="diverged").to_dict("records")  # type: ignore[return-value]

    def curves(
        self, name: str, cells: Collection[PanelCell] | None = None
    ) -> list[dict[str, Any]]:
        """The curves of all runs that have some, whatever is wanted; one row a run and metric."""
        self.study(name)
        if self.curve_frame.empty:
            return []
        metrics = [c for c in self.curve_frame if c not in (*PLACE, "epoch")]
        rows = []
        for where, run in self.curve_frame.groupby(list(PLACE), sort=False):
            at = dict(zip(PLACE, where, strict=True))
            for metric in metrics:
                values = run[metric].to_numpy(dtype=np.float32)
                if not np.isnan(values).all():
                    rows.append({**at, "metric": metric, "values": values})
        return rows

    def mechanism(self, name: str) -> list[dict[str, Any]]:
        """Nothing: what happened inside, files do not say."""
        self.study(name)
        return []

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
            pruned=int((rows["state"] == "pruned").sum()),
        )

    def witnesses(self, name: str) -> list[Witness]:
        """None: what was trained elsewhere cannot be trained again here."""
        self.study(name)
        return []

    def failures(self, name: str) -> list[Failure]:
        """None that anybody could say more of than `progress` does."""
        self.study(name)
        return []

    def runs(self, name: str) -> list[dict[str, Any]]:
        """Where the results come from."""
        self.study(name)
        return [{"started": None, "ended": None, "provenance": self.provenance}]

    @property
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
    name = results.spec.name
    runs = imported_runs(results.cells(name), results.curves(name))
    import_study(store, results.spec, runs, results.provenance)
