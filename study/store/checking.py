"""Is a database whole? What is not, and what to do about it.

Everything is counted by set-based queries; the database is only read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from study.metrics import METRICS
from study.spec import Study
from study.store import Store
from study.store.database import now
from study.store.tables import cell_table as _cell
from study.store.tables import chunk_table as _chunk
from study.store.tables import curve_table as _curve
from study.store.tables import study_table as _study

_trial = models.TrialModel.__table__
_value = models.TrialValueModel.__table__

DAMAGED = 10  # messages of SQLite's own check that are shown

Place = tuple[str, int, float, float]  # panel, seed, α, λ


@dataclass(frozen=True)
class Finding:
    """Something that a user should know about a database."""

    what: str
    remedy: str
    is_fault: bool = True


def check(store: Store, names: Sequence[str]) -> Iterator[Finding]:
    """What is wrong with the database and these studies in it, and what is merely worth knowing.

    Raises:
        StoreError: it is so damaged that it cannot be read.
    """
    rescue = f"save what is whole:  landscape merge NEW.db {store.display_url}"
    if store.database.is_sqlite:
        for message in store.database.read(_damage):
            yield Finding(f"the file is damaged: {message}", rescue)
    kind = store.database.network_file_system()
    if kind is not None:
        yield Finding(
            f"it lies on a network file system ({kind})", "move it to a local disk", False
        )
    for what, count in store.database.read(_orphans).items():
        if count:
            yield Finding(f"{count} {what}", rescue)
    for name in names:
        yield from _check_study(store, store.study(name), rescue)


def _damage(connection: Connection) -> list[str]:
    """What SQLite itself finds."""
    found = connection.exec_driver_sql(f"PRAGMA integrity_check({DAMAGED})").scalars()
    strays = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    lost = [f"a row of {row[0]} refers to one of {row[2]} that is not there" for row in strays]
    return [message for message in found if message != "ok"] + lost[:DAMAGED]


def _orphans(connection: Connection) -> dict[str, int]:
    """How many rows there are that belong to nothing, by what they are."""

    def without(table: sa.Table, other: sa.Table, key: str) -> int:
        missing = ~sa.exists().where(other.c[key] == table.c[key])
        query = sa.select(sa.func.count()).select_from(table).where(missing)
        return connection.scalar(query) or 0

    ours = sa.select(_cell.c.optuna_study_id).distinct()
    stray = ~sa.exists().where(_cell.c.trial_id == _trial.c.trial_id)
    query = sa.select(sa.func.count()).where(_trial.c.study_id.in_(ours), stray)
    return {
        "cells belong to no chunk": without(_cell, _chunk, "chunk_id"),
        "cells have no trial in Optuna": without(_cell, _trial, "trial_id"),
        "chunks belong to no study": without(_chunk, _study, "study_id"),
        "chunks have no cells": without(_chunk, _cell, "chunk_id"),
        "curves belong to no cell": without(_curve, _cell, "trial_id"),
        "trials of our Optuna studies belong to no cell": connection.scalar(query) or 0,
    }


def _check_study(store: Store, study: Study, rescue: str) -> Iterator[Finding]:
    again = f"landscape resume {study.name}"
    for what, places in store.database.read(lambda c: _torn_cells(c, study)).items():
        yield from _by_panel(study, what, places, rescue)
    cells = Counter(
        (row["panel"], row["seed"], row["alpha"], row["lambda"]) for row in store.cells(study.name)
    )
    expected = set(_expected(study))
    doubled = [cell for cell, count in cells.items() if count > 1]
    yield from _by_panel(study, "there twice", doubled, rescue)
    strange = cells.keys() - expected
    yield from _by_panel(study, "not part of the study's grids", strange, rescue)
    missing = expected - cells.keys()
    yield from _by_panel(study, "missing", missing, f"add and train them:  {again}")
    for worker in store.workers(study.name):
        if not worker.alive:
            what = f"{worker.cells} cells of panel '{worker.panel}', seed {worker.seed}, are held"
            who = f"process {worker.pid} on {worker.host}, which is not heard any more"
            remedy = f"train them:  {again}"
            yield Finding(f"study {study.name}: {what} by {who}", remedy, is_fault=False)
    if failed := len(store.failures(study.name)):
        what = f"study {study.name}: {failed} cells failed"
        yield Finding(what, f"try again:  {again} --retry-failed", is_fault=False)


def _expected(study: Study) -> Iterator[Place]:
    """Every cell that the study asks for."""
    for panel in study.panels:
        for seed in study.seeds:
            for cell in panel.grid.cells():
                yield panel.name, seed, cell.alpha, cell.lambda_


def _by_panel(study: Study, what: str, places: Iterable[Place], remedy: str) -> Iterator[Finding]:
    """One finding for each panel and seed, with an example."""
    counts = Counter((panel, seed) for panel, seed, _, _ in places)
    examples = {(panel, seed): (alpha, lambda_) for panel, seed, alpha, lambda_ in places}
    for (panel, seed), count in sorted(counts.items()):
        alpha, lambda_ = examples[panel, seed]
        where = f"study {study.name}, panel '{panel}', seed {seed}"
        cells = "1 cell is" if count == 1 else f"{count} cells are"
        example = f"α = {alpha:g}, λ = {lambda_:g}"
        yield Finding(f"{where}: {cells} {what} ({example}{', …' * (count > 1)})", remedy)


def _torn_cells(connection: Connection, study: Study) -> dict[str, list[Place]]:
    """The study's cells that are neither open nor finished, but something between."""
    done = _chunk.c.state == "done"
    has_results = sa.exists().where(_value.c.trial_id == _cell.c.trial_id) | sa.exists().where(
        _curve.c.trial_id == _cell.c.trial_id
    )
    wrong = {
        f"finished, but {what}": done & condition for what, condition in torn(study).items()
    } | {
        "not finished, but with results": ~done & has_results,
        "in another state in Optuna than here": ~_states_agree(),
    }
    place = _chunk.c.panel, _chunk.c.seed, _cell.c.alpha, _cell.c["lambda"]
    rows = (
        sa.select(*place)
        .join_from(_cell, _chunk, _chunk.c.chunk_id == _cell.c.chunk_id)
        .join(_study, _study.c.study_id == _chunk.c.study_id)
        .join(_trial, _trial.c.trial_id == _cell.c.trial_id)
        .where(_study.c.name == study.name)
    )
    found: dict[str, list[Any]] = {}
    for what, condition in wrong.items():
        found[what] = [tuple(row) for row in connection.execute(rows.where(condition))]
    return found


def torn(study: Study) -> dict[str, sa.ColumnElement[bool]]:
    """What must not be true of a finished cell, of a row that joins cell and chunk."""
    of_cell = _curve.c.trial_id == _cell.c.trial_id
    curves = sa.select(sa.func.count()).where(of_cell).scalar_subquery()
    cut = sa.func.length(_curve.c.data) != 4 * _curve.c.n
    epochs = sa.case({panel.name: panel.epochs for panel in study.panels}, value=_chunk.c.panel)
    return {
        "without an error": ~sa.exists().where(_value.c.trial_id == _cell.c.trial_id),
        "without their divergence": _cell.c.diverged_epoch.is_(None),
        "without all of their curves": curves < len(METRICS),
        "with a curve that is cut": sa.exists().where(of_cell, cut | (_curve.c.n != epochs)),
    }


def _states_agree() -> sa.ColumnElement[bool]:
    """Whether a cell's state is the same here and in Optuna.

    What nobody holds waits there, or still runs if its worker died without a word.
    """
    state, there = _chunk.c.state, _trial.c.state
    held = _chunk.c.owner.is_not(None) & (_chunk.c.expires > now())
    waits = there.in_([TrialState.WAITING, TrialState.RUNNING])
    return (
        ((state == "done") & (there == TrialState.COMPLETE))
        | ((state == "failed") & (there == TrialState.FAIL))
        | ((state == "open") & held & (there == TrialState.RUNNING))
        | ((state == "open") & ~held & waits)
    )
