"""Matrices: a row for each value of one hyperparameter, a column for each of the other."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace

import numpy as np

from landscape_study.landscapes.reading.foreign.tables.column_names import (
    ALPHA,
    LAMBDA,
    is_called,
)
from landscape_study.landscapes.reading.foreign.tables.foreign_table import (
    Column,
    Table,
    number,
)
from landscape_study.landscapes.reading.foreign.tables.name_settings import settings_in

VALUE = "value"  # column of what stands in the matrix


def without_matrix(table: Table) -> Table:
    r"""A row for each field of a matrix, if the table is one whose corner names an axis.

    The corner is `lr` or `lr\wd`; the other columns are called after their values, as `0.01` or
    `wd=0.01`.
    """
    corner, *names = table.columns
    values = [_value(name) for name in names]
    axes = _axes(corner)
    if len(names) < 2 or None in values or axes is None or not table.columns[corner].is_numeric:
        return table
    rows = np.repeat(np.arange(table.size), len(names))
    fields = Column.joined([table.columns[name] for name in names])
    order = np.arange(len(names) * table.size).reshape(len(names), table.size).T.ravel()
    columns = {
        axes[0]: table.columns[corner].take(rows),
        axes[1]: Column.of(values * table.size),
        VALUE: fields.take(order),
    }
    return replace(table, columns=columns, places=table.places.take(rows))


def _axes(corner: str) -> tuple[str, str] | None:
    """The names of the axes of rows and of columns, of which the corner names one or both."""
    parts = [part for part in re.split(r"[\\/|,;]|\bvs\.?\b", corner) if part.strip()]
    named = [
        name
        for part in parts
        for name, known in (("alpha", ALPHA[0]), ("lambda", LAMBDA[0]), ("alpha", ALPHA[1]))
        if is_called(part, known)
    ]
    if not named or len(named) < len(parts):
        return None
    return ("alpha", "lambda") if named[0] == "alpha" else ("lambda", "alpha")


def _value(name: str) -> float | None:
    """The value that a column is called after."""
    for text in (name, *settings_in([name]).values()):
        with suppress(ValueError):
            return number(text)
    return None
