"""One process of a user's command: its output, its limits, its end with all of its children."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from landscape_study.study.objectives import family
from landscape_study.study.objectives.family import Family, adopting
from landscape_study.study.objectives.guardian import MARK, end_marked, guardian

FIRST_LOOK = 0.01  # seconds until the first look at its limits: what is short is seen too
LOOK = 0.1  # seconds between later ones
LARGEST_LOG = 4 * 1024**2  # bytes of output that are kept: what comes after is in `tail`
LONGEST_LINE = 1024**2  # bytes; what is longer is cut into several
TAIL = 20  # last lines

Look = Callable[[], str | None]


@dataclass(frozen=True)
class Limits:
    """How long a run may take, seconds, and how much memory it may have, bytes; None for any."""

    seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code; minus the number of a signal that ended it.
        stopped: why it was ended from here: "timeout", "memory", or what `on_look` said; None if
            it was not.
        seconds: that it took, without the ending of what it left.
        memory: most bytes that it and its children were seen to have.
        tail: the last lines of its output.
    """

    code: int
    stopped: str | None
    seconds: float
    memory: int
    tail: tuple[str, ...]


class Process(Protocol):
    """A process that was started, as `subprocess.Popen` has it; leader of a group of its own."""

    pid: int
    stdout: IO[bytes] | None
    returncode: int | None

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it ends; `subprocess.TimeoutExpired` if that takes longer."""


def run_process(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    limits: Limits,
    on_line: Callable[[str], None],
    on_look: Look = lambda: None,
    cwd: str | None = None,
) -> Ended:
    """Run a command to its end; nothing of it is left, however this function is left.

    Args:
        command: the program and its arguments, without a shell.
        environment: added to this process's own.
        log: what it prints goes there, as far as it is not too much.
        limits: of time and memory.
        on_line: called with each line that it prints, on either stream.
        on_look: called several times a second; why the run is to end now, if it is. What it
            raises ends the run too, and is raised.
        cwd: the folder where it runs; None for that of this process.

    Raises:
        OSError: the program cannot be started.
    """
    folder = str(log.parent)
    with adopting() as before:
        guardian().watch(folder)
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **environment, MARK: folder},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except BaseException:
            guardian().forget()
            raise
        return attend(process, log, limits, on_line, on_look, before)


def attend(
    process: Process,
    log: Path,
    limits: Limits,
    on_line: Callable[[str], None],
    on_look: Look = lambda: None,
    before: Collection[int] = (),
) -> Ended:
    """See a process through to its end; nothing of it is left, however this function is left.

    Args:
        process: that was just started, its output in a pipe.
        log: what it prints goes there, as far as it is not too much.
        limits: of time and memory.
        on_line: called with each line that it prints, on either stream.
        on_look: called several times a second; why the run is to end now, if it is. What it
            raises ends the run too, and is raised.
        before: process ids of the children that this process had before it started that one,
            from when on it adopts.
    """
    assert process.stdout is not None
    began, stopped, pause = time.monotonic(), None, FIRST_LOOK
    guardian().watch(str(log.parent), process.pid)
    with adopting():
        reader = _Reader(process.stdout, log, on_line)
        all_of_it = Family(process, {*before, guardian().process.pid})
        try:
            with _ending(process) as ends_within:
                while stopped is None and not ends_within(pause):
                    pause = min(LOOK, 2 * pause)
                    stopped = on_look()
                    memory = all_of_it.memory(limits.memory)
                    stopped = stopped or _beyond(limits, time.monotonic() - began, memory)
            seconds = time.monotonic() - began
        finally:
            all_of_it.end()
            guardian().forget()
            reader.close()
    return Ended(
        code=process.wait(),
        stopped=stopped,
        seconds=seconds,
        memory=all_of_it.most,
        tail=tuple(reader.tail),
    )


def end_leftovers(folder: Path) -> None:
    """End what a run that crashed left in this folder, on this machine."""
    while end_marked(os.fsencode(folder)):
        time.sleep(0.02)


@contextmanager
def _ending(process: Process) -> Iterator[Callable[[float], bool]]:
    """Tells whether a process ends within so many seconds; at once when it does, on Linux."""
    try:
        handle = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # not there, or an old kernel

        def waited(seconds: float) -> bool:
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                return True
            return False

        yield waited
        return
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    try:
        yield lambda seconds: bool(poll.poll(1000 * seconds))
    finally:
        os.close(handle)


def _beyond(limits: Limits, seconds: float, memory: int) -> str | None:
    """Which limit a run has passed."""
    if limits.seconds is not None and seconds > limits.seconds:
        return "timeout"
    if limits.memory is not None and memory > limits.memory:
        return "memory"
    return None


class _Log:
    """A file of what several tries of a run print first; where it cannot be written, nothing."""

    def __init__(self, path: Path) -> None:
        self.file: IO[bytes] | None = None
        self.room = LARGEST_LOG
        with suppress(OSError):
            is_full = path.exists() and path.stat().st_size >= LARGEST_LOG
            self.file = path.open("wb" if is_full else "ab", buffering=0)

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()

    def write(self, line: bytes) -> None:
        if self.file is not None and self.room > 0:
            self.room -= len(line)
            try:
                self.file.write(line)
            except OSError:  # the disk is full, say: the run need not wait for that
                self.room = 0


class _Reader:
    """Reads what a process prints, in a thread: into its log, line by line to `on_line`."""

    def __init__(self, stream: IO[bytes], log: Path, on_line: Callable[[str], None]) -> None:
        self.stream, self.log, self.on_line = stream, log, on_line
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with self.stream, _Log(self.log) as log:
            while line := self.stream.readline(LONGEST_LINE):
                log.write(line)
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                self.tail.append(text[:500])
                self.on_line(text)

    def close(self) -> None:
        """Wait for the last line; not for ever, for a stranger may hold the other end."""
        self.thread.join(timeout=family.GRACE)
