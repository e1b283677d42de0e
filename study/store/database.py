"""One database by URL: connections, short transactions, and errors that a user can act on."""

from __future__ import annotations

import hashlib
import os
import random
import re
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote_plus

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from landscape_study.study.errors import MissingStoreError, StoreError, UsageError, first_line
from landscape_study.study.printable import SECRETS, without_secrets
from landscape_study.study.store.columns import WrongValueError

T = TypeVar("T")

POSTGRES = "postgresql+psycopg"
BACKENDS = ("sqlite", "postgresql")
DEFAULT_URL = "sqlite:///results/landscapes.db"
ADDRESS = "LANDSCAPE_STORE"  # environment variable that names another

BUSY_TIMEOUT = 30  # seconds that SQLite waits for a lock
PATIENCE = 60.0  # seconds for which what fails for a passing reason is tried again
FIRST = 10.0  # seconds of it for a server that never answered: more likely it is misspelt
COLLISIONS = 3.0  # seconds of it for two that create the same rows: a real conflict does not pass
LONGEST_PAUSE = 2.0  # seconds between tries
LONGEST_NAME = 200  # characters of a file: systems end at 255 bytes, with all that is added
CREATING = 7_162_534  # of PostgreSQL's advisory lock: any number that nobody else takes

NETWORK = (  # names of file systems begin with it, on which several machines can write
    *("nfs", "cifs", "smb", "afs", "9p", "ceph", "glusterfs", "lustre", "gpfs", "beegfs"),
    *("pvfs", "orangefs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3", "fuse.gcs"),
)
LASTING = (  # what does not pass by itself, by what the database's own message holds
    *("readonly", "unable to open", "disk is full", "disk I/O error", "No space left"),
    *("no such table", "no such column", "does not exist", "password", "resolve host"),
    "Could not decode",
)
RECOVER = (  # what SQLite can still read of a damaged file; then, of that, what is whole
    "save what can be read:  sqlite3 DAMAGED.db .dump | sed '$s/^ROLLBACK.*/COMMIT;/' "
    "| sqlite3 READ.db; landscape merge NEW.db READ.db"
)
REMEDIES = {  # likewise
    "readonly": "give it and its folder write permission, or name another --store",
    "read-only": "connect to a server that can be written, or name another --store",
    "unable to open": "check that its folder exists and can be written",
    "locked": "another program holds it; try again when that is done",
    "not a database": "it is another kind of file; name another --store",
    "malformed": f"the file is damaged: restore a copy, or {RECOVER}",
    "Could not decode": f"the file is damaged: restore a copy, or {RECOVER}",
    "UNIQUE constraint": "`landscape check` says what is wrong with it",
    "duplicate key": "`landscape check` says what is wrong with it",
    "too many clients": "start fewer workers, or raise the server's max_connections",
    "disk is full": "free some space and resume; nothing recorded is lost",
    "disk I/O error": "the disk is full, at a limit or failing; mend that and resume: nothing "
    "recorded is lost",
    "resolve host": "check the server's name in the --store URL",
    "Name or service not known": "check the server's name in the --store URL",
    "No space left": "free some space on the server and resume; nothing recorded is lost",
    "no such table": "another program's database; name another --store",
    "password": "check user and password in the --store URL, or put them into ~/.pgpass",
    "does not exist": "create it (`createdb`), or name another --store",
    "permission denied": "the user of the --store URL must own the database",
}


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
    if re.search(rf"(?i)\b({'|'.join(SECRETS)})=|^\w+:/[^/]\S*@", store) and "://" not in store:
        raise _no_url(store, "it looks like the address of a server")
    if "://" not in store:  # a path is taken literally, whatever means something in a URL
        url = URL.create("sqlite", database=str(Path(store).expanduser())) if store else None
    else:
        url = _given_url(store)
    if url is None or (url.get_backend_name() == "sqlite" and not url.database):
        raise UsageError(f"--store '{store}': a database in memory is lost at once: name a file")
    return url


def _given_url(store: str) -> URL:
    """A URL as the user wrote it."""
    try:
        url = make_url(store)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError) as e:  # no URL at all, or no port
        raise _no_url(store, str(e)) from e
    if backend not in BACKENDS:
        raise _no_url(store, f"'{backend}' is not supported")
    if "@" in (url.host or ""):
        raise _no_url(store, "a password that holds an '@' has %40 there")
    return url if backend == "sqlite" else url.set(drivername=POSTGRES)


def shown_url(url: URL) -> str:
    """The URL for messages, without any password in it."""
    secret = [key for key in url.query if key.lower() in SECRETS]
    shown = url.update_query_dict(dict.fromkeys(secret, "***"))
    return shown.render_as_string().replace(quote_plus("***"), "***")


def _no_url(store: str, why: str) -> UsageError:
    return UsageError(
        f"--store {without_secrets(store)}: no database URL ({without_secrets(why)}): "
        f"write sqlite:///FOLDER/FILE.db, or just the path of an SQLite file, or {POSTGRES}://USER@HOST/DATABASE"
    )


def figures_folder(store: str) -> Path:
    """Where figures go, for a database that need not exist: see `Store.folder`.

    Raises:
        UsageError: no database URL.
    """
    url = parse_url(store)
    sqlite = url.get_backend_name() == "sqlite"
    return Path(url.database or "").parent if sqlite else Path("results")


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
        self.name = str(self.url.database) if self.is_sqlite else shown_url(self.url)
        if self.is_sqlite:
            self._prepare_file(Path(self.name), create)
            self.url = self.url.set(database=str(Path(self.name).absolute()))
        self.engine = self._connect()
        weakref.finalize(self, self.engine.dispose)  # SQLite tidies up when it is closed
        self.reached = self.is_sqlite  # whether it ever answered

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is an SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def label(self) -> str:
        """A short name for files that belong to this database and to no other."""
        if self.is_sqlite:
            return Path(self.name).name
        options = sorted((k, v) for k, v in self.url.query.items() if k.lower() not in SECRETS)
        server = f"{self.url.host}:{self.url.port} {options}"
        digest = hashlib.sha256(server.encode()).hexdigest()[:8]
        return f"{self.url.database}@{self.url.host or 'localhost'}-{digest}"

    @property
    def full_url(self) -> str:
        """What opens this database again, in another process or by Optuna, password included."""
        return self.url.render_as_string(hide_password=False)

    def network_file_system(self) -> str | None:
        """The kind of network file system that an SQLite file lies on, if it does."""
        if not self.is_sqlite:
            return None
        path = Path(self.name).resolve()
        mounts = [part for part in psutil.disk_partitions(all=True) if _holds(part, path)]
        kind = max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else ""
        return kind if kind.startswith(NETWORK) else None

    def _prepare_file(self, path: Path, create: bool) -> None:
        if len(path.name) > LONGEST_NAME:
            raise StoreError(
                f"{path.name[:20]}…: the name has {len(path.name)} characters, and files beside "
                f"it can bear {LONGEST_NAME}: give a shorter one"
            )
        if path.is_dir():
            raise StoreError(f"{path}: a folder, not a database: name a file in it")
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise StoreError(f"{path}: no regular file, so no database: name another --store")
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
        if self.is_sqlite:
            url = _read_only(self.url) or self.url
            engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT})
            sa.event.listen(engine, "connect", _configure_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
            return engine
        try:
            return sa.create_engine(self.url, pool_pre_ping=True)
        except ModuleNotFoundError as e:
            raise UsageError(
                f"{self.name}: PostgreSQL needs a package that is not installed ({e.name}): "
                "pip install 'landscape-study[postgres]'"
            ) from e

    def prepare(self) -> None:
        """Set what a new database keeps for good: SQLite's write-ahead log."""
        self._pragma("journal_mode = WAL")

    def empty_log(self) -> None:
        """Take into the file what so far stands in SQLite's write-ahead log alone."""
        self._pragma("wal_checkpoint")

    def _pragma(self, words: str) -> None:
        if self.is_sqlite:
            connection = self.engine.raw_connection()
            try:
                connection.cursor().execute(f"PRAGMA {words}")
            finally:
                connection.close()

    def save_as(self, path: Path) -> None:
        """Write all that an SQLite file holds into a new one."""
        connection = self.engine.raw_connection()
        try:
            connection.cursor().execute("VACUUM INTO ?", (str(path),))
        except sqlite3.Error as e:
            raise self.error(e) from e
        finally:
            connection.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While entered, no other process is in here: for creating tables on PostgreSQL.

        On SQLite nothing is held: there, what collides fails and is tried again.
        """
        if self.is_sqlite:
            yield
            return
        with self.engine.connect() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_lock(CREATING)))
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(CREATING)))

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
        if self.is_sqlite:
            return self._run(self.engine.execution_options(begin="BEGIN"), work)
        snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return self._run(self.engine.execution_options(**snapshot), work)

    def _run(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        failed, pause = None, 0.05  # since when
        while True:
            try:
                with engine.begin() as connection:
                    result = work(connection)
                self.reached = True
                return result
            except DBAPIError as e:
                failed = failed or time.monotonic()
                if time.monotonic() - failed >= self._patience(e):
                    raise self.error(e) from e
                time.sleep(random.uniform(0.5, 1.5) * pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except (LookupError, WrongValueError, UnicodeDecodeError) as e:
                if isinstance(e, LookupError) and type(e) is not LookupError:
                    raise
                # LookupError is SQLAlchemy's word for a state that there is not; what SQLite says
                # of a damaged file may quote it, and be no text.
                raise StoreError(f"{self.name}: {e}: {REMEDIES['malformed']}") from e

    def _patience(self, e: DBAPIError) -> float:
        """For how many seconds the transaction is tried again, since it may yet succeed."""
        if isinstance(e, IntegrityError):
            return COLLISIONS
        passing = isinstance(e, OperationalError) or e.connection_invalidated
        if not passing or any(sign in str(e.orig) for sign in LASTING):
            return 0.0
        return PATIENCE if self.reached else FIRST

    def error(self, e: Exception) -> StoreError:
        """What went wrong with the database, and what to do."""
        cause = without_secrets(first_line(getattr(e, "orig", None) or e))
        remedy = next(
            (text for sign, text in REMEDIES.items() if sign in cause),
            "`landscape check` says whether it is whole"
            if self.is_sqlite
            else "check the --store URL and that the server answers",
        )
        return StoreError(f"{self.name}: {cause}: {remedy}")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _holds(mount: Any, path: Path) -> bool:
    return path.is_relative_to(mount.mountpoint)


def _read_only(url: URL) -> URL | None:
    """How to open an SQLite file in a folder where nothing can be written, not even locks.

    A log beside it holds what is not in the file yet: then it cannot be read without writing.
    """
    path = Path(url.database or "")
    if _is_writable(path.parent) or path.with_name(f"{path.name}-wal").exists():
        return None
    options = {"mode": "ro", "immutable": "1", "uri": "true"}
    return url.set(database=path.as_uri(), query=options)


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000}")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA trusted_schema = OFF")  # a foreign one may call functions
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
