"""Which columns say of which run a row is, at which epoch of it, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscape_study.landscapes.reading.foreign.run_states import is_state
from landscape_study.landscapes.reading.foreign.tables.column_names import (
    EPOCHS,
    REPEATS,
    RUNS,
    STATES,
    is_called,
    is_seed_name,
    plain,
)
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Table


def state_column(table: Table, known: set[str | None]) -> str | None:
    """The column whose words are states of runs."""
    for name in table.columns:
        fits = name not in known and is_called(name, STATES)
        if fits and any(map(is_state, table.columns[name].distinct())):
            return name
    return None


def epoch_column(table: Table, known: set[str | None]) -> str | None:
    """The column of epochs, steps or budgets of the surest name that has several values."""
    for called in EPOCHS:
        for name in table.columns:
            column = table.columns[name]
            fits = name not in known and plain(name) == called and column.is_numeric
            if fits and len(np.unique(column.numbers[column.is_number])) > 1:
                return name
    return None


def constant_in_runs(table: Table, names: list[str]) -> list[str]:
    """Of several columns those that a schedule did not change within runs; else all."""
    run = run_column(table, set(names)) if len(names) > 1 else None
    if run is None:
        return names
    count = len(np.unique(table.keys([run])))
    return [one for one in names if len(np.unique(table.keys([run, one]))) == count] or names


def run_column(table: Table, known: set[str | None]) -> str | None:
    """The column of the surest name that says which run a row is of, if several are of one."""
    for called in RUNS:
        for name in table.columns:
            fits = name not in known and plain(name) == called
            if fits and 1 < table.columns[name].count() < table.size:
                return name
    return None


def seed_column(table: Table, taken: Sequence[str]) -> str | None:
    """The first column that is called a seed and has several values, or numbers repetitions."""
    free = [one for one in table.columns if one not in taken and table.columns[one].count() > 1]
    seeds = (name for name in free if is_seed_name(name))
    return next(seeds, None) or next((one for one in free if _repeats(table, one, taken)), None)


def _repeats(table: Table, name: str, taken: Sequence[str]) -> bool:
    """Whether a column counts the runs of each α and λ: most of its values stand at several."""
    if plain(name) not in REPEATS or not table.columns[name].is_numeric:
        return False
    pairs = len(np.unique(table.keys([name, *taken[:2]])))
    return pairs >= 2 * table.columns[name].count()
