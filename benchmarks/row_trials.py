"""What a row left in its Optuna database."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import optuna
from optuna.trial import TrialState

from benchmarks.measure import BenchmarkError

Key = tuple[str, float, float]  # Optuna study, alpha, lambda: one cell


@dataclass(frozen=True)
class Trials:
    """What a row left in its database."""

    errors: dict[Key, float]  # final test error of each cell, percent
    losses: dict[Key, float]  # mean train loss of its last epoch; infinite where it diverged
    first_start: float  # seconds since 1970: the first cell begins
    last_end: float  # the last result is recorded
    parts: dict[str, float] = field(default_factory=dict)  # seconds of start-up, where told apart


def read_trials(database: Path) -> Trials:
    """Every trial of every Optuna study in the database.

    Raises:
        BenchmarkError: a cell is unfinished, or was trained twice.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
    errors: dict[Key, float] = {}
    losses: dict[Key, float] = {}
    starts, ends = [], []
    for name in optuna.get_all_study_names(storage):
        for trial in optuna.load_study(study_name=name, storage=storage).trials:
            key = (name, trial.params.get("alpha", 0.0), trial.params.get("lambda", 0.0))
            if trial.state != TrialState.COMPLETE or trial.value is None:
                raise BenchmarkError(f"{database}: cell {key} is {trial.state.name}")
            if key in errors:
                raise BenchmarkError(f"{database}: cell {key} was trained twice")
            errors[key], losses[key] = trial.value, finite(trial.user_attrs.get("train_loss"))
            if trial.datetime_start is not None and trial.datetime_complete is not None:
                starts.append(_timestamp(trial.datetime_start))
                ends.append(_timestamp(trial.datetime_complete))
    storage.engine.dispose()
    return Trials(errors, losses, min(starts), max(ends))


def _timestamp(utc: datetime) -> float:
    return utc.replace(tzinfo=UTC).timestamp()


def finite(loss: float | None) -> float:
    """The loss; infinite where there is none or it is no number."""
    return loss if loss is not None and math.isfinite(loss) else math.inf
