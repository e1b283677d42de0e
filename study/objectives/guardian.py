"""Who ends a run when the process that started it is killed: a small process beside each slot.

It is started as a script, without this package or any other, so that it takes a few megabytes and
milliseconds. It waits for its parent's end, however that comes, and then ends the run that it was
told of last: its process group, and on Linux whatever bears the run's folder in its environment.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

MARK = "LANDSCAPE_FOLDER"  # environment variable of all that belongs to a run
END = b"\0"  # of what it is told, which no path can hold
LOOK = 1.0  # seconds between looks whether the parent lives: a fork of it may hold the pipe open
AGAIN = 0.3  # seconds within which what was just being started is there, and seen


class Guardian:
    """The guardian of this process, who is told of one run at a time."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what is sent to the group of this process does not reach it
            # Of a run within a run, it is no part of the outer one.
            env={name: value for name, value in os.environ.items() if name != MARK},
        )
        atexit.register(self._leave, os.getpid())

    def _leave(self, parent: int) -> None:
        """Let it end with this process in order, unless this is a fork."""
        if os.getpid() == parent and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait()

    def watch(self, folder: str, group: int | None = None) -> None:
        """Tell it of a run: its folder, and its process group as soon as it has one."""
        self._tell(f"{group or ''} {folder}")

    def forget(self) -> None:
        """Tell it that the run is over."""
        self._tell("")

    def _tell(self, words: str) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):  # somebody killed it: then the next one to come tidies up
            self.process.stdin.write(os.fsencode(words) + END)
            self.process.stdin.flush()


_guardians: dict[int, Guardian] = {}  # by process id: a fork needs one of its own
_lock = threading.Lock()


def guardian() -> Guardian:
    """The one of this process, started at first need and when it was killed."""
    with _lock:
        mine = _guardians.get(os.getpid())
        if mine is None or mine.process.poll() is not None:
            mine = _guardians[os.getpid()] = Guardian()
        return mine


def end_marked(folder: bytes) -> bool:
    """Kill all of this user's processes that bear a folder's name in their environment; Linux.

    Returns:
        whether there were any; they may have started others meanwhile.
    """
    mark = END + MARK.encode() + b"=" + folder + END
    marked = [pid for pid in _process_numbers() if mark in _environment(pid)]
    for pid in marked:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return bool(marked)


def _process_numbers() -> list[int]:
    try:
        names = os.listdir("/proc")  # noqa: PTH208, nothing is imported
    except OSError:
        return []
    return [int(name) for name in names if name.isdigit() and int(name) != os.getpid()]


def _environment(pid: int) -> bytes:
    """What a process was started with; nothing of one that ended, or of another user's."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            return END + file.read() + END
    except OSError:
        return b""


def _guard(parent: int) -> None:
    """Read of runs until the parent is gone, then end the last one."""
    told = END
    while True:
        if select.select([0], [], [], LOOK)[0]:
            more = os.read(0, 65536)
            if not more:
                break
            told = (told + more)[-65536:]
        elif os.getppid() != parent:
            break
    last = told.split(END)[-2]
    group, _, folder = last.partition(b" ")
    if group:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(int(group), signal.SIGKILL)
    if folder:
        until = time.monotonic() + AGAIN
        while end_marked(folder) or time.monotonic() < until:
            time.sleep(0.02)


if __name__ == "__main__":
    _guard(int(sys.argv[1]))
