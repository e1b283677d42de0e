"""The process that workers come from: it imports what they need while the study is planned.

On Linux it forks for each worker, so that many cost one import. It has opened nothing, computed
nothing and started no thread then: neither OpenMP nor CUDA bears a fork after that. Elsewhere
system libraries do not bear one at all: the process becomes the worker, and another one is
started for the next. It imports nothing that takes a while before it hears of its parent.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import signal
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import NoReturn

from landscape_study.study.errors import LandscapeError, TrainingError

UNHEARD = (signal.SIGINT, signal.SIGHUP)  # the parent decides what they mean
WORKER = "landscape_study.study.running.worker"
LATE = (  # what is imported when it is used first, each a share of the first step
    "torch.fx.experimental.symbolic_shapes",  # by vmap, as of PyTorch 2.13: half a second
    "numpy.random",
    "sqlalchemy.dialects.sqlite",
)
LOOK = 0.1  # seconds between looks whether workers died, and whether the parent lives
IDLE = 600.0  # seconds after which a host without workers ends


@dataclass(frozen=True)
class Order:
    """A worker that the host is asked for.

    Attributes:
        forks: whether it is to be a child of the host, a handle of whose connection follows; or
            the host itself, over the connection that it has.
        environment: of the worker, whatever the host was started with; but what libraries read
            when they are loaded, they have read before.
        path: its sys.path.
        cwd: the folder where it runs.
        work: pickled, the function to call, its job and device.
    """

    forks: bool
    environment: dict[str, str]
    path: tuple[str, ...]
    cwd: str
    work: bytes


@dataclass(frozen=True)
class Died:
    """What is said in the place of an outcome: the worker's process ended before."""


def serve(descriptor: int, parent: int) -> None:
    """Start the workers that are ordered, and say which of them died, until the parent is gone.

    Args:
        descriptor: of the connection to whoever orders.
        parent: its process id.
    """
    for number in UNHEARD:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, UNHEARD)  # whoever started it held them back
    os.set_inheritable(descriptor, False)
    del sys.argv[1:]  # workers have none
    orders = Connection(descriptor)
    _import()
    workers: dict[int, Connection] = {}
    busy = time.monotonic()
    with suppress(EOFError, OSError):
        while os.getppid() == parent and time.monotonic() - busy < IDLE:
            if orders.poll(LOOK):
                order: Order = orders.recv()
                if not order.forks:
                    _become(order, orders, parent)
                connection = Connection(recv_handle(orders))
                pid = _forked(order, connection, [orders, *workers.values()])
                workers[pid] = connection
                orders.send(pid)
            _bury(workers)
            busy = time.monotonic() if workers else busy
    os._exit(0)  # what is torn down otherwise takes half a second


def _import() -> None:
    """Import what workers need; nothing of it is garbage, in this process or its children."""
    gc.disable()
    importlib.import_module(WORKER)
    for name in LATE:
        with suppress(ImportError):  # another version may do without
            importlib.import_module(name)
    gc.freeze()
    gc.enable()


def _forked(order: Order, connection: Connection, others: list[Connection]) -> int:
    """The process id of a child that does what is ordered.

    Args:
        connection: over which it says how that went.
        others: connections that are none of its business.
    """
    host = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python 3.12 and later: OpenBLAS mends its threads
        pid = os.fork()
    if pid == 0:
        try:
            for other in others:
                other.close()
            _become(order, connection, host)
        finally:
            os._exit(1)
    return pid


def _become(order: Order, connection: Connection, parent: int) -> NoReturn:
    """Be the worker from here on; what it leaves running does not hold it up."""
    os.environ.clear()
    os.environ.update(order.environment)
    sys.path[:] = order.path
    outcome: bool | LandscapeError
    try:
        os.chdir(order.cwd)
        sys.modules["numpy"].random.seed()  # as that of a process of its own
        work, job, device = pickle.loads(order.work)
        outcome = work(replace(job, parent=parent), device)
    except LandscapeError as e:
        outcome = e
    except BaseException as e:  # not every error travels
        outcome = TrainingError(f"{type(e).__name__}: {e}")
    with suppress(OSError):  # nobody waits for it
        connection.send(outcome)
    for text in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the user's code may have closed or replaced it
            text.flush()
    os._exit(0)


def _bury(workers: dict[int, Connection]) -> None:
    """Take leave of the workers that ended; say so, in case they did not."""
    for pid in [*workers]:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            with suppress(OSError), workers.pop(pid) as connection:
                connection.send(Died())
