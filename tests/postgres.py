"""A PostgreSQL server of the tests' own, on a socket in a temporary folder.

    python -m tests.postgres COMMAND …

runs the command beside one; its databases are gone afterwards.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa

URL = "LANDSCAPE_TEST_POSTGRES"  # of the server's database `postgres`; tests skip without it
DEBIAN = Path("/usr/lib/postgresql")


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl, if PostgreSQL is installed."""
    found = shutil.which("pg_ctl")
    if found is not None:
        return Path(found).parent
    return max(DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), default=None)


class Server:
    """A server that a test may start and stop as it likes.

    Args:
        folder: where its data and its socket go.
        safe: whether it would survive a power cut.
        port: of this machine, on which it listens too; None for the socket alone.
    """

    def __init__(self, folder: Path, *, safe: bool = False, port: int | None = None) -> None:
        found = binaries()
        if found is None:
            raise RuntimeError("PostgreSQL is not installed: no pg_ctl")
        self.binaries, self.folder, self.data = found, folder, folder / "data"
        self.unsafe = "" if safe else "-F"  # then nothing waits for the disk
        self.port = port
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            folder.chmod(0o755)
            shutil.chown(folder, self.user)
        self._call("initdb", "--username=postgres", "--auth=trust", "--no-sync")

    @property
    def url(self) -> str:
        """Of its database `postgres`."""
        if self.port is not None:
            return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"
        return f"postgresql+psycopg://postgres@/postgres?host={self.folder}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        network = "''" if self.port is None else f"127.0.0.1 -p {self.port}"
        sockets = f"-c unix_socket_directories='{self.folder}' -c listen_addresses={network}"
        options = f"{sockets} {self.unsafe}"
        log = str(self.folder / "log")
        self._call("pg_ctl", "start", "--wait", "--silent", "--log", log, "--options", options)

    def stop(self) -> None:
        """Stop it at once, as if the machine had crashed."""
        self._call("pg_ctl", "stop", "--wait", "--silent", "--mode", "immediate")

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self.binaries / program), "--pgdata", str(self.data), *arguments]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, user=self.user
        )


@contextmanager
def running_server(*, safe: bool = False, port: int | None = None) -> Iterator[Server]:
    """A server that runs as long as this is entered; see `Server`."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Server(Path(folder), safe=safe, port=port)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """The URL of an empty database, on the server of this URL, dropped when it is left."""
    name = f"landscape_{uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        url = sa.make_url(server).set(database=name)
        yield url.render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


def main() -> int:
    """Run the command line's command beside a server; its exit status."""
    with running_server() as server:
        environment = os.environ | {URL: server.url}
        return subprocess.run(sys.argv[1:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
