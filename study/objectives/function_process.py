"""Runs of a user's function, each in a process of its own, as seen by whoever orders them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from typing import IO

from landscape_study.study.environment.parenthood import die_with_parent
from landscape_study.study.errors import TrainingError
from landscape_study.study.objectives.family import is_alive
from landscape_study.study.objectives.function_host import Order
from landscape_study.study.objectives.process import LOOK, Process

TRIES = 3  # of what is killed from outside
BURYING = 5.0  # seconds that the kernel may need to end a child of what was ended
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from landscape_study.study.objectives.function_host import serve; "
    "serve(int(sys.argv[2]), sys.argv[3])"
)


class FunctionHost:
    """A process that holds the function, started when it is needed.

    Args:
        name: of the function, in messages and for the import.
        pickled: the function itself, if no other process could import it.
        environment: added to this process's own.
        cwd: the folder where it runs; "" for that of this process.
    """

    def __init__(
        self, name: str, pickled: bytes | None, environment: Mapping[str, str], cwd: str = ""
    ) -> None:
        self.name, self.pickled, self.environment, self.cwd = name, pickled, environment, cwd
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: Connection | None = None
        self.forks = False

    def ready(self, on_look: Callable[[], None] = lambda: None) -> None:
        """Have a process that holds the function; `on_look` is called while that takes a while.

        Raises:
            TrainingError: the function cannot be loaded there.
        """
        if self.process is not None and self.process.poll() is None:
            return
        for _ in range(TRIES):
            self.close()
            process, self.connection = self._begin()
            self.process = process
            try:
                said = self._loaded(self.connection, on_look)
            except (EOFError, OSError):
                said = f"the process ended, {process.wait()}"
            if isinstance(said, bool):
                self.forks = said
                return
            if process.poll() != -signal.SIGKILL:  # by whom, or for lack of what, may be over
                break
        self.close()
        raise TrainingError(f"'{self.name}' cannot be loaded in a process of its own: {said}")

    def _begin(self) -> tuple[subprocess.Popen[bytes], Connection]:
        """Start a process that loads the function."""
        ours, theirs = Pipe()
        words = [json.dumps(sys.path), str(theirs.fileno()), "" if self.pickled else self.name]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            cwd=self.cwd or None,
            env={**os.environ, **self.environment},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        theirs.close()
        return process, ours

    def _loaded(self, connection: Connection, on_look: Callable[[], None]) -> bool | str:
        """Whether the process forks, once it has loaded the function; or why it could not."""
        if self.pickled is not None:
            connection.send_bytes(self.pickled)
        while not connection.poll(LOOK):
            on_look()
        said: bool | str = connection.recv()
        return said

    def start(self, order: Order, on_look: Callable[[], None] = lambda: None) -> Process:
        """Start a run; `on_look` is called while the function has to be loaded for it.

        Raises:
            TrainingError: the function cannot be loaded, or the process that holds it is ended
                again and again.
        """
        for _ in range(TRIES):
            self.ready(on_look)
            with suppress(EOFError, OSError):  # it was killed
                return self._order(order)
            self.close()
        raise TrainingError(
            f"the process that holds '{self.name}' was killed {TRIES} times, as for lack of memory"
        )

    def _order(self, order: Order) -> Process:
        """Start a run in the process, or in a child of it."""
        assert self.process is not None
        assert self.connection is not None
        reading, writing = os.pipe()
        stdout = os.fdopen(reading, "rb")
        try:
            self.connection.send(order)
            send_handle(self.connection, writing, self.process.pid)
            pid: int = self.connection.recv()
        except (EOFError, OSError):
            stdout.close()
            raise
        finally:
            os.close(writing)
        if self.forks:
            return _Forked(pid, stdout, self.connection)
        process, self.process = self.process, None  # it is used up
        process.stdout = stdout
        return process

    @property
    def pids(self) -> set[int]:
        """Process ids of what waits for orders."""
        return set() if self.process is None else {self.process.pid}

    def close(self) -> None:
        """End the process that waits for orders."""
        if self.connection is not None:
            self.connection.close()
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = self.connection = None


class _Forked:
    """A child of the process that holds the function, which says how it ends."""

    def __init__(self, pid: int, stdout: IO[bytes], connection: Connection) -> None:
        self.pid, self.connection = pid, connection
        self.stdout: IO[bytes] | None = stdout
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            try:
                if not self.connection.poll(timeout):
                    raise subprocess.TimeoutExpired("function", timeout or 0)
                self.returncode = self.connection.recv()
            except (EOFError, OSError):  # its parent is gone, and it with it
                self._bury()
                self.returncode = -signal.SIGKILL
        return self.returncode

    def _bury(self) -> None:
        """Take leave of it as a child of this process, which may have adopted it."""
        until = time.monotonic() + BURYING
        while is_alive(self.pid) and time.monotonic() < until:
            time.sleep(0.01)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
