"""Workers in processes of this machine: ordered from a host that has imported what they need.

It imports nothing that takes a while, so that the host can import beside this process.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import TYPE_CHECKING

from landscape_study.study.environment.spinning import spinning_little
from landscape_study.study.errors import LandscapeError, TrainingError
from landscape_study.study.objectives.family import GRACE
from landscape_study.study.running.worker_host import UNHEARD, Died, Order

if TYPE_CHECKING:
    from landscape_study.study.planning.settings import RunSettings
    from landscape_study.study.running.job import Job

SLACK = 1.0  # seconds beyond the grace of runs that their workers have to give cells back
FORKS = sys.platform == "linux"  # whether workers are children of one host; else hosts themselves
TRIES = 3  # of a host that is killed from outside
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from landscape_study.study.running.worker_host import serve; "
    "serve(int(sys.argv[2]), int(sys.argv[3]))"
)


def work(job: Job, device: str) -> bool:
    """What a worker does; where it runs, that is imported already."""
    from landscape_study.study.running import worker

    return worker.work(job, device)


class WorkerLostError(Exception):
    """The process of a worker ended before its work did."""


class Host:
    """A process that workers come from, see `worker_host`."""

    def __init__(self) -> None:
        self.parent = os.getpid()
        self.connection, theirs = Pipe()
        words = [json.dumps(sys.path), str(theirs.fileno()), str(self.parent)]
        with theirs, _held_back(UNHEARD):  # until it ignores them
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM, *words],  # no json.py of the user's
                env=spinning_little(os.environ),
                pass_fds=[theirs.fileno()],
            )

    def is_alive(self) -> bool:
        """Whether it can be asked for workers."""
        return self.process.poll() is None

    def start(self, order: Order) -> tuple[int, Connection]:
        """Start a worker: its process id, and where it says how it ended.

        Raises:
            EOFError, OSError: the host died.
        """
        self.connection.send(order)
        if not order.forks:
            return self.process.pid, self.connection
        ours, theirs = Pipe()
        with theirs:
            send_handle(self.connection, theirs.fileno(), self.process.pid)
        pid: int = self.connection.recv()
        return pid, ours

    def close(self) -> None:
        """End it; workers that it still has notice that."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


_ready: list[Host] = []  # started by this process, and without workers


def prepare(settings: RunSettings) -> None:
    """Let a host import what workers need, which takes it as long as planning takes this process.

    Who orders workers next has it. Those of a cluster come from elsewhere.
    """
    if not _ready and settings.dask is None:
        _ready.append(Host())


def _take() -> Host:
    """A host that is ready, or else a new one."""
    while _ready:
        host = _ready.pop()
        if host.is_alive():
            return host
        host.close()
    return Host()


@atexit.register
def _leave() -> None:
    """End them; but not where this process is a fork of the one that they serve."""
    while _ready and _ready[-1].parent == os.getpid():
        _ready.pop().close()


class Processes:
    """Processes of this machine."""

    lost = (WorkerLostError,)

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        self.pids: dict[Future[bool], int] = {}

    def start(self, job: Job, device: str) -> Future[bool]:
        """Start a worker that hears no Ctrl-C: the parent decides what that means.

        Raises:
            TrainingError: the processes that workers come from die.
        """
        order = Order(
            forks=FORKS,
            environment=spinning_little(os.environ),
            path=tuple(sys.path),
            cwd=str(Path.cwd()),
            work=pickle.dumps((work, job, device)),
        )
        pid, connection = self._ordered(order)
        future: Future[bool] = Future()
        self.pids[future] = pid
        threading.Thread(target=_follow, args=(future, connection), daemon=True).start()
        return future

    def _ordered(self, order: Order) -> tuple[int, Connection]:
        for _ in range(TRIES):
            if not (FORKS and self.hosts and self.hosts[-1].is_alive()):
                self.hosts.append(_take())
            try:
                return self.hosts[-1].start(order)
            except (EOFError, OSError):  # it was killed
                self.hosts[-1].close()
            except BaseException:  # interrupted: nobody knows of the worker
                self.hosts[-1].close()
                raise
        raise TrainingError(
            f"the process that workers come from ended {TRIES} times: what it says stands above; "
            "or memory is lacking: resume with fewer --workers"
        )

    def forget(self, future: Future[bool]) -> None:
        """All that it did is recorded: no need to wait for the end of its process."""
        del self.pids[future]

    def process(self, future: Future[bool]) -> int | None:
        """The process id of a worker."""
        return self.pids.get(future)

    def look_after(self, silent: Collection[int]) -> None:
        """Kill workers with these process ids."""
        self._signal(signal.SIGKILL, silent)

    def close(self) -> None:
        """End what still runs: those that run an objective end it in its own time."""
        self._signal(signal.SIGTERM)
        wait(self.pids, GRACE + SLACK)
        self._signal(signal.SIGKILL)
        is_idle = FORKS and all(future.done() for future in self.pids)
        for host in self.hosts:
            if is_idle and host.is_alive():
                _ready.append(host)
            else:
                host.close()

    def _signal(self, number: int, whom: Collection[int] | None = None) -> None:
        for future, pid in self.pids.items():
            if not future.done() and (whom is None or pid in whom):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


@contextmanager
def _held_back(signals: Collection[signal.Signals]) -> Iterator[None]:
    """Let these signals come later, also to a process that is started meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow(future: Future[bool], connection: Connection) -> None:
    """Wait for the outcome of a worker, over the connection that it has."""
    outcome: object = Died()
    with suppress(EOFError, OSError), connection:  # its host died, and it with it
        outcome = connection.recv()
    if isinstance(outcome, Died):
        future.set_exception(WorkerLostError())
    elif isinstance(outcome, LandscapeError):
        future.set_exception(outcome)
    else:
        future.set_result(bool(outcome))
