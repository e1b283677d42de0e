"""Which column of a foreign table is the metric, and which way is better."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from landscape_study.landscapes.reading.foreign.asked import UnclearError, each_of
from landscape_study.landscapes.reading.foreign.row_filter import equal_to
from landscape_study.landscapes.reading.foreign.run_states import sentinels
from landscape_study.landscapes.reading.foreign.tables.column_names import (
    EITHER,
    EXTREMES,
    KEYS,
    LESS,
    MORE,
    NEGATED,
    SPLITS,
    STUDIES,
    TOPS,
    TRAINING,
    UNCLEAR,
    is_called,
    is_called_otherwise,
    is_metric_name,
    is_seed_name,
    is_setting_name,
    is_share_name,
    listed,
    may_be_share_name,
    plain,
    words,
)
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Floats, Goal, Table
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable
from landscape_study.study.spec.metric import MATTERS, METRICS, Metric

FEW = 0.1  # of the values: so many may be mistakes
ROUNDING = 1e-3  # by which a share may exceed 1
OWN = {"study", "panel", "pair", "alpha", "lambda", "state", "diverged_epoch"}

PERCENT = r"\s*\(%\)"  # the unit within a name


def is_own(table: Table) -> bool:
    """Whether it is a table of cells that `landscape export` wrote."""
    return table.columns.keys() >= OWN


def value_column(table: Table, taken: Sequence[str]) -> str:
    """The column of the metric: of held-out data rather than any, a result, not an extreme.

    Raises:
        UsageError: there is none, or several could be.
    """
    if is_own(table):
        names = list(table.columns)
        return names[names.index("state") + 1]
    objectives = [name for name, goal in table.goals.items() if not goal.is_empty.all()]
    if there := [name for name in objectives if name in table.columns]:
        return _one(table, there)
    lower = {name.lower(): name for name in table.columns}
    if {"number", "value", "state"} <= lower.keys():  # as Optuna exports its trials
        return lower["value"]
    ranked: dict[tuple[bool, int], list[str]] = {}
    for name in _called_metrics(table, taken):
        found = words(name)
        if table.columns[name].is_numeric or _text_among(table, name):
            split = next((i for i, split in enumerate(SPLITS) if split & found), len(SPLITS))
            if found & TRAINING:
                split = len(SPLITS) + 1
            ranked.setdefault((bool(found & EXTREMES), split), []).append(name)
    if not ranked:
        raise _none(table, taken)
    return _one(table, ranked[min(ranked)])


def _called_metrics(table: Table, taken: Sequence[str]) -> list[str]:
    """The columns that are called like a metric, and are no settings."""
    return [
        name
        for name in table.columns
        if name not in taken and is_metric_name(name) and not is_setting_name(name)
    ]


def _text_among(table: Table, name: str) -> str | None:
    """A text that begins as a number does, "0.83 nats", of a column that holds mostly texts."""
    column = table.columns[name]
    if column.is_numeric or is_called_otherwise(name):
        return None
    return next((one for one in column.distinct() if re.match(r"\s*[-+]?\.?\d.*\D", one)), None)


def _one(table: Table, names: Sequence[str]) -> str:
    """The one of several columns that is none's copy.

    Raises:
        UnclearError: there are more.
        UsageError: one of them holds text.
    """
    for name in names:
        if text := _text_among(table, name):
            raise UsageError(
                f"{table.name}: column {name} holds text, such as '{printable(text)[:40]}', "
                "expected numbers: write the numbers alone (0.83, or 83%), or name another "
                "column with --metric COLUMN"
            )
    best = table.without_copies(names)
    if len(best) > 1:
        raise UnclearError(
            f"{table.name}: {listed(best)} could each be the metric", each_of("metric", best)
        )
    return best[0]


def _none(table: Table, taken: Sequence[str]) -> UsageError:
    """That no column is called like a metric, and which could be one."""
    why = f"{table.name}: no column looks like a metric"
    possible = [
        name
        for name, column in table.columns.items()
        if name not in taken
        and not is_called_otherwise(name)
        and not is_seed_name(name)
        and column.is_numeric
        and column.count() > 1
    ]
    if possible:
        return UnclearError(why, each_of("metric", possible))
    return UsageError(f"{why}: name it with --metric COLUMN, one of {listed(table.columns)}")


def guessed_goal(title: str) -> Goal | None:
    """Which way is better, by the words of a metric's name; None if they do not agree.

    What is negated is turned round: neg_log_loss is to be maximized. Of top5_error the latter word
    decides.
    """
    found = words(title)
    less = bool(found & LESS)
    more = bool(found & (MORE - TOPS if less else MORE))
    if less == more or found & UNCLEAR:
        return None
    return "minimize" if less != bool(found & NEGATED) else "maximize"


def _stored_goal(table: Table, column: str) -> Goal | None:
    """Which way is better, where the file says so.

    Raises:
        UnclearError: it says one of some studies, and the other of others.
    """
    if column not in table.goals:
        return None
    said = table.goals[column].distinct()
    if len(said) > 1:
        study = next(name for name in table.columns if is_called(name, STUDIES))
        raise UnclearError(
            f"{table.name}: less of '{column}' is better in some of its studies, more in others",
            each_of("where", equal_to(study, table.columns[study].distinct())),
        )
    return cast("Goal", said[0]) if said else None


def metric_of(table: Table, column: str, goal: Goal | None, matters: float | None) -> Metric:
    """What is measured: its direction by its name, or as the user says; whether it is in percent.

    Raises:
        UsageError: its name does not say which way is better, and neither does anybody else; or
            only some of its values end in %.
    """
    if is_own(table) and column in METRICS:
        known = METRICS[column]
        return replace(known, goal=goal or known.goal, matters=matters or known.matters)
    key = next((name for name in table.columns if plain(name) in KEYS), None)
    named = table.columns[key].distinct() if key else []
    title = named[0] if len(named) == 1 and words(column) & EITHER else column
    goal = goal or _stored_goal(table, column) or guessed_goal(title)
    if goal is None:
        raise UnclearError(
            f"{table.name}: is less or more of '{column}' better?",
            each_of("goal", ("minimize", "maximize")),
        )
    unit = "%" if _is_percent(table, column, title) else ""
    matters = matters or (MATTERS if unit else None)
    title = re.sub(PERCENT, "", title)
    return Metric(column, title, unit=unit, goal=goal, matters=matters)


def _is_percent(table: Table, column: str, title: str) -> bool:
    """Whether a metric is in percent: its cells say so, or its name and its values.

    A name that says so ("err (%)") is believed unless all values could be shares; one of what is
    a share of something, an accuracy, where they could not be.

    Raises:
        UsageError: some cells say so, and others do not.
    """
    found = table.columns[column]
    if len(found.percent) > 1:
        raise UsageError(
            f"{table.name}: some values of '{column}' end in %, others do not: write all of them "
            "alike, or leave some out with --where"
        )
    if True in found.percent:
        return True
    if re.search(r"%|percent|pct", title.lower()):
        values = found.numbers[np.isfinite(found.numbers)]
        return not (values.size and np.abs(values).max() <= 1)
    return is_share_name(title) and _could_be_percent(found.numbers)


def _could_be_percent(values: Floats) -> bool:
    """Whether values are too large for shares, and not for percentages; failures left out."""
    known = np.isfinite(values)
    known[known] = ~sentinels(values[known])[0]
    values = values[known]
    within = values.size > 0 and bool(values.min() >= 0 and values.max() <= 100)
    return within and bool(np.quantile(values, 1 - FEW) > 1 + ROUNDING)


def percent_hint(table: Table, metric: Metric) -> str:
    """How to say that an error is in percent, which may be one; "" of any other metric.

    Args:
        table: with a column of the metric's name.
        metric: as it is understood.
    """
    unclear = not metric.unit and metric.matters is None and may_be_share_name(metric.title)
    if not unclear or not _could_be_percent(table.columns[metric.name].numbers):
        return ""
    return f"if {metric.title} is in percent, --matters {MATTERS} judges it so"
