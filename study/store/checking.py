"""Is a database whole? What is not, and what to do about it.

Everything is counted by set-based queries; the database is only read.
"""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from landscape_study.study.errors import LandscapeError, SpecError, StoreError
from landscape_study.study.records.witness_record import DOUBT
from landscape_study.study.spec.cell_numbers import from_text
from landscape_study.study.spec.command_line import command_line
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store, optuna_tables
from landscape_study.study.store.columns import raw, where_known
from landscape_study.study.store.creation import optuna_study_name
from landscape_study.study.store.database import RECOVER
from landscape_study.study.store.optuna_tables import attribute_table, step_table, value_table
from landscape_study.study.store.optuna_tables import study_table as _optuna_study
from landscape_study.study.store.optuna_tables import trial_table as _trial
from landscape_study.study.store.optuna_view import view
from landscape_study.study.store.queries import changed_witnesses, count
from landscape_study.study.store.seals import Place
from landscape_study.study.store.stored_cells import StoredCell, places_of, stored_cells
from landscape_study.study.store.tables import cell_table as _cell
from landscape_study.study.store.tables import chunk_table as _chunk
from landscape_study.study.store.tables import curve_table as _curve
from landscape_study.study.store.tables import metadata
from landscape_study.study.store.tables import study_table as _study

DAMAGED = 10  # messages of SQLite's own check that are shown

LARGEST = sys.float_info.max
KINDS: dict[type, tuple[str, list[str]]] = {  # of columns: what they are called, and stored as
    sa.Integer: ("whole number", ["integer"]),
    sa.Float: ("number", ["integer", "real"]),
    sa.Boolean: ("truth value", ["integer"]),
    sa.String: ("text", ["text"]),
    sa.DateTime: ("time", ["text"]),
    sa.LargeBinary: ("curve", ["blob"]),
}

BELONGINGS = (  # what, in which table, belongs to what, in which table, by which column
    ("cells", _cell, "chunk", _chunk, "chunk_id"),
    ("chunks", _chunk, "study", _study, "study_id"),
    ("curves", _curve, "cell", _cell, "trial_id"),
    ("errors", value_table, "trial in Optuna", _trial, "trial_id"),
    (
        "attributes",
        attribute_table,
        "trial in Optuna",
        _trial,
        "trial_id",
    ),
    (
        *("intermediate values", step_table),
        *("trial in Optuna", _trial, "trial_id"),
    ),
)


@dataclass(frozen=True)
class Finding:
    """Something that a user should know about a database."""

    what: str
    remedy: str
    is_fault: bool = True


def check(store: Store, names: Sequence[str]) -> Iterator[Finding]:
    """What is wrong with the database and these studies in it, and what is merely worth knowing.

    Raises:
        UsageError: there is no study of such a name.
        StoreError: it is so damaged that it cannot be read.
    """
    rescue = f"save what is whole:  landscape merge NEW.db {shlex.quote(store.display_url)}"
    damage = store.database.read(_damage) if store.database.is_sqlite else []
    for message in damage:
        yield Finding(f"the file is damaged: {message}", RECOVER)
    try:
        yield from _check_content(store, names, rescue)
    except LandscapeError as e:
        if not damage:
            raise
        yield Finding(f"what is damaged cannot be read: {e}", RECOVER)


def _check_content(store: Store, names: Sequence[str], rescue: str) -> Iterator[Finding]:
    kind = store.database.network_file_system()
    if kind is not None:
        yield Finding(
            f"it lies on a network file system ({kind})", "move it to a local disk", False
        )
    for look in (_misplaced, _orphans):
        for what, rows in store.database.read(look).items():
            if rows:
                yield Finding(f"{what}: {rows}", rescue)
    for name in names:
        try:
            study, cells, known = store.read_study(name, _stored)
        except SpecError as e:
            yield Finding(
                f"what is stored of it is no study: {e}", "restore a copy of the database"
            )
            continue
        except StoreError as e:
            yield Finding(f"study {name} cannot be read: {e}", RECOVER)
            continue
        yield from _check_study(store, study, cells, known, rescue)


def _damage(connection: Connection) -> list[str]:
    """What SQLite itself finds."""
    found = connection.exec_driver_sql(f"PRAGMA integrity_check({DAMAGED})").scalars()
    return [message for message in found if message != "ok"]


def _misplaced(connection: Connection) -> dict[str, int]:
    """How many values there are of another kind than their column, by what they are; on SQLite.

    PostgreSQL lets nobody write them.
    """
    if connection.dialect.name != "sqlite":
        return {}
    found = {}
    for table in (*metadata.sorted_tables, *optuna_tables.metadata.sorted_tables):
        inspector = sa.inspect(connection)
        has = inspector.has_table(table.name)
        there = {known["name"] for known in inspector.get_columns(table.name)} if has else {}
        columns = [column for column in table.c if column.name in there]
        if columns:
            counts = sa.select(*(count(_is_misplaced(column)) for column in columns))
            for column, misplaced in zip(columns, connection.execute(counts).one(), strict=True):
                kind, _ = _kind(column)
                found[f"values of {table.name}.{column.name} that are no {kind}"] = misplaced or 0
    return found


def _is_misplaced(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """Whether SQLite holds something there that is not of the column's kind, or not finite."""
    _, stored = _kind(column)
    value = raw(column)
    return sa.func.typeof(value).not_in([*stored, "null"]) | (
        sa.func.typeof(value).in_(["real"]) & (sa.func.abs(value) > LARGEST)
    )


def _kind(column: sa.Column[Any]) -> tuple[str, list[str]]:
    stored = getattr(column.type, "impl", column.type)
    return next(facts for kind, facts in KINDS.items() if isinstance(stored, kind))


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
        f"{what} that belong to no {owner}": without(table, other, key)
        for what, table, owner, other, key in BELONGINGS
    } | {
        "chunks that have no cells": without(_chunk, _cell, "chunk_id"),
        "trials of our Optuna studies that belong to no cell": connection.scalar(query) or 0,
        **_strays(connection),
    }


def _strays(connection: Connection) -> Counter[str]:
    """Rows that refer to what is not there, of tables that are not looked at else; on SQLite.

    PostgreSQL lets nobody write such rows.
    """
    if connection.dialect.name != "sqlite":
        return Counter()
    known = {(table.name, other.name) for _, table, _, other, _ in BELONGINGS}
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check")
    pairs = ((table, other) for table, _, other, _ in rows)
    return Counter(
        f"rows of {table} that refer to no row of {other}"
        for table, other in pairs
        if (table, other) not in known
    )


def _stored(connection: Connection, study: Study) -> tuple[Study, list[StoredCell], set[Place]]:
    """The study, its cells, and what its Optuna studies hold: that is not added by a resume."""
    homes = {
        optuna_study_name(study.name, panel.name, seed): (panel.name, seed)
        for panel in study.panels
        for seed in study.seeds
    }
    query = (
        sa.select(
            *(_optuna_study.c.study_name, _cell.c.alpha, _cell.c["lambda"]),
            where_known(connection, _cell.c.own),
        )
        .join_from(_cell, _optuna_study, _optuna_study.c.study_id == _cell.c.optuna_study_id)
        .where(_optuna_study.c.study_name.in_(homes))
    )
    rows = connection.execute(query)
    known = {(*homes[home], Cell(alpha, el, from_text(own))) for home, alpha, el, own in rows}
    return study, stored_cells(connection, study), known


def _check_study(
    store: Store, study: Study, cells: Sequence[StoredCell], known: set[Place], rescue: str
) -> Iterator[Finding]:
    again = command_line("resume", study, store.display_url)
    faults: dict[str, list[Place]] = {}
    for cell in cells:
        if cell.fault is not None:
            faults.setdefault(cell.fault, []).append(cell.place)
    seen = view(store, study, cells)
    for name, why in seen.unloadable.items():
        yield Finding(f"study {study.name}: Optuna cannot load its study {name}: {why}", rescue)
    for what, place in seen.differing:
        faults.setdefault(what, []).append(place)
    for what, places in faults.items():
        yield from _by_panel(study, what, places, rescue)
    missing = [place for place in places_of(study) if place not in known]
    yield from _by_panel(study, "missing", missing, f"add and train them:  {again}")
    yield from _doubts(store, study)
    for worker in store.workers(study.name):
        if not worker.alive:
            what = f"{worker.cells} cells of panel '{worker.panel}', seed {worker.seed}, are held"
            who = f"process {worker.pid} on {worker.host}, which is not heard any more"
            remedy = f"train them:  {again}"
            yield Finding(f"study {study.name}: {what} by {who}", remedy, is_fault=False)
    failed = 0 if study.is_imported else len(store.failures(study.name))
    if failed:
        what = f"study {study.name}: {failed} cells failed"
        retry = command_line("resume", study, store.display_url, "--retry-failed")
        yield Finding(what, f"try again:  {retry}", is_fault=False)


def _doubts(store: Store, study: Study) -> Iterator[Finding]:
    """Witnesses that disagree with what was recorded, or were changed since."""
    if changed := store.database.read(partial(changed_witnesses, name=study.name)):
        yield Finding(
            f"study {study.name}: witnesses that were changed since they were recorded: {changed}",
            f"save the rest:  landscape merge NEW.db {shlex.quote(store.display_url)}",
        )
    for witness in store.witnesses(study.name):
        if not witness.agrees:
            where = f"study {study.name}, panel '{witness.panel}', seed {witness.seed}"
            cell = witness.cell.told
            yield Finding(
                f"{where}: the witness disagrees ({cell}): {witness.why}",
                f"the results of this panel are {DOUBT}: train it with --engine referee under "
                "another --name",
            )


def _by_panel(study: Study, what: str, places: Iterable[Place], remedy: str) -> Iterator[Finding]:
    """One finding for each panel and seed, with an example."""
    counts = Counter((panel, seed) for panel, seed, _ in places)
    examples = {(panel, seed): cell for panel, seed, cell in places}
    for (panel, seed), number in sorted(counts.items()):
        where = f"study {study.name}, panel '{panel}', seed {seed}"
        cells = "1 cell is" if number == 1 else f"{number} cells are"
        example = examples[panel, seed].told
        yield Finding(f"{where}: {cells} {what} ({example}{', …' * (number > 1)})", remedy)
