"""One database by URL: connections, short transactions, and errors that a user can act on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from study.errors import MissingStoreError, StoreError, UsageError

T = TypeVar("T")

DEFAULT_URL = "sqlite:///results/landscapes.db"

BUSY_TIMEOUT = 30  # seconds that SQLite waits for a lock
TRIES = 5  # of a transaction that fails for a passing reason


class now(FunctionElement):  # noqa: N801
    """The database's own clock, in seconds since 1970: one clock for all workers."""

    type = sa.Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: Any, **kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: Any, **kw: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


def parse_url(store: str) -> URL:
    """A database URL from what the user wrote: a URL, or the path of an SQLite file.

    Raises:
        UsageError: neither.
    """
    text = store if "://" in store else f"sqlite:///{store}"
    try:
        url = make_url(text)
        url.get_dialect()
    except (ArgumentError, sa.exc.NoSuchModuleError) as e:
        raise UsageError(
            f"--store {store}: no database URL ({e}): write sqlite:///FOLDER/FILE.db, "
            "or just the path of an SQLite file"
        ) from e
    if url.get_backend_name() == "sqlite" and not url.database:
        raise UsageError(f"--store {store}: a database in memory is lost at once: name a file")
    return url


class Database:
    """Runs functions on a connection, each as one transaction.

    Args:
        store: a database URL, or the path of an SQLite file.
        create: make the folder of an SQLite file if there is none; without it, a missing file
            is an error.

    Raises:
        StoreError: it does not exist, cannot be opened, or is no database.
    """

    def __init__(self, store: str, *, create: bool) -> None:
        self.url = parse_url(store)
        self.name = self.url.database if self.is_sqlite else self.url.render_as_string()
        if self.is_sqlite:
            self._prepare_file(Path(self.url.database or ""), create)
        self.engine = self._connect()

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is an SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    def _prepare_file(self, path: Path, create: bool) -> None:
        if path.is_dir():
            raise StoreError(f"{path}: a folder, not a database: name a file in it")
        if path.exists():
            return
        if not create:
            raise MissingStoreError(
                f"{path}: no such database: `landscape run` creates it, or name another --store"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise StoreError(
                f"{path}: its folder cannot be made ({e.strerror}): name another --store"
            ) from e

    def _connect(self) -> Engine:
        options: dict[str, Any] = {"pool_pre_ping": True}
        if self.is_sqlite:
            options["connect_args"] = {"timeout": BUSY_TIMEOUT}
        engine = sa.create_engine(self.url, **options)
        if self.is_sqlite:
            sa.event.listen(engine, "connect", _configure_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    def prepare(self) -> None:
        """Set what a new database keeps for good: SQLite's write-ahead log."""
        if self.is_sqlite:
            connection = self.engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
            finally:
                connection.close()

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction that holds SQLite's write lock from its start.

        What fails for a passing reason (a lock, a lost connection, two creating the same row)
        is rolled back and run again.

        Raises:
            StoreError: the database cannot be written.
        """
        return self._run(self.engine.execution_options(begin="BEGIN IMMEDIATE"), work)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent snapshot.

        Raises:
            StoreError: the database cannot be read.
        """
        return self._run(self.engine.execution_options(begin="BEGIN"), work)

    def _run(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        for attempt in range(1, TRIES + 1):
            try:
                with engine.begin() as connection:
                    return work(connection)
            except DBAPIError as e:
                if attempt == TRIES or not _is_passing(e):
                    raise self.error(e) from e
                time.sleep(random.uniform(0.5, 1.5) * 0.05 * 2**attempt)
        raise AssertionError("unreachable: the last try returns or raises")

    def error(self, e: Exception) -> StoreError:
        """What went wrong with the database, and what to do."""
        cause = str(getattr(e, "orig", None) or e).strip().splitlines()[0]
        remedies = {
            "readonly": "give it and its folder write permission, or name another --store",
            "unable to open": "check that its folder exists and can be written",
            "locked": "another program holds it; try again when that is done",
            "not a database": "it is another kind of file; name another --store",
            "malformed": "the file is damaged; restore a copy, or name another --store",
            "disk is full": "free some space and resume; nothing recorded is lost",
            "no such table": "another program's database; name another --store",
        }
        remedy = next(
            (text for sign, text in remedies.items() if sign in cause),
            "check the --store URL and that the server answers",
        )
        return StoreError(f"{self.name}: {cause}: {remedy}")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _is_passing(e: DBAPIError) -> bool:
    """Whether the same transaction may succeed when it is run again."""
    lasting = ("readonly", "unable to open", "disk is full", "no such table")
    return isinstance(e, OperationalError | IntegrityError) and not any(
        sign in str(e.orig) for sign in lasting
    )


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000}")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
