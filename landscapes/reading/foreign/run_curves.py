"""Long tables, several rows a run: one row of each counts, all of them are its curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.column_roles import MOST_PANELS, Columns
from landscape_study.landscapes.reading.foreign.tables.column_names import is_metric_name
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Bools, Ints, Table
from landscape_study.study.errors import UsageError

MOST_RUNGS = 6  # different last epochs up to which runs that end early were stopped there
RUNS_A_RUNG = 4  # at least, on average: runs that end each at its own epoch stopped by themselves
MOST_TELLING = 8  # settings of which pairs are tried


@dataclass(frozen=True, eq=False)
class Runs:
    """A row a run, with curves in `table.steps`."""

    table: Table
    columns: Columns
    short: Bools  # [N] whether a run was stopped before the last epoch
    said: tuple[str, ...]


def one_row_a_run(table: Table, columns: Columns, asked: Asked) -> Runs:
    """Of each run the row that counts; of a table with a row a run, all.

    Where runs end at few different epochs, those that end early were stopped, as successive
    halving does: their value is at least so bad. Where they end at many, each stopped by itself.

    Raises:
        UsageError: α changes within a run; more epochs than there can be panels; several rows of
            an epoch in a column that the user named.
    """
    key = _run_of_rows(table, columns, asked)
    if key is None or columns.epoch is None:
        return Runs(table, columns, np.zeros(table.size, dtype=bool), ())
    has = ~table.columns[columns.value].is_empty
    if asked.keep == "each":
        return _each(table.take(np.flatnonzero(has)), columns)
    epoch = table.columns[columns.epoch].numbers
    order = np.lexsort((epoch, has, key))
    kept = order[np.flatnonzero(np.diff(key[order], append=-1))]  # the last of each run
    ends = np.where(has[kept], epoch[kept], np.nan)
    if asked.keep == "best":
        cost = columns.metric.sign * table.columns[columns.value].numbers
        order = np.lexsort((epoch, np.nan_to_num(cost, nan=np.inf), ~has, key))
        kept = order[np.flatnonzero(np.diff(key[order], prepend=-1))]
    short, told = _stopped(ends, columns.epoch)
    said = (
        f"{columns.epoch}: {table.size} rows of {len(kept)} runs, the {asked.keep} of each counts"
    )
    steps = _steps(table, columns, key[order], order)
    runs = replace(table.take(kept), steps=steps, counted=columns.epoch)
    return Runs(runs, columns, short, (said, *told))


def telling_apart(table: Table, base: Sequence[str], others: Sequence[str]) -> list[str] | None:
    """The fewest columns of others, besides the base, that make all rows different; None if none.

    One, two, or all.
    """
    some = others[:MOST_TELLING]
    tried = chain([()], combinations(others, 1), combinations(some, 2), [tuple(others)])
    for extra in tried:
        if len(np.unique(table.keys([*base, *extra]))) == table.size:
            return list(extra)
    return None


def _run_of_rows(table: Table, columns: Columns, asked: Asked) -> Ints | None:
    """Which run each row is of, [N]; None where each is of its own."""
    if columns.epoch is None:
        return None
    places = [columns.alpha, columns.lambda_]
    base = [columns.run] if columns.run else places
    base += [name for name in (columns.seed, *columns.panels) if name is not None]
    key = table.keys(base)
    if columns.run:
        base, key = _with_places(table, columns, base, key)
    empty = table.columns[columns.value].is_empty
    filled = table.take(np.flatnonzero(~empty)) if empty.any() else table
    if not filled.size or len(np.unique(filled.keys(base))) == filled.size:
        return None
    extra = telling_apart(filled, [*base, columns.epoch], columns.others)
    if extra is None and asked.fidelity:
        raise UsageError(
            f"{table.path}: several rows of a run have the same {asked.fidelity}: name the "
            "column that tells runs apart with --seed COLUMN or --panels-by COLUMN"
        )
    if extra is None:
        return None
    key = table.keys([*base, *extra])
    return key if asked.fidelity or _begin_alike(table, columns.epoch, key) else None


def _with_places(table: Table, columns: Columns, base: list[str], key: Ints) -> tuple:
    """Runs by their names; by α and λ too where different runs have one name."""
    both = [*base, columns.alpha, columns.lambda_]
    found = table.keys(both)
    runs, apart = len(np.unique(key)), len(np.unique(found))
    if apart == runs or 2 * apart <= table.size:
        return both, found
    row = int(np.flatnonzero(pd.Series(found).groupby(key).transform("nunique").to_numpy() > 1)[0])
    raise UsageError(
        f"{table.places[row]}: α or λ changes within run "
        f"'{table.columns[base[0]].take(np.array([row])).as_texts()[0]}', as a schedule does: "
        "name the columns of what was set with --alpha COLUMN and --lambda COLUMN"
    )


def _begin_alike(table: Table, epoch: str, key: Ints) -> bool:
    """Whether most runs begin at the same epoch, as curves do."""
    first = pd.Series(table.columns[epoch].numbers).groupby(key).min()
    return bool(2 * first.value_counts().iloc[0] > len(first))


def _each(table: Table, columns: Columns) -> Runs:
    """Every epoch as a panel."""
    epoch = str(columns.epoch)
    count = table.columns[epoch].count()
    if count > MOST_PANELS:
        raise UsageError(
            f"{table.path}: {epoch} has {count} values, and at most {MOST_PANELS} can be panels: "
            "choose some with --where, or keep the last or the best"
        )
    panels = replace(columns, panels=(*columns.panels, epoch))
    said = (f"{epoch}: each of its {count} values is a panel",)
    return Runs(table, panels, np.zeros(table.size, dtype=bool), said)


def _stopped(ends: np.ndarray, epoch: str) -> tuple[Bools, list[str]]:
    """Which runs were stopped before the last epoch, [N], and what is said of it."""
    there = ends[np.isfinite(ends)]
    found = np.unique(there)
    if len(found) < 2:
        return np.zeros(len(ends), dtype=bool), []
    span = f"runs end at {epoch} {found[0]:g} to {found[-1]:g}"
    if len(found) > min(MOST_RUNGS, max(2, len(there) // RUNS_A_RUNG)):
        return np.zeros(len(ends), dtype=bool), [f"{span}: of each what it ended with"]
    short = np.isfinite(ends) & (ends < found[-1])
    told = f"{span}: {short.sum()} that end before the last were stopped, at least this bad"
    return short, [told]


def _steps(table: Table, columns: Columns, runs: Ints, order: Ints) -> pd.DataFrame:
    """The curves: row of the run, epoch, and all metrics of which there are numbers.

    A curve has a point where the metric was measured. Of what was logged at other epochs the last
    value before counts, or the first one after; what was logged once a run is no curve.
    """
    row, _ = pd.factorize(runs, sort=True)
    steps = {"row": row, "epoch": table.columns[str(columns.epoch)].numbers[order]}
    others = []
    for name, column in table.columns.items():
        if name == columns.value or (is_metric_name(name) and column.is_numeric):
            numbers = column.numbers[order]
            lost = column.is_number[order] & ~np.isfinite(numbers)  # measured, but no number
            steps[name] = np.where(lost, np.inf, numbers)
            others += [name] if name != columns.value else []
    # Of an epoch there may be several rows, each with another metric.
    frame = pd.DataFrame(steps).groupby(["row", "epoch"], as_index=False).first()
    once = [name for name in others if frame.groupby("row")[name].count().max() < 2]
    frame, others = frame.drop(columns=once), [name for name in others if name not in once]
    if others:
        frame[others] = frame.groupby("row")[others].ffill()
        frame[others] = frame.groupby("row")[others].bfill()
    return frame[frame[columns.value].notna()].replace(np.inf, np.nan)
