"""Which column of a foreign table is what: guessed from names, values and variation, and said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal, TypeAlias

import numpy as np

from landscape_study.landscapes.reading.foreign.metric_column import metric_of, value_column
from landscape_study.landscapes.reading.foreign.row_filter import condition, known_column
from landscape_study.landscapes.reading.foreign.run_columns import (
    constant_in_runs,
    epoch_column,
    run_column,
    seed_column,
    state_column,
)
from landscape_study.landscapes.reading.foreign.tables.column_names import (
    ALPHA,
    DIVERGED,
    DONE,
    EPOCHS,
    INTERNAL,
    LAMBDA,
    PANELS,
    RUNS,
    STUDIES,
    TIMES,
    is_called,
    is_metric_name,
    is_row_number,
    is_setting_name,
    listed,
    plain,
    words,
)
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Floats, Table
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable
from landscape_study.study.spec.metric import Metric

MOST_PANELS = 12
MOST_SETTINGS = 64  # different values of a setting
COLUMNS = ("alpha", "lambda_", "metric", "seed", "panel", "fidelity")  # that may be named
OPTIONS = {"lambda_": "--lambda", "panel": "--panels-by"}  # called otherwise than here
Keep: TypeAlias = Literal["last", "best", "each"]


@dataclass(frozen=True)
class Asked:
    """What the user says of a file; None to guess.

    Attributes:
        alpha, lambda_, metric, seed, panel: the columns of α, λ, …
        goal: which values of the metric are better.
        matters: the difference of the metric below which the user would not care.
        where: a condition on rows, see `row_filter.Condition`.
        fidelity: the column of epochs, steps or budgets, of a file with several rows a run.
        keep: which row of a run counts: its last, its best, or each, as a panel.
    """

    alpha: str | None = None
    lambda_: str | None = None
    metric: str | None = None
    seed: str | None = None
    panel: str | None = None
    goal: Literal["minimize", "maximize"] | None = None
    matters: float | None = None
    where: str | None = None
    fidelity: str | None = None
    keep: Keep = "last"

    @property
    def columns(self) -> list[str]:
        """The columns that are named."""
        return [name for key in COLUMNS if (name := getattr(self, key)) is not None]

    def known_in(self, table: Table) -> Asked:
        """The same, with the names as the table has them.

        Raises:
            UsageError: it has no such column.
        """
        named = {key: getattr(self, key) for key in COLUMNS}
        known: dict[str, Any] = {
            key: known_column(table, name) for key, name in named.items() if name is not None
        }
        return replace(self, **known)

    @property
    def needed(self) -> list[str]:
        """The columns that are named, in the condition too."""
        return self.columns + (condition(self.where).columns if self.where else [])

    @property
    def options(self) -> tuple[str, ...]:
        """The same as words of a command line."""
        named = {OPTIONS.get(key, f"--{key}"): getattr(self, key) for key in (*COLUMNS, "where")}
        named["--matters"] = None if self.matters is None else repr(self.matters)
        named["--keep"] = None if self.keep == "last" else self.keep
        said = [(option, value) for option, value in named.items() if value is not None]
        return (*chain.from_iterable(said), *([f"--{self.goal}"] if self.goal else []))


@dataclass(frozen=True)
class Columns:
    """Which column is what."""

    alpha: str
    lambda_: str
    value: str  # of the metric
    metric: Metric  # its name is the column's
    seed: str | None
    panels: tuple[str, ...]  # that tell panels apart
    state: str | None
    diverged: str | None  # whether a run diverged
    epoch: str | None  # of the surest name; or as the user says
    run: str | None  # names the run of a row, and several rows are of one
    others: tuple[str, ...]  # that vary too, as far as they look like settings

    @property
    def said(self) -> str:
        """What was understood, in a line."""
        goal = "less" if self.metric.sign > 0 else "more"
        parts = [
            f"α = {self.alpha}",
            f"λ = {self.lambda_}",
            f"metric = {self.value} ({goal} is better)",
        ]
        parts += [f"seed = {self.seed}"] if self.seed else []
        parts += [f"panels by {' and '.join(self.panels)}"] if self.panels else []
        left = (
            f"; not looked at, though they vary: {', '.join(self.others)}" if self.others else ""
        )
        return ", ".join(parts) + left


def find_columns(table: Table, asked: Asked) -> Columns:
    """Guess which column is what, unless the user says.

    Raises:
        UsageError: nothing or too much could be meant; with the option that says so.
    """
    asked = asked.known_in(table)
    taken = [name for name in (asked.alpha, asked.lambda_, asked.metric) if name is not None]
    alpha = asked.alpha or _one(
        table, ALPHA, taken, "α, the learning rate", "--alpha", lambda x: x > 0
    )
    taken.append(alpha)
    lambda_ = asked.lambda_ or _one(
        table, LAMBDA, taken, "λ, the weight decay", "--lambda", lambda x: x >= 0
    )
    taken.append(lambda_)
    value = asked.metric or value_column(table, taken)
    seed = asked.seed or seed_column(table, [alpha, lambda_, value])
    panels = (asked.panel,) if asked.panel else _panels(table, taken)
    known = {alpha, lambda_, value, seed, *panels}
    state = state_column(table, known)
    diverged = next((name for name in table.columns if plain(name) in DIVERGED), None)
    epoch = asked.fidelity or epoch_column(table, known)
    run = run_column(table, known | {epoch})
    known |= {state, diverged, epoch, run}
    return Columns(
        alpha=alpha,
        lambda_=lambda_,
        value=value,
        metric=metric_of(table, value, asked.goal, asked.matters),
        seed=seed,
        panels=panels,
        state=state,
        diverged=diverged,
        epoch=epoch,
        run=run,
        others=_others(table, known, taken),
    )


def _one(
    table: Table,
    tiers: Sequence[Sequence[str]],
    taken: Sequence[str],
    what: str,
    option: str,
    fits: Callable[[Floats], np.ndarray],
) -> str:
    """The one column whose name and values fit."""
    for names in tiers:
        named = [name for name in table.columns if name not in taken and is_called(name, names)]
        fitting = [name for name in named if _fits(table, name, fits)]
        settings = [name for name in fitting if is_setting_name(name)]  # rather than logged
        found = constant_in_runs(table, table.without_copies(settings or fitting))
        if len(found) > 1:
            raise UsageError(
                f"{table.name}: {listed(found)} could each be {what}: say which with "
                f"{option} COLUMN"
            )
        if found:
            return found[0]
    constant = next((one for names in tiers for one in _constant(table, names, taken)), None)
    if constant is not None:
        raise UsageError(
            f"{table.name}: {what}, is {constant[1]} in all rows ('{constant[0]}'): a landscape "
            f"needs at least two; name another column with {option} COLUMN"
        )
    texts = (
        name
        for names in tiers
        for name in table.columns
        if name not in taken and is_called(name, names) and not table.columns[name].is_numeric
    )
    if text := next(texts, None):
        raise UsageError(
            f"{table.name}: '{text}' is called like {what}, but most of it are no numbers, such "
            f"as '{printable(table.columns[text].distinct()[0])[:40]}': mend it, or name another "
            f"column with {option} COLUMN"
        )
    raise UsageError(
        f"{table.name}: no column looks like {what}: name it with {option} COLUMN, one of "
        f"{listed(table.columns)}"
    )


def _constant(
    table: Table, names: Sequence[str], taken: Sequence[str]
) -> Iterable[tuple[str, str]]:
    """Columns of some names in which one number stands, and that number."""
    for name in table.columns:
        if name not in taken and is_called(name, names) and table.columns[name].is_numeric:
            values = table.columns[name].distinct()
            if len(values) == 1:
                yield name, values[0]


def _panels(table: Table, taken: Sequence[str]) -> tuple[str, ...]:
    """The columns that name the optimizer, if there is one of few words, and the study.

    Raises:
        UsageError: there are more studies than there can be panels.
    """
    found = [_first_called(table, PANELS, taken)]
    study = next((name for name in table.columns if is_called(name, STUDIES)), None)
    if study is not None and study not in taken:
        count = len(table.columns[study].distinct())
        if count > MOST_PANELS:
            raise UsageError(
                f"{table.name}: {count} studies in '{study}', and at most {MOST_PANELS} can be "
                "panels: choose some with --where"
            )
        found += [study] if count > 1 else []
    return tuple(name for name in found if name is not None)


def _first_called(table: Table, names: Sequence[str], taken: Sequence[str]) -> str | None:
    """The first column of some names with few values."""
    for name in table.columns:
        fits = name not in taken and is_called(name, names)
        if fits and 0 < len(table.columns[name].distinct()) <= MOST_PANELS:
            return name
    return None


def _others(table: Table, known: set[str | None], taken: Sequence[str]) -> tuple[str, ...]:
    """Settings that vary, and do not change within runs."""
    names = [one for one in table.columns if one not in known and _is_setting(table, one, taken)]
    run = run_column(table, set(names))
    if run is None:
        return tuple(names)
    count = len(np.unique(table.keys([run])))
    return tuple(one for one in names if len(np.unique(table.keys([run, one]))) == count)


def _is_setting(table: Table, name: str, taken: Sequence[str]) -> bool:
    """Whether a column varies, but little: an id, a time or a result differs in each row."""
    if (
        is_metric_name(name)
        or plain(name) in (*EPOCHS, *RUNS, *DONE)
        or is_row_number(name)
        or words(name) & (TIMES | INTERNAL)
    ):
        return False
    most = min(max(2, table.size // 4), MOST_SETTINGS)
    column = table.columns[name]
    again = any(
        np.array_equal(column.numbers, table.columns[other].numbers, equal_nan=True)
        for other in taken
    )
    return not again and 1 < column.count() <= most


def _fits(table: Table, name: str, fits: Callable[[Floats], np.ndarray]) -> bool:
    """Whether a column holds numbers, that vary, and most of which fit."""
    column = table.columns[name]
    values = column.numbers[column.is_number]
    return column.is_numeric and len(np.unique(values)) > 1 and fits(values).mean() > 0.5
