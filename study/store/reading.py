"""Reading progress, cells and curves back."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from optuna.storages._rdb import models
from sqlalchemy.engine import Connection, RowMapping

from study.spec import Study
from study.store.database import now
from study.store.tables import cell_table as _cell
from study.store.tables import chunk_table as _chunk
from study.store.tables import curve_table as _curve
from study.store.tables import study_table as _study
from study.store.tables import witness_table as _witness
from study.witness_record import Witness

_trial = models.TrialModel.__table__
_value = models.TrialValueModel.__table__


@dataclass(frozen=True)
class PanelProgress:
    """How far a panel is, in cells over all seeds."""

    panel: str
    total: int
    finished: int
    diverged: int
    failed: int
    running: int
    best: float | None  # lowest test error of one cell, percent
    seconds: float  # worker time of the finished chunks


@dataclass(frozen=True)
class CellMean:
    """What the finished seeds of one cell give so far."""

    panel: str
    alpha: float
    lambda_: float
    seeds: int  # finished ones
    error: float  # test error, percent, mean over them
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
    alpha: float
    lambda_: float
    reason: str


def is_running() -> sa.ColumnElement[bool]:
    """Whether a worker holds the chunk under a living lease."""
    held = (_chunk.c.state == "open") & _chunk.c.owner.is_not(None)
    return held & (_chunk.c.expires > now())


def progress(connection: Connection, name: str) -> list[PanelProgress]:
    """How far each panel of the study is."""
    counts = (
        sa.select(
            _chunk.c.panel,
            sa.func.count().label("total"),
            count(_chunk.c.state == "done").label("finished"),
            count(_cell.c.diverged_epoch > 0).label("diverged"),
            count(_chunk.c.state == "failed").label("failed"),
            count(is_running()).label("running"),
            sa.func.min(_value.c.value).label("best"),
        )
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .join(_value, _value.c.trial_id == _cell.c.trial_id, isouter=True)
        .where(_study.c.name == name)
        .group_by(_chunk.c.panel)
        .order_by(sa.func.min(_chunk.c.chunk_id))
    )
    times = (
        sa.select(_chunk.c.panel, sa.func.sum(_chunk.c.seconds))
        .join(_study)
        .where(_study.c.name == name)
        .group_by(_chunk.c.panel)
    )
    seconds = {panel: total or 0.0 for panel, total in connection.execute(times)}
    rows = connection.execute(counts).mappings().all()
    return [PanelProgress(**row, seconds=seconds[row["panel"]]) for row in rows]


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
        sa.select(*_identity(), _chunk.c.reason)
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .where(_study.c.name == name, _chunk.c.state == "failed")
        .order_by(*_identity())
    )
    rows: Any = connection.execute(query)
    return [Failure(*row) for row in rows]


def means(connection: Connection, name: str) -> list[CellMean]:
    """The mean over the finished seeds of every cell that has one, in no order."""
    place = _chunk.c.panel, _cell.c.alpha, _cell.c["lambda"]
    query = (
        sa.select(
            *place,
            sa.func.count(),
            sa.func.avg(_value.c.value),
            count(_cell.c.diverged_epoch > 0),
        )
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .join(_value, _value.c.trial_id == _cell.c.trial_id)
        .where(_study.c.name == name, _chunk.c.state == "done")
        .group_by(*place)
    )
    return [CellMean(*row) for row in connection.execute(query)]


def cells(connection: Connection, name: str) -> list[dict[str, Any]]:
    """Every cell of the study, one row each, by panel, seed, α and λ."""
    state = sa.case(
        (_chunk.c.state == "done", "finished"),
        (_chunk.c.state == "failed", "failed"),
        (is_running(), "running"),
        else_="open",
    )
    in_chunk = (
        sa.select(_cell.c.chunk_id, sa.func.count().label("size"))
        .group_by(_cell.c.chunk_id)
        .subquery()
    )
    query = (
        sa.select(
            *_identity(),
            state.label("state"),
            _value.c.value.label("test_error"),
            _cell.c.test_loss,
            _cell.c.train_loss,
            _cell.c.diverged_epoch,
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
    return [dict(row) for row in connection.execute(query).mappings()]


def curves(connection: Connection, name: str) -> list[dict[str, Any]]:
    """The curves of all finished cells, one row per cell and metric."""
    query = (
        sa.select(*_identity(), _curve.c.metric, _curve.c.data)
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .join(_curve, _curve.c.trial_id == _cell.c.trial_id)
        .where(_study.c.name == name)
        .order_by(*_identity(), _curve.c.metric)
    )
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return [row | {"values": np.frombuffer(row.pop("data"), "<f4")} for row in rows]


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
    """All witnesses of a study, oldest first; none where an older schema could not be upgraded."""
    if not sa.inspect(connection).has_table(_witness.name):
        return []
    query = (
        sa.select(_witness)
        .join(_study)
        .where(_study.c.name == name)
        .order_by(_witness.c.written, _witness.c.witness_id)
    )
    return connection.execute(query).mappings().all()


def _witness_of(row: RowMapping) -> Witness:
    return Witness(
        panel=row["panel"],
        seed=row["seed"],
        alpha=row["alpha"],
        lambda_=row["lambda"],
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
    """Standard deviation of the error between seeds, in points, by panel: median of the cells.

    Panels without a cell that several seeds finished, none of them diverged, are left out.
    """
    query = (
        sa.select(_chunk.c.panel, _cell.c.alpha, _cell.c["lambda"], _value.c.value)
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .join(_value, _value.c.trial_id == _cell.c.trial_id)
        .where(_study.c.name == name, _chunk.c.state == "done", _cell.c.diverged_epoch == 0)
    )
    errors: defaultdict[tuple[str, float, float], list[float]] = defaultdict(list)
    for panel, alpha, lambda_, error in connection.execute(query):
        errors[panel, alpha, lambda_].append(error)
    spreads: defaultdict[str, list[float]] = defaultdict(list)
    for (panel, _, _), values in errors.items():
        if len(values) > 1:
            spreads[panel].append(statistics.stdev(values))
    return {panel: statistics.median(spread) for panel, spread in spreads.items()}


def _identity() -> tuple[sa.Column[Any], ...]:
    """The columns that tell cells apart."""
    return _chunk.c.panel, _chunk.c.seed, _cell.c.alpha, _cell.c["lambda"]


def count(condition: sa.ColumnElement[bool]) -> sa.Function[Any]:
    """How many rows of a group fulfil the condition."""
    return sa.func.sum(sa.case((condition, 1), else_=0))
