"""Which column of a foreign table is what: guessed from names, values and variation, and said."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from landscape_study.landscapes.reading.foreign.asked import OPTIONS, Asked, UnclearError, each_of
from landscape_study.landscapes.reading.foreign.metric_column import (
    PERCENT,
    metric_of,
    percent_hint,
    value_column,
)
from landscape_study.landscapes.reading.foreign.row_filter import equal_to
from landscape_study.landscapes.reading.foreign.run_columns import (
    constant_in_runs,
    epoch_column,
    run_column,
    seed_column,
    state_column,
)
from landscape_study.landscapes.reading.foreign.tables.column_names import (
    ALPHA,
    BESIDE,
    DIVERGED,
    LAMBDA,
    NO,
    PANELS,
    STUDIES,
    YES,
    is_called,
    is_called_otherwise,
    is_metric_name,
    is_seed_name,
    is_setting_name,
    listed,
    logarithm,
    plain,
)
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Floats, Table
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable
from landscape_study.study.spec.metric import Metric

MOST_PANELS = 12
MOST_SETTINGS = 64  # different values of a setting


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
    beside: str | None  # whether a cell lies beside the grid
    epoch: str | None  # of the surest name; or as the user says
    run: str | None  # names the run of a row, and several rows are of one
    others: tuple[str, ...]  # that vary too, as far as they look like settings
    hint: str = ""  # what else the user may want to say of the metric
    says_goal: str = ""  # what says which way is better: the "study", where it does

    @property
    def said(self) -> str:
        """What was understood, in a line."""
        parts = [f"α = {self.alpha}", f"λ = {self.lambda_}", f"metric = {self._metric_said}"]
        parts += [f"seed = {self.seed}"] if self.seed else []
        parts += [f"panels by {' and '.join(self.panels)}"] if self.panels else []
        left = (
            f"; not looked at, though they vary: {', '.join(self.others)}" if self.others else ""
        )
        return ", ".join(parts) + left + (f"; {self.hint}" if self.hint else "")

    @property
    def _metric_said(self) -> str:
        """The metric as the file calls it, which way is better, and who says so."""
        goal = "less is better" if self.metric.sign > 0 else "more is better"
        goal += ", in percent" if self.metric.unit == "%" else ""
        goal += f", as the {self.says_goal} says" if self.says_goal else ""
        is_named = self.metric.title not in (self.value, re.sub(PERCENT, "", self.value))
        named = f"{printable(self.metric.title)}, in column {self.value}"
        return f"{named if is_named else self.value} ({goal})"


def find_columns(table: Table, asked: Asked) -> Columns:
    """Guess which column is what, unless the user says.

    Raises:
        UsageError: nothing or too much could be meant; with the option that says so.
    """
    asked = asked.known_in(table)
    taken = asked.columns
    alpha = asked.alpha or _one(table, _ALPHA, taken)
    taken.append(alpha)
    lambda_ = asked.lambda_ or _one(table, _LAMBDA, taken)
    taken.append(lambda_)
    value = asked.metric or value_column(table, taken)
    seed = asked.seed or seed_column(table, [alpha, lambda_, value])
    panels = (asked.panel,) if asked.panel else _panels(table, taken)
    known = {alpha, lambda_, value, seed, *panels}
    state = state_column(table, known)
    diverged = next((name for name in table.columns if plain(name) in DIVERGED), None)
    beside = BESIDE if _says_yes_or_no(table, BESIDE) else None
    epoch = asked.fidelity or epoch_column(table, known)
    run = run_column(table, known | {epoch})
    known |= {state, diverged, beside, epoch, run}
    metric = metric_of(table, value, asked.goal, asked.matters)
    return Columns(
        alpha=alpha,
        lambda_=lambda_,
        value=value,
        metric=metric,
        seed=seed,
        panels=panels,
        state=state,
        diverged=diverged,
        beside=beside,
        epoch=epoch,
        run=run,
        others=_others(table, known),
        hint=percent_hint(table, metric),
        says_goal="" if asked.goal or value not in table.goals else "study",
    )


@dataclass(frozen=True)
class _Axis:
    """What a column must be to be that of α, or of λ."""

    key: str  # of `Asked`
    what: str
    tiers: Sequence[Sequence[str]]  # its names, surer ones first
    fits: Callable[[Floats], np.ndarray]  # whether values are possible

    @property
    def option(self) -> str:
        return OPTIONS.get(self.key, f"--{self.key}")


_ALPHA = _Axis("alpha", "α, the learning rate", ALPHA, lambda x: x > 0)
_LAMBDA = _Axis("lambda_", "λ, the weight decay", LAMBDA, lambda x: x >= 0)


def _one(table: Table, axis: _Axis, taken: Sequence[str]) -> str:
    """The one column whose name and values fit."""
    for names in axis.tiers:
        named = [
            name
            for name in table.columns
            if name not in taken and is_called(name, names) and logarithm(name) is None
        ]
        fitting = [name for name in named if _fits(table, name, axis.fits)]
        settings = [name for name in fitting if is_setting_name(name)]  # rather than logged
        found = constant_in_runs(table, table.without_copies(settings or fitting))
        if len(found) > 1:
            raise UnclearError(
                f"{table.name}: {listed(found)} could each be {axis.what}",
                each_of(axis.key, found),
            )
        if found:
            return found[0]
    raise _none(table, axis, taken)


def _says_yes_or_no(table: Table, name: str) -> bool:
    """Whether there is such a column, and nothing else stands in it."""
    if name not in table.columns:
        return False
    return {text.lower() for text in table.columns[name].distinct()} <= {*YES, *NO}


def _none(table: Table, axis: _Axis, taken: Sequence[str]) -> UsageError:
    """That no column fits, and why not."""
    for name in table.columns:
        found = logarithm(name)
        if found and name not in taken and _is_named(found[0], axis.tiers):
            return UsageError(
                f"{table.name}: '{printable(name)}' is called like a logarithm of {axis.what}, "
                f"and the values themselves are needed: add a column {printable(found[0])} = "
                f"{printable(found[1])}, or name a column that holds them with {axis.option} "
                "COLUMN"
            )
    named = [name for name in table.columns if name not in taken and _is_named(name, axis.tiers)]
    for name in named:
        values = table.columns[name].distinct()
        if table.columns[name].is_numeric and len(values) == 1:
            return UsageError(
                f"{table.name}: {axis.what}, is {values[0]} in all rows ('{name}'): a landscape "
                f"needs at least two; name another column with {axis.option} COLUMN"
            )
    text = next((name for name in named if not table.columns[name].is_numeric), None)
    if text is not None and (values := table.columns[text].distinct()):
        return UsageError(
            f"{table.name}: '{text}' is called like {axis.what}, but most of it are no numbers, "
            f"such as '{printable(values[0])[:40]}': mend it, or name another column with "
            f"{axis.option} COLUMN"
        )
    known = {*taken, *(n for n in table.columns for one in (ALPHA, LAMBDA) if _is_named(n, one))}
    possible = [
        name
        for name in table.columns
        if name not in known
        and _may_set(name)
        and not is_seed_name(name)
        and _fits(table, name, axis.fits)
    ]
    why = f"{table.name}: no column looks like {axis.what}"
    if possible:
        return UnclearError(why, each_of(axis.key, possible))
    return UsageError(f"{why}: name it with {axis.option} COLUMN, one of {listed(table.columns)}")


def _is_named(name: str, tiers: Sequence[Sequence[str]]) -> bool:
    return any(is_called(name, names) for names in tiers)


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
            raise UnclearError(
                f"{table.name}: {count} studies in '{study}', and at most {MOST_PANELS} can be "
                "panels",
                each_of("where", equal_to(study, table.columns[study].distinct())),
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


def _others(table: Table, known: set[str | None]) -> tuple[str, ...]:
    """Settings that vary, do not change within runs, and repeat no column that is known."""
    names = [one for one in table.columns if one not in known and _is_setting(table, one, known)]
    run = run_column(table, set(names))
    if run is None:
        return tuple(names)
    count = len(np.unique(table.keys([run])))
    return tuple(one for one in names if len(np.unique(table.keys([run, one]))) == count)


def _is_setting(table: Table, name: str, known: set[str | None]) -> bool:
    """Whether a column varies, but little: an id, a time or a result differs in each row."""
    if not _may_set(name):
        return False
    most = min(max(2, table.size // 4), MOST_SETTINGS)
    column = table.columns[name]
    if not 1 < column.count() <= most:
        return False
    return not any(column.equals(table.columns[other]) for other in known if other is not None)


def _may_set(name: str) -> bool:
    """Whether a column can be a setting by its name."""
    return not is_metric_name(name) and not is_called_otherwise(name)


def _fits(table: Table, name: str, fits: Callable[[Floats], np.ndarray]) -> bool:
    """Whether a column holds numbers, that vary, and most of which fit."""
    column = table.columns[name]
    values = column.numbers[column.is_number]
    return column.is_numeric and len(np.unique(values)) > 1 and fits(values).mean() > 0.5
