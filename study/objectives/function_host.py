"""The process that holds a user's function: it imports it once, and forks for each run.

A fork takes milliseconds where importing PyTorch takes seconds. It is right only if the import
left no thread and no open file, which a fork would tear or share: else, and elsewhere than on
Linux, the process does one run itself, and another one is started for the next. It imports
nothing that takes a while by itself.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any, NoReturn

from landscape_study.study.environment.parenthood import die_with_parent
from landscape_study.study.errors import LandscapeError
from landscape_study.study.objectives.function_run import FunctionCell, FunctionRun, carry_out
from landscape_study.study.objectives.guardian import MARK
from landscape_study.study.own_code.loading import load_own

LOST = 70  # exit code of a run that never came to the function
SAFE = {"jemalloc_bg_thd"}  # threads that survive a fork: pyarrow's, which pandas brings
# What PyTorch 2.13 imports when an optimizer is first used: 2 s in each run, if not before.
LATE = {"torch": "torch._dynamo"}


@dataclass(frozen=True)
class Order:
    """One run that the host is asked for; a handle for its output follows."""

    cell: FunctionCell
    device: str
    folder: str
    metric: str


def serve(descriptor: int, name: str) -> None:
    """Load the function and do the runs that are ordered, until nobody is there to order any.

    Args:
        descriptor: of the connection to whoever orders.
        name: of the function; "" for one that is sent as bytes.
    """
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    sys.argv = [name]  # what the user's code reads of a command line is not this tool's
    files = _open_files()
    try:
        function = load_own(name) if name else pickle.loads(connection.recv_bytes())
    except BaseException as e:  # whatever a user's module does while it is imported
        is_told = isinstance(e, LandscapeError)
        connection.send(str(e) if is_told else f"{type(e).__name__}: {e}")
        return
    forks = _may_fork(files)
    if forks:
        for name in [late for early, late in LATE.items() if early in sys.modules]:
            with suppress(Exception):  # another version may not have it
                importlib.import_module(name)
        forks = _may_fork(files)
    connection.send(forks)
    with suppress(EOFError):
        while True:
            order: Order = connection.recv()
            output = recv_handle(connection)
            if not forks:
                connection.send(os.getpid())
                connection.close()
                _become(order, function, output)
            _fork(connection, order, function, output)


def _fork(connection: Connection, order: Order, function: Callable[..., Any], output: int) -> None:
    """Do a run in a child, and send its process id, then its exit code."""
    host = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            die_with_parent()
            connection.close()
            if os.getppid() == host:
                _become(order, function, output)
        finally:
            os._exit(LOST)
    os.close(output)
    connection.send(pid)
    _, status = os.waitpid(pid, 0)
    connection.send(os.waitstatus_to_exitcode(status))


def _become(order: Order, function: Callable[..., Any], output: int) -> NoReturn:
    """Be the run from here on. The process ends when the function does.

    What it leaves running, threads and children, does not hold the run up: whoever ordered it
    ends that.
    """
    with suppress(PermissionError):  # it leads a group of its own already
        os.setsid()
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    os.environ[MARK] = order.folder  # of what the function starts
    run = FunctionRun(order.device, Path(order.folder))
    code = carry_out(function, order.cell, run, order.metric)
    for text in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the function may have closed or replaced it
            text.flush()
    os._exit(code)


def _may_fork(files: set[str]) -> bool:
    """Whether a child would have all that this process has.

    Args:
        files: what was open before the function was loaded. CUDA, once it is asked for anything,
            has files of its own, and does not work in a child.
    """
    return sys.platform == "linux" and _open_files() == files and _is_single()


def _open_files() -> set[str]:
    """What this process holds open; of other systems than Linux nothing is known."""
    found = set()
    with suppress(OSError):
        for entry in os.scandir("/proc/self/fd"):
            with suppress(OSError):
                found.add(str(Path(entry.path).readlink()))
    return {name for name in found if not name.startswith("/proc/")}


def _is_single() -> bool:
    """Whether no thread would be lost in a child: some libraries end theirs before a fork."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python 3.12 and later, about those threads
        pid = os.fork()
        if pid == 0:
            os._exit(0)
    os.waitpid(pid, 0)
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return len(names) - sum(name in SAFE for name in names) == 1
