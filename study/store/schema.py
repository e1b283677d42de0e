"""The tables of a database: made, upgraded, or found to be somebody else's."""

from __future__ import annotations

import sqlite3
import time
from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from landscape_study.study.errors import MissingStoreError, StoreError
from landscape_study.study.printable import printable
from landscape_study.study.store import optuna_tables
from landscape_study.study.store.database import Database
from landscape_study.study.store.optuna_tables import OPTUNA_SCHEMA
from landscape_study.study.store.tables import (
    ADDED,
    FIRST,
    READABLE,
    SCHEMA_VERSION,
    cell_table,
    chunk_order,
    metadata,
)
from landscape_study.study.store.tables import schema_table as _schema

OPTUNAS = Path(__file__).parent / "optuna_tables.sql"
_own = cell_table.c.own
LAYOUT = 12  # what Optuna 5 calls the layout of its tables, beside their migrations
TRIES = 5  # to create Optuna's tables while another process does so


def create(database: Database) -> None:
    """Create Optuna's tables and ours where they are not; several processes may do so at once.

    Raises:
        StoreError: it is another program's database.
    """
    if "landscape_schema" in database.read(_tables):
        return
    with database.alone():
        tables = database.read(_tables)
        if "landscape_schema" in tables:
            return
        if tables and not _are_optunas(tables):
            raise StoreError(
                f"{database.name}: {_whose(tables)}: nothing was written; name another --store"
            )
        _create_optunas(database)
        database.write(_create_ours)
        database.empty_log()


def _create_optunas(database: Database) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            database.prepare()
            if not (database.is_sqlite and database.write(_fill_optunas)):
                _let_optuna_create(database.full_url)
            return
        except (SQLAlchemyError, sqlite3.Error) as e:  # another process creates the same tables
            if attempt == TRIES:
                raise database.error(e) from e
            time.sleep(0.1 * attempt)
        except RuntimeError as e:  # Optuna's word for a schema of another version
            raise StoreError(f"{database.name}: {e}") from e


def _fill_optunas(connection: Connection) -> bool:
    """Create Optuna's tables in an SQLite file as Optuna would; False if it is not empty."""
    if _tables(connection):
        return False
    for statement in OPTUNAS.read_text("utf-8").split(";"):
        if statement.strip():
            connection.exec_driver_sql(statement)
    made_by = sa.text("INSERT INTO version_info VALUES (1, :layout, :version)")
    connection.execute(made_by, {"layout": LAYOUT, "version": version("optuna")})
    migrated = sa.text("INSERT INTO alembic_version VALUES (:head)")
    connection.execute(migrated, {"head": OPTUNA_SCHEMA})
    return True


def _let_optuna_create(url: str) -> None:
    """Create what is not there of Optuna's tables; to import what does so takes a while."""
    from optuna.storages import RDBStorage

    storage = RDBStorage(url)
    storage.remove_session()
    storage.engine.dispose()


def _create_ours(connection: Connection) -> None:
    metadata.create_all(connection)
    if connection.scalar(sa.select(_schema.c.version)) is None:
        connection.execute(_schema.insert().values(version=SCHEMA_VERSION))


def check(database: Database) -> None:
    """Make sure that the tables are ours and of this version; upgrade those of an older one.

    Raises:
        MissingStoreError: there is nothing of ours yet.
        StoreError: it is another program's database, or another version's.
    """
    tables = database.read(_tables)
    if "landscape_schema" not in tables:
        free = not tables or _are_optunas(tables)  # `run` makes ours there, or is about to
        raise (MissingStoreError if free else StoreError)(
            f"{database.name}: {_whose(tables)}, holding no landscapes: name the --store that "
            "`landscape run` made"
        )
    _require_tables(database)
    ours, optunas = database.read(_versions)
    if ours is not None and FIRST <= ours < SCHEMA_VERSION:
        ours = _upgraded(database, ours)
    for whose, found, expected in (
        ("this tool", ours, SCHEMA_VERSION),
        ("Optuna", optunas, OPTUNA_SCHEMA),
    ):
        if found != expected:
            raise StoreError(
                f"{database.name}: written by another version of {whose} (schema {found}, "
                f"expected {expected}): use that version, or name another --store"
            )


def _upgraded(database: Database, version: int) -> int:
    """Upgrade the tables; the version that they may be read as.

    Where nothing can be written, they stay as they are, if that does for reading.
    """
    try:
        return database.write(_upgrade)
    except StoreError:
        if version not in READABLE:
            raise
        return SCHEMA_VERSION


def _versions(connection: Connection) -> tuple[int | None, str | None]:
    """Of our schema and of Optuna's."""
    ours = connection.scalar(sa.select(_schema.c.version))
    return ours, connection.scalar(sa.text("SELECT version_num FROM alembic_version"))


def _upgrade(connection: Connection) -> int:
    """Add the columns, tables and index that are missing; the version that the schema has then."""
    connection.execute(_schema.update().values(version=_schema.c.version))  # takes the lock
    metadata.create_all(connection)
    for column in ADDED:
        if column.name not in _columns(connection, column.table):
            added = CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(sa.DDL(f"ALTER TABLE {column.table.name} ADD COLUMN {added}"))
    if _own.name not in _columns(connection, cell_table):
        _let_cells_have_own_numbers(connection)
    chunk_order.drop(connection, checkfirst=True)  # of fewer columns
    chunk_order.create(connection)
    connection.execute(_schema.update().values(version=SCHEMA_VERSION))
    return SCHEMA_VERSION


def _let_cells_have_own_numbers(connection: Connection) -> None:
    """Add the column of cells' own numbers, and what is unique of cells with it."""
    if connection.dialect.name == "sqlite":
        _make_cells_anew(connection)
        return
    named = cell_table.name
    added = CreateColumn(_own).compile(dialect=connection.dialect)
    connection.execute(sa.DDL(f"ALTER TABLE {named} ADD COLUMN {added}"))
    for known in sa.inspect(connection).get_unique_constraints(named):
        connection.execute(sa.DDL(f"ALTER TABLE {named} DROP CONSTRAINT {known['name']}"))
    unique = f'ALTER TABLE {named} ADD UNIQUE (optuna_study_id, alpha, "lambda", own)'
    connection.execute(sa.DDL(unique))


def _make_cells_anew(connection: Connection) -> None:
    """Copy the table of cells: what is unique of a table cannot be changed in SQLite."""
    before = sorted(_columns(connection, cell_table))
    old = sa.table("landscape_cell_before", *map(sa.column, before))
    for index in sa.inspect(connection).get_indexes(cell_table.name):
        connection.execute(sa.DDL(f"DROP INDEX {index['name']}"))
    connection.execute(sa.DDL(f"ALTER TABLE {cell_table.name} RENAME TO {old.name}"))
    cell_table.create(connection)
    connection.execute(cell_table.insert().from_select(before, sa.select(*old.c)))
    connection.execute(sa.DDL(f"DROP TABLE {old.name}"))


def _columns(connection: Connection, table: sa.Table) -> set[str]:
    """The names of the columns that a table has."""
    return {known["name"] for known in sa.inspect(connection).get_columns(table.name)}


def _require_tables(database: Database) -> None:
    """Refuse a database in which something else stands in the place of a table.

    Raises:
        StoreError: a view, which could be endless; a trigger, which would act on what is written;
            or nothing.
    """
    if not database.is_sqlite:
        return  # a server's are made by whoever may do more there
    own = {*metadata.tables, *optuna_tables.metadata.tables, "alembic_version"}
    query = sa.text("SELECT type, tbl_name, name, sql FROM sqlite_master")
    rows = database.read(lambda c: c.execute(query).all())
    for kind, table, name, sql in rows:
        is_plain = kind == "index" or (kind == "table" and str(sql).startswith("CREATE TABLE"))
        if table in own and not is_plain:
            raise StoreError(
                f"{database.name}: its {kind} '{printable(str(name))}' is not this tool's: "
                "nothing was read; name another --store"
            )


def _tables(connection: Connection) -> dict[str, set[str]]:
    """The database's tables, with their columns where these tell whose it is."""
    inspector = sa.inspect(connection)
    names: dict[str, set[str]] = {name: set() for name in inspector.get_table_names()}
    if "studies" in names:
        names["studies"] = {column["name"] for column in inspector.get_columns("studies")}
    return names


def _are_optunas(tables: dict[str, set[str]]) -> bool:
    """Whether these are Optuna's tables, perhaps not all of them created yet."""
    return tables.get("studies") == {"study_id", "study_name"}


def _whose(tables: dict[str, set[str]]) -> str:
    """Whose database has these tables, if not ours."""
    if _are_optunas(tables):
        return "Optuna's own database"
    return "another program's database" if tables else "an empty database"
