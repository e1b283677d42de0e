"""Trials of KerasTuner: a folder a trial, with its hyperparameters and metrics in trial.json."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from landscape_study.landscapes.reading.foreign.tables.foreign_table import Column, Table, Value
from landscape_study.landscapes.reading.foreign.tables.nested_cells import flat
from landscape_study.landscapes.reading.foreign.tables.settings_files import load_settings
from landscape_study.landscapes.reading.foreign.tables.table_builder import TableBuilder
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable

TRIAL = "trial.json"
GOALS = {"min": "minimize", "max": "maximize"}


def is_keras_trial(folder: Path) -> bool:
    """Whether a folder is that of a trial."""
    return (folder / TRIAL).is_file()


def read_keras_trial(folder: Path) -> Table:
    """A row a step at which metrics were observed; of held-out ones the direction that it says.

    Where a trial was executed several times, its metrics are means over that, as KerasTuner's own.

    Raises:
        UsageError: the file holds something else.
    """
    path = folder / TRIAL
    trial = load_settings(path)
    try:
        settings = flat(trial["hyperparameters"]["values"], "hyperparameters.")
        metrics: dict[str, Any] = trial["metrics"]["metrics"]
        steps: dict[int, dict[str, Value]] = {}
        for name, step, value in _observed(metrics):
            steps.setdefault(step, {})[name] = value
        goals = {name: GOALS.get(one["direction"]) for name, one in metrics.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        what = printable(f"{type(e).__name__}: {e}")
        raise UsageError(
            f"{path}: is no trial of KerasTuner ({what}): copy it again, or leave it out"
        ) from e
    shared = {"trial_id": str(trial.get("trial_id", folder.name)), **settings}
    shared["status"] = str(trial.get("status", ""))
    builder = TableBuilder(f"{path}, step")
    rows = steps or {0: {}}
    builder.add_records((step, shared | {"step": step} | rows[step]) for step in sorted(rows))
    table = builder.table(folder)
    held_out = [name for name in goals if name.startswith("val_")]
    said = {name: Column.of([goals[name]] * table.size) for name in held_out or goals}
    return replace(table, goals=said)


def _observed(metrics: dict[str, Any]) -> Iterator[tuple[str, int, float]]:
    """Each metric at each step."""
    for name, one in metrics.items():
        for observed in one["observations"]:
            yield name, int(observed["step"]), fmean(map(float, observed["value"]))
