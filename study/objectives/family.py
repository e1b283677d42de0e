"""A process and all that it started, also what left its process group: their memory, their end.

On Linux, what its own parent leaves behind becomes a child of this process for as long as a
family lives, so that nothing gets out of sight. Children are read of /proc, a few files a look;
elsewhere psutil looks through all processes of the machine, once a second.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import psutil

GRACE = 5.0  # seconds between asking a process to end and ending it
SELDOM = 1.0  # seconds between looks through all processes of a machine
SET_SUBREAPER, GET_SUBREAPER = 36, 37  # of prctl
PAGE = os.sysconf("SC_PAGE_SIZE")
HAS_CHILDREN = Path("/proc/self/task").is_dir() and next(
    (True for task in Path("/proc/self/task").iterdir() if (task / "children").exists()), False
)


class Started(Protocol):
    """What of a process this needs to know; see `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it ends."""


class Family:
    """A process that this one started, and all that comes of it.

    Attributes:
        most: bytes of memory that all of them were seen to have at most.
    """

    def __init__(self, process: Started, before: set[int]) -> None:
        """Begin with the process; `before` are the children that this process had already."""
        self.process, self.before = process, before
        self.known: dict[int, psutil.Process] = {}
        self.most = 0
        self.looked = -SELDOM

    def memory(self, limit: int | None = None) -> int:
        """Bytes that all of them have now.

        What several share counts for each, unless that is more than `limit`: then it is shared
        out, which takes the kernel longer to tell.
        """
        members = self._members()
        total = sum(map(_resident, members))
        if limit is not None and total > limit:
            total = sum(map(_proportional, members))
        self.most = max(self.most, total)
        return total

    def end(self) -> None:
        """Ask all to end, and end those that do not; returns when none is left."""
        if self._living():
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + GRACE
            while self._living() and time.monotonic() < deadline:
                time.sleep(0.02)
        deadline = time.monotonic() + GRACE  # what waits for a broken disk cannot even be killed
        while self._living() and time.monotonic() < deadline:
            self._signal(signal.SIGKILL)
            time.sleep(0.005)
        self.process.wait()

    def _members(self) -> list[int]:
        """All that are known to live, this family's own process first."""
        if not HAS_CHILDREN:
            if time.monotonic() - self.looked < SELDOM:
                return [pid for pid, one in self.known.items() if one.is_running()]
            self.looked = time.monotonic()
        found = [self.process.pid, *_descendants(self.process.pid)]
        if HAS_CHILDREN:
            for child in _children(os.getpid()):
                if child not in self.before and child not in found and not _buried(child):
                    found += [child, *_descendants(child)]
        for pid in found:
            if pid not in self.known:
                with suppress(psutil.Error):
                    self.known[pid] = psutil.Process(pid)
        self.known = {pid: one for pid, one in self.known.items() if one.is_running()}
        return [*self.known]

    def _living(self) -> list[int]:
        """The members that have not ended."""
        self.looked = -SELDOM
        self.process.poll()
        return [pid for pid in self._members() if is_alive(pid)]

    def _signal(self, number: signal.Signals) -> None:
        # Of a process that was waited for, the number may be another group's by now.
        if self.process.returncode is None or not HAS_CHILDREN:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
        for one in self.known.values():
            with suppress(psutil.Error):
                one.send_signal(number)


@contextmanager
def adopting() -> Iterator[set[int]]:
    """Let whatever loses its parent below this process become its child; Linux only.

    Gives the process ids of the children that there are already.
    """
    if sys.platform != "linux":
        yield set()
        return
    prctl, was = ctypes.CDLL(None).prctl, ctypes.c_int()
    prctl(GET_SUBREAPER, ctypes.byref(was))
    prctl(SET_SUBREAPER, 1)
    try:
        yield set(_children(os.getpid()))
    finally:
        prctl(SET_SUBREAPER, was.value)


def _children(pid: int) -> list[int]:
    if not HAS_CHILDREN:
        with suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children()]
        return []
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208, several times a second
            found += map(int, _read(f"/proc/{pid}/task/{task}/children").split())
    return found


def _descendants(pid: int) -> list[int]:
    if not HAS_CHILDREN:
        with suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        return []
    found = _children(pid)
    for child in found:  # grows meanwhile
        found += _children(child)
    return found


def _resident(pid: int) -> int:
    """Bytes of memory of a process."""
    if HAS_CHILDREN:
        fields = _read(f"/proc/{pid}/statm").split()
        return int(fields[1]) * PAGE if fields else 0
    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def _proportional(pid: int) -> int:
    """The same, with its part only of what it shares with others, where the kernel tells."""
    lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
    parts = [line.split()[1] for line in lines if line.startswith(b"Pss:")]
    return int(parts[0]) * 1024 if parts else _resident(pid)


def _buried(child: int) -> bool:
    """Take leave of an adopted child that has ended; whether it had."""
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except ChildProcessError:
        return True


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    with suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def _read(path: str) -> bytes:
    """A file of /proc; nothing where its process is gone."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123, several times a second
            return file.read()
    except OSError:
        return b""
