"""Optuna's databases: a row a trial, and intermediate values as curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import pandas as pd

from landscape_study.landscapes.reading.foreign.tables.column_names import (
    is_called_otherwise,
    is_metric_name,
    is_seed_name,
)
from landscape_study.landscapes.reading.foreign.tables.foreign_table import (
    Column,
    Goal,
    Table,
    Value,
)
from landscape_study.landscapes.reading.foreign.tables.nested_cells import flat
from landscape_study.landscapes.reading.foreign.tables.table_builder import TableBuilder
from landscape_study.study.store.foreign_trials import (
    ForeignStudy,
    ForeignTrial,
    foreign_studies,
)

OWN = ("study_name", "number", "metric_name", "state")  # columns of every trial
PARAMETER, ATTRIBUTE = "params_", "user_attrs_"  # before names, in `trials_dataframe`


def read_optuna(store: str) -> Table:
    """The trials of all studies in a database, with columns as of `trials_dataframe`.

    But a parameter has its own name, `lr` for params_lr, unless another column is called so.

    Raises:
        StoreError, UsageError: see `foreign_studies`; no study has a trial.
    """
    name, studies = foreign_studies(store)
    trials = [(study, trial) for study in studies for trial in study.trials]
    builder = TableBuilder(f"{name}, trial")
    names = _setting_names(trials)
    builder.add_records((trial.number, _row(study, trial, names)) for study, trial in trials)
    table = builder.table(name)
    return replace(
        table, goals=_goals(trials), steps=_steps([trial for _, trial in trials]), counted="step"
    )


def _setting_names(trials: Sequence[tuple[ForeignStudy, ForeignTrial]]) -> dict[str, str]:
    """The column of each parameter: its own name, but as Optuna calls it where that is taken."""
    known = dict.fromkeys(name for _, trial in trials for name in trial.settings)
    attributes = {f"{ATTRIBUTE}{name}" for _, trial in trials for name in trial.attributes}
    taken = {*OWN, *attributes, *(name for study, _ in trials for name in _columns(study))}
    free = {name for name in known if name not in taken and not _reads_otherwise(name)}
    return {name: name if name in free else f"{PARAMETER}{name}" for name in known}


def _reads_otherwise(name: str) -> bool:
    """Whether a name without `params_` would be no parameter's: a metric's, a seed's, an id's."""
    return is_metric_name(name) or is_seed_name(name) or is_called_otherwise(name)


def _row(study: ForeignStudy, trial: ForeignTrial, settings: dict[str, str]) -> dict[str, Value]:
    names = _columns(study)
    shown = {"metric_name": study.metrics[0]} if len(names) == 1 and study.metrics else {}
    return flat(
        {
            "study_name": study.name,
            "number": trial.number,
            **{names[i]: value for i, value in trial.values.items() if i < len(names)},
            **shown,
            **{settings[name]: value for name, value in trial.settings.items()},
            **{f"{ATTRIBUTE}{name}": value for name, value in trial.attributes.items()},
            "state": trial.state,
        }
    )


def _columns(study: ForeignStudy) -> list[str]:
    """The column of each objective, as `trials_dataframe` calls it."""
    if len(study.goals) == 1:
        return ["value"]
    named = study.metrics if len(set(study.metrics)) == len(study.goals) else ()
    return [f"values_{one}" for one in named or range(len(study.goals))]


def _goals(trials: Sequence[tuple[ForeignStudy, ForeignTrial]]) -> dict[str, Column]:
    """For each objective which way is better, by trial; nothing where a study has it not."""
    said = [dict(zip(_columns(study), study.goals, strict=True)) for study, _ in trials]
    names = dict.fromkeys(name for one in said for name in one)
    return {
        name: Column.of([one[name] if one.get(name) in get_args(Goal) else None for one in said])
        for name in names
    }


def _steps(trials: Sequence[ForeignTrial]) -> pd.DataFrame | None:
    """The intermediate values as curves; None without any."""
    steps = [
        (row, step, value)
        for row, trial in enumerate(trials)
        for step, value in sorted(trial.steps.items())
        if isinstance(value, int | float)
    ]
    return pd.DataFrame(steps, columns=["row", "epoch", "value"]) if steps else None
