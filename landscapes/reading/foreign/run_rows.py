"""From a table with a row a run to a frame: α, λ, seed, state and value of each."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.foreign.column_roles import Columns
from landscape_study.landscapes.reading.foreign.run_curves import Runs
from landscape_study.landscapes.reading.foreign.run_states import INFINITE, sentinels, states_of
from landscape_study.landscapes.reading.foreign.tables.column_names import (
    PANELS,
    STUDIES,
    YES,
    is_called,
)
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Bools, Floats, Table
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable

NAMELESS = "no-name-"  # begins the name of a study that Optuna made up
LEAVE_OUT = "leave such rows out with --where"


def rows_of(runs: Runs) -> tuple[pd.DataFrame, list[str]]:
    """A row a run, and what is said of them.

    Columns: panel, alpha, lambda, seed, state (finished, failed, open), the metric, diverged,
    clipped (the value is at least so bad), extra (it lies beside the grid); the index is the row
    of the table.

    Raises:
        UsageError: a run has a result, but no α or λ, or no number for it; no run has a result.
    """
    table, columns = runs.table, runs.columns
    state, said = _states(table, columns)
    value = table.columns[columns.value]
    told = np.isin(state, ["finished", "pruned", "diverged"])
    _require_numbers(table, columns.value, told, "leave it empty")
    state[told & value.is_empty & (state != "diverged")] = "open"
    told = np.isin(state, ["finished", "pruned", "diverged"])
    values = np.where(np.abs(value.numbers) == INFINITE, np.inf, value.numbers)
    failed, which = sentinels(np.where(told, values, np.nan))
    said += [one.said for one in which]
    state[failed], told = "failed", told & ~failed
    metric = np.where(told, values, np.nan)
    lost = told & (state != "pruned") & (~np.isfinite(metric) | _diverged(table, columns, state))
    frame = pd.DataFrame(
        {
            "panel": panel_names(table, columns.panels),
            "alpha": _settings(table, columns.alpha, told, positive=True),
            "lambda": _settings(table, columns.lambda_, told, positive=False),
            "seed": table.columns[columns.seed].as_texts() if columns.seed else "",
            "state": np.where(told, "finished", state),
            columns.metric.name: metric,
            "diverged": lost,
            "clipped": told & ~lost & ((state == "pruned") | runs.short),
            "extra": _says_yes(table, columns.beside),
        }
    )
    return _placed(table, columns, frame, said)


def _placed(
    table: Table, columns: Columns, frame: pd.DataFrame, said: list[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Only rows with an α and a λ, and not those that failed and were run again."""
    if not (frame["state"] == "finished").any():
        raise UsageError(f"{table.name}: no row has a result in '{columns.value}'")
    there = frame[["alpha", "lambda"]].notna().all(axis=1)
    finished = frame["state"] == "finished"
    cell = ["panel", "alpha", "lambda", "seed"]
    again = ~finished & finished.groupby([frame[name] for name in cell]).transform("any")
    for rows, what in (
        (~there, "without result and without α or λ: left out"),
        (again, "without result were run again: left out"),
    ):
        if rows.any():
            said = [*said, f"{int(rows.sum())} rows {what}"]
    return frame[there & ~again], said


def study_name(table: Table) -> str | None:
    """What the only study of a table is called; None where it says nothing, or of several.

    Names that Optuna made up for want of one count as none.
    """
    column = next((name for name in table.columns if is_called(name, STUDIES)), None)
    found = table.columns[column].distinct() if column else []
    is_named = len(found) == 1 and not found[0].startswith(NAMELESS)
    return printable(found[0]) if is_named else None


def panel_names(table: Table, columns: Sequence[str]) -> np.ndarray:
    """The name of each row's panel, [N]: the optimizer; "width=512" of other settings."""
    otherwise = study_name(table) or table.name
    if not columns:
        return np.full(table.size, otherwise, dtype=object)
    keys = table.keys(columns)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    some = table.take(first)
    parts = [_part_names(some, name) for name in columns]
    names = [", ".join(filter(None, part)) or otherwise for part in zip(*parts, strict=True)]
    return np.array(names, dtype=object)[inverse]


def _part_names(table: Table, name: str) -> list[str]:
    """What a column adds to the names of panels."""
    column = table.columns[name]
    texts = [printable(text).strip() for text in column.as_texts()]
    if is_called(name, (*PANELS, *STUDIES)) or not column.is_numeric:
        return texts
    short = re.split(r"[./]", name)[-1]
    return [f"{short}={text}" if text else "" for text in texts]


def _states(table: Table, columns: Columns) -> tuple[np.ndarray, list[str]]:
    if columns.state is None:
        return np.full(table.size, "finished", dtype=object), []
    state, unknown = states_of(table.columns[columns.state])
    words = ", ".join(f"'{printable(word)}'" for word in unknown[:5])
    return state, [f"{columns.state} {words}: taken as not finished"] if unknown else []


def _diverged(table: Table, columns: Columns, state: np.ndarray) -> Bools:
    return (state == "diverged") | _says_yes(table, columns.diverged)


def _says_yes(table: Table, name: str | None) -> Bools:
    """In which rows a column says so, [N]; in none if there is no such column."""
    if name is None:
        return np.zeros(table.size, dtype=np.bool_)
    texts = table.columns[name].as_texts()
    return np.isin(texts, [text for text in set(texts) if text.lower() in YES])


def _require_numbers(table: Table, name: str, rows: Bools, remedy: str) -> None:
    """Refuse a text among numbers."""
    column = table.columns[name]
    wrong = np.flatnonzero(rows & (column.codes >= 0))
    if len(wrong):
        shown = printable(column.texts[column.codes[wrong[0]]])[:40]
        raise UsageError(
            f"{table.places[wrong[0]]}: '{shown}' in column {name} is no number: mend it, or "
            f"{remedy}"
        )


def _settings(table: Table, name: str, rows: Bools, *, positive: bool) -> Floats:
    """α or λ of each run, [N]; NaN where there is none and no result either."""
    _require_numbers(table, name, rows, LEAVE_OUT)
    column = table.columns[name]
    values = column.numbers
    good = np.isfinite(values) & ((values > 0) if positive else (values >= 0))
    wrong = np.flatnonzero(rows & ~good)
    if len(wrong):
        row = wrong[0]
        shown = "nothing" if column.is_empty[row] else f"{values[row]:g}"
        needed = "positive number" if positive else "number of 0 or more"
        raise UsageError(
            f"{table.places[row]}: {shown} in column {name}, expected a {needed}: mend it, or "
            f"{LEAVE_OUT}"
        )
    return np.where(good, values, np.nan)
