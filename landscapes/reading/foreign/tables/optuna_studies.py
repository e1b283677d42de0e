"""Optuna's databases: a row a trial, and intermediate values as curves."""

from __future__ import annotations

from typing import cast

import pandas as pd

from landscape_study.landscapes.reading.foreign.tables.foreign_table import Goal, Table, Value
from landscape_study.landscapes.reading.foreign.tables.nested_cells import flat
from landscape_study.landscapes.reading.foreign.tables.table_builder import TableBuilder
from landscape_study.study.store.foreign_trials import (
    ForeignStudy,
    ForeignTrial,
    foreign_studies,
)


def read_optuna(store: str) -> Table:
    """The trials of all studies in a database, with columns as of `trials_dataframe`.

    Raises:
        StoreError, UsageError: see `foreign_studies`; no study has a trial.
    """
    name, studies = foreign_studies(store)
    studies = [study for study in studies if study.trials]
    goals = {goal for study in studies for goal in study.goals}
    builder = TableBuilder(f"{name}, trial")
    trials = [(study, trial) for study in studies for trial in study.trials]
    builder.add_records((trial.number, _row(study, trial)) for study, trial in trials)
    table = builder.table(name)
    goal = cast("Goal", goals.pop()) if len(goals) == 1 else None
    steps = [
        (row, step, value)
        for row, (_, trial) in enumerate(trials)
        for step, value in sorted(trial.steps.items())
        if isinstance(value, int | float)
    ]
    frame = pd.DataFrame(steps, columns=["row", "epoch", "value"]) if steps else None
    return Table(table.name, table.path, table.columns, table.places, goal, frame)


def _row(study: ForeignStudy, trial: ForeignTrial) -> dict[str, Value]:
    several = len(study.goals) > 1
    values = {f"values_{i}" if several else "value": one for i, one in trial.values.items()}
    return flat(
        {
            "study_name": study.name,
            "number": trial.number,
            **values,
            **trial.settings,
            "state": trial.state,
        }
    )
