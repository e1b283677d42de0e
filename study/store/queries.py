"""Reading progress, cells and curves back."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from landscape_study.study.errors import StoreError
from landscape_study.study.printable import printable_facts
from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.cell_numbers import as_text, from_text
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store.asking import unsettled
from landscape_study.study.store.columns import raw, where_known
from landscape_study.study.store.database import now
from landscape_study.study.store.optuna_tables import measured
from landscape_study.study.store.optuna_tables import trial_table as _trial
from landscape_study.study.store.optuna_tables import value_table as _value
from landscape_study.study.store.seals import (
    Place,
    cell_seal,
    curve_seal,
    facts_seal,
    holds,
    witness_seal,
)
from landscape_study.study.store.tables import MECHANISM_CURVES
from landscape_study.study.store.tables import cell_table as _cell
from landscape_study.study.store.tables import chunk_table as _chunk
from landscape_study.study.store.tables import curve_table as _curve
from landscape_study.study.store.tables import study_table as _study
from landscape_study.study.store.tables import witness_table as _witness

COUNTS = ("total", "finished", "diverged", "failed", "pruned", "running")
OF_ROW = ("witness_id", "study_id", "written")  # what a witness did not find
PanelCell = tuple[str, Cell]  # a panel's name and one of its cells
_measured = measured.label("value")
diverged = _cell.c.diverged_epoch != 0


@dataclass(frozen=True)
class PanelProgress:
    """How far a panel is, in cells over all seeds.

    Where a sampler asks for them, `total` counts those that it may still ask for.
    """

    panel: str
    total: int
    finished: int
    diverged: int
    failed: int
    running: int
    best: float | None  # value of one cell, in the metric's unit
    seconds: float  # worker time of the finished chunks
    pruned: int = 0

    @property
    def ended(self) -> int:
        """How many are not trained any more, whatever became of them."""
        return self.finished + self.failed + self.pruned


class CellState(NamedTuple):
    """A cell and what became of it."""

    panel: str
    seed: int
    cell: Cell
    state: str  # finished, running, pruned, failed, open
    diverged_epoch: int | None  # 0: it did not; None: not finished


@dataclass(frozen=True)
class CellMean:
    """What the finished seeds of one cell give so far."""

    panel: str
    cell: Cell
    seeds: int  # finished ones
    error: float  # value of the metric, mean over them
    diverged: int  # how many of them diverged; they count in `error`


@dataclass(frozen=True)
class WorkerNow:
    """A worker that holds a chunk."""

    host: str
    pid: int
    device: str
    panel: str
    seed: int
    cells: int
    silent: float  # seconds since it last gave a sign of life
    alive: bool  # whether its lease still holds


@dataclass(frozen=True)
class Failure:
    """A cell that was given up."""

    panel: str
    seed: int
    cell: Cell
    reason: str | None  # with the last lines of a log, where it has one: see `failure_words`


def is_running() -> sa.ColumnElement[bool]:
    """Whether a worker holds the chunk under a living lease."""
    held = (_chunk.c.state == "open") & _chunk.c.owner.is_not(None)
    return held & (_chunk.c.expires > now())


def progress(connection: Connection, study: Study) -> list[PanelProgress]:
    """How far each panel of the study is, in its order."""
    counts = (
        sa.select(
            _chunk.c.panel,
            sa.func.count().label("total"),
            count(_chunk.c.state == "done").label("finished"),
            count(diverged).label("diverged"),
            count(_chunk.c.state == "failed").label("failed"),
            count(_chunk.c.state == "pruned").label("pruned"),
            count(is_running()).label("running"),
        )
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .where(_study.c.name == study.name)
        .group_by(_chunk.c.panel)
    )
    times = (
        sa.select(_chunk.c.panel, _chunk.c.seconds)
        .join(_study)
        .where(_study.c.name == study.name, _chunk.c.seconds.is_not(None))
    )
    seconds: defaultdict[str, float] = defaultdict(float)
    for panel, took in connection.execute(times):
        seconds[panel] += took
    best: dict[str, float] = {}
    better = min if study.metric.sign > 0 else max
    for row in _finished(connection, study.name):
        panel, value = row.panel, row.value
        best[panel] = better(value, best.get(panel, value))
    found = {row["panel"]: dict(row) for row in connection.execute(counts).mappings()}
    for panel, asked in unsettled(connection, study.name).items():
        counted = found.setdefault(panel, {"panel": panel, **dict.fromkeys(COUNTS, 0)})
        counted["total"] += max(study.askable(study.panel(panel)) - asked, 0)
    for panel in (one.name for one in study.panels if one.promoted):  # none may be worth it
        found.setdefault(panel, {"panel": panel, **dict.fromkeys(COUNTS, 0)})
    names = [panel.name for panel in study.panels if panel.name in found]
    return [
        PanelProgress(**found[panel], best=best.get(panel), seconds=seconds[panel])
        for panel in names
    ]


class _Ended(NamedTuple):
    """What a cell ended with, as it is stored."""

    panel: str
    seed: int
    alpha: float
    lambda_: float
    own: str | None  # as it is stored
    value: float  # of the metric
    train_loss: float | None
    test_loss: float | None
    diverged_epoch: int
    seal: str | None


def _finished(connection: Connection, name: str) -> Iterator[_Ended]:
    """What the finished cells of the study ended with, each as it was recorded.

    Read as it is stored, which takes half of the time: a seal tells more than a type.

    Raises:
        StoreError: one was changed since.
        WrongValueError: what is older than seals is no result.
    """
    found = (
        *(*_identity(), where_known(connection, _cell.c.own)),
        *(_measured, _cell.c.train_loss, _cell.c.test_loss, _cell.c.diverged_epoch),
    )
    query = (
        sa.select(*map(raw, found), raw(where_known(connection, _cell.c.seal)))
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .join(_value, _value.c.trial_id == _cell.c.trial_id, isouter=True)
        .where(_study.c.name == name, _chunk.c.state == "done")
    )
    for row in connection.execute(query):
        ended = _Ended._make(row)
        if ended.seal is None:
            for column, value in zip(found, ended, strict=False):
                column.type.process_result_value(value, connection.dialect)  # type: ignore[attr-defined]
        elif ended.seal != facts_seal(ended[:4] + ended[4 + (not ended.own) : -1]):
            raise _changed(name, row._mapping)
        if ended.value is not None:  # lost, before there were seals
            yield ended


def is_sealed(row: RowMapping, value: Any) -> bool:
    """Whether a row of a cell is what was recorded."""
    losses = row["train_loss"], row["test_loss"]
    return holds(row["seal"], cell_seal(_place(row), value, *losses, row["diverged_epoch"]))


def _place(row: RowMapping) -> Place:
    return row["panel"], row["seed"], Cell(row["alpha"], row["lambda"], from_text(row["own"]))


def _require_sealed(name: str, row: RowMapping) -> None:
    if not is_sealed(row, row["value"]):
        raise _changed(name, row)


def _changed(name: str, row: RowMapping) -> StoreError:
    panel, seed, cell = _place(row)
    where = f"panel '{panel}', seed {seed}, {cell.told}"
    return StoreError(
        f"study '{name}': the results of {where}, were changed since they "
        f"were recorded: `landscape check {name}` says what else, and how to save the rest"
    )


def count_cells(connection: Connection, name: str) -> int:
    """How many cells there are, whatever became of them."""
    query = sa.select(sa.func.count()).select_from(_cell).join(_chunk).join(_study)
    return connection.scalar(query.where(_study.c.name == name)) or 0


def workers(connection: Connection, name: str) -> list[WorkerNow]:
    """Who holds a chunk of the study, by host and process."""
    cells = sa.select(sa.func.count()).where(_cell.c.chunk_id == _chunk.c.chunk_id)
    where = _chunk.c.host, _chunk.c.pid, _chunk.c.device, _chunk.c.panel, _chunk.c.seed
    query = (
        sa.select(
            *where,
            cells.scalar_subquery(),
            (now() - sa.func.coalesce(_chunk.c.beaten, now())),
            _chunk.c.expires > now(),
        )
        .join_from(_chunk, _study)
        .where(_study.c.name == name, _chunk.c.state == "open", _chunk.c.owner.is_not(None))
        .order_by(*where)
    )
    return [WorkerNow(*row) for row in connection.execute(query)]


def failures(connection: Connection, name: str) -> list[Failure]:
    """The cells that were given up, and why."""
    query = (
        sa.select(*_identity(), where_known(connection, _cell.c.own), _chunk.c.reason)
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .where(_study.c.name == name, _chunk.c.state == "failed")
        .order_by(*_identity())
    )
    rows: Any = connection.execute(query)
    return [
        Failure(panel, seed, Cell(alpha, el, from_text(own)), reason)
        for panel, seed, alpha, el, own, reason in rows
    ]


def means(connection: Connection, name: str) -> list[CellMean]:
    """The mean over the finished seeds of every cell that has one, in no order."""
    found: defaultdict[tuple[str, float, float, str], list[_Ended]] = defaultdict(list)
    for row in _finished(connection, name):
        found[row.panel, row.alpha, row.lambda_, row.own or ""].append(row)
    return [
        CellMean(
            panel,
            Cell(alpha, lambda_, from_text(own)),
            seeds=len(rows),
            error=statistics.fmean(row.value for row in rows),
            diverged=sum(row.diverged_epoch != 0 for row in rows),
        )
        for (panel, alpha, lambda_, own), rows in found.items()
    ]


def _state() -> sa.ColumnElement[str]:
    return sa.case(
        (_chunk.c.state == "done", "finished"),
        (_chunk.c.state.in_(["failed", "pruned"]), _chunk.c.state),
        (is_running(), "running"),
        else_="open",
    ).label("state")


def states(connection: Connection, name: str) -> list[CellState]:
    """Every cell of the study and what became of it, in no order; as they are stored."""
    query = (
        sa.select(
            *(*map(raw, _identity()), where_known(connection, _cell.c.own)),
            *(_state(), raw(_cell.c.diverged_epoch)),
        )
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .where(_study.c.name == name)
    )
    rows: Any = connection.execute(query)
    return [
        CellState(panel, seed, Cell(alpha, el, from_text(own)), state, lost)
        for panel, seed, alpha, el, own, state, lost in rows
    ]


def cells(connection: Connection, name: str) -> list[dict[str, Any]]:
    """Every cell of the study, one row each, by panel, seed, α and λ."""
    in_chunk = (
        sa.select(_cell.c.chunk_id, sa.func.count().label("size"))
        .group_by(_cell.c.chunk_id)
        .subquery()
    )
    query = (
        sa.select(
            *_identity(),
            where_known(connection, _cell.c.own),
            _state(),
            _measured,
            *(_cell.c.test_loss, _cell.c.train_loss, _cell.c.diverged_epoch),
            where_known(connection, _cell.c.seal),
            (_chunk.c.seconds / in_chunk.c.size).label("seconds"),
            _trial.c.number.label("trial"),
            _chunk.c.attempts,
        )
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .join(in_chunk, in_chunk.c.chunk_id == _chunk.c.chunk_id)
        .join(_trial, _trial.c.trial_id == _cell.c.trial_id)
        .join(_value, _value.c.trial_id == _cell.c.trial_id, isouter=True)
        .where(_study.c.name == name)
        .order_by(*_identity())
    )
    found = []
    for row in connection.execute(query).mappings():
        if row["state"] == "finished":
            _require_sealed(name, row)
        found.append({key: value for key, value in row.items() if key != "seal"})
    return found


def curves(
    connection: Connection, name: str, cells: Collection[PanelCell] | None = None
) -> list[dict[str, Any]]:
    """The curves of all finished cells, or of some of them; one row per cell and metric."""
    some: sa.ColumnElement[bool] = _curve.c.metric.not_in(MECHANISM_CURVES)
    if cells is not None:
        places = (
            (_chunk.c.panel == panel)
            & (_cell.c.alpha == cell.alpha)
            & (_cell.c["lambda"] == cell.lambda_)
            & (_own(connection) == as_text(cell.own))
            for panel, cell in cells
        )
        some &= sa.or_(sa.false(), *places)
    return _curves(connection, name, some)


def mechanism(connection: Connection, name: str) -> list[dict[str, Any]]:
    """What happened inside of all finished cells, one row per cell and quantity."""
    return [
        {key: value for key, value in row.items() if key != "metric"}
        | {"quantity": MECHANISM_CURVES[row["metric"]]}
        for row in _curves(connection, name, _curve.c.metric.in_(MECHANISM_CURVES))
    ]


def _curves(
    connection: Connection, name: str, some: sa.ColumnElement[bool]
) -> list[dict[str, Any]]:
    query = (
        sa.select(
            *(*_identity(), where_known(connection, _cell.c.own)),
            *(_curve.c.metric, _curve.c.data, where_known(connection, _curve.c.seal)),
        )
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .join(_curve, _curve.c.trial_id == _cell.c.trial_id)
        .where(_study.c.name == name, some)
        .order_by(*_identity(), _curve.c.metric)
    )
    found = []
    for row in connection.execute(query).mappings():
        facts = {key: value for key, value in row.items() if key not in ("data", "seal")}
        if not holds(row["seal"], curve_seal(_place(row), row["metric"], row["data"])):
            raise _changed(name, row)
        found.append(facts | {"values": np.frombuffer(row["data"], "<f4")})
    return found


def facts(stored: object) -> dict[str, Any]:
    """JSON facts that were stored as text, printable; none where that is broken."""
    try:
        found = json.loads(stored) if isinstance(stored, str) else None
    except (ValueError, RecursionError):
        return {}
    return printable_facts(found) if isinstance(found, dict) else {}


def witnesses(connection: Connection, study: Study) -> list[Witness]:
    """The newest witness of each panel that has one, or the newest that disagrees.

    A panel that was found to be wrong is not right since another of its cells agrees.
    """
    counts: dict[str, RowMapping] = {}
    for row in witness_rows(connection, study.name):
        known = counts.get(row["panel"])
        if known is None or known["agrees"] or not row["agrees"]:
            counts[row["panel"]] = row
    return [_witness_of(counts[panel.name]) for panel in study.panels if panel.name in counts]


def witness_rows(connection: Connection, name: str) -> Sequence[RowMapping]:
    """The witnesses of a study that are what was recorded, oldest first."""
    return [row for row, is_true in _witness_rows(connection, name) if is_true]


def changed_witnesses(connection: Connection, name: str) -> int:
    """How many witnesses of a study were changed since they were recorded."""
    return sum(not is_true for _, is_true in _witness_rows(connection, name))


def _witness_rows(connection: Connection, name: str) -> list[tuple[RowMapping, bool]]:
    """All of them, and whether each is true; none where an older schema could not be upgraded."""
    if not sa.inspect(connection).has_table(_witness.name):
        return []
    newer = (_witness.c.own, _witness.c.seal)
    columns = [column for column in _witness.c if column not in {*newer}]
    query = (
        sa.select(*columns, *(where_known(connection, column) for column in newer))
        .join(_study)
        .where(_study.c.name == name)
        .order_by(_witness.c.written, _witness.c.witness_id)
    )
    found = [column.name for column in columns if column.name not in OF_ROW]
    return [
        (row, holds(row["seal"], witness_seal([row[part] for part in found + _has_own(row)])))
        for row in connection.execute(query).mappings()
    ]


def _has_own(row: RowMapping) -> list[str]:
    return ["own"] if row["own"] else []


def _witness_of(row: RowMapping) -> Witness:
    return Witness(
        panel=row["panel"],
        seed=row["seed"],
        alpha=row["alpha"],
        lambda_=row["lambda"],
        own=from_text(row["own"]),
        epochs=row["epochs"],
        recorded=_or_nan(row["recorded"]),
        found=_or_nan(row["found"]),
        rounding=_or_nan(row["rounding"]),
        agrees=row["agrees"],
        why=row["why"],
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def seed_noise(connection: Connection, name: str) -> dict[str, float]:
    """Standard deviation of the value between seeds, in its unit, by panel: median of the cells.

    Panels without a cell that several seeds finished, none of them diverged, are left out.
    """
    errors: defaultdict[tuple[str, float, float, str | None], list[float]] = defaultdict(list)
    for row in _finished(connection, name):
        if row.diverged_epoch == 0:
            errors[row.panel, row.alpha, row.lambda_, row.own].append(row.value)
    spreads: defaultdict[str, list[float]] = defaultdict(list)
    for (panel, *_), values in errors.items():
        if len(values) > 1:
            spreads[panel].append(statistics.stdev(values))
    return {panel: statistics.median(spread) for panel, spread in spreads.items()}


def _own(connection: Connection) -> sa.ColumnElement[str]:
    """The cells' own numbers, "" where they have none; also of an older schema."""
    return sa.func.coalesce(where_known(connection, _cell.c.own), "")


def _identity() -> tuple[sa.Column[Any], ...]:
    """The columns that tell cells apart."""
    return _chunk.c.panel, _chunk.c.seed, _cell.c.alpha, _cell.c["lambda"]


def count(condition: sa.ColumnElement[bool]) -> sa.Function[Any]:
    """How many rows of a group fulfil the condition."""
    return sa.func.sum(sa.case((condition, 1), else_=0))
