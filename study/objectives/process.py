"""One process of a user's command: its output, its limits, its end with all of its children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import psutil

from landscape_study.study.environment.parenthood import die_with_parent
from landscape_study.study.records.provenance import Worker

LOOK = 0.1  # seconds between looks whether it has ended
GRACE = 5.0  # seconds between asking a process to end and ending it
LARGEST_LOG = 4 * 1024**2  # bytes of output that are kept: what comes after is in `tail`
LONGEST_LINE = 1024**2  # bytes; what is longer is cut into several
TAIL = 20  # last lines
NOTE = "process.json"  # in a run's folder: whose process group runs there


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
        stopped: why it was ended from here: "timeout" or "memory"; None if it was not.
        seconds: that it took.
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
    on_look: Callable[[], None] = lambda: None,
    bystanders: Collection[int] | None = None,
) -> Ended:
    """Run a command to its end; nothing of it is left, however this function is left.

    Args:
        command: the program and its arguments, without a shell.
        environment: added to this process's own.
        log: what it prints goes there, as far as it is not too much.
        limits: of time and memory.
        on_line: called with each line that it prints, on either stream.
        on_look: called several times a second; what it raises ends the run, and is raised.
        bystanders: see `_Family`.

    Raises:
        OSError: the program cannot be started.
    """
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    return attend(process, log, limits, on_line, on_look, bystanders)


def attend(
    process: Process,
    log: Path,
    limits: Limits,
    on_line: Callable[[str], None],
    on_look: Callable[[], None] = lambda: None,
    bystanders: Collection[int] | None = None,
) -> Ended:
    """See a process through to its end; nothing of it is left, however this function is left.

    Args:
        process: that was just started, its output in a pipe.
        log: what it prints goes there, as far as it is not too much.
        limits: of time and memory.
        on_line: called with each line that it prints, on either stream.
        on_look: called several times a second; what it raises ends the run, and is raised.
        bystanders: see `_Family`.
    """
    began = time.monotonic()
    assert process.stdout is not None
    note_process(log.parent, process.pid)
    reader = _Reader(process.stdout, log, on_line)
    family = _Family(process.pid, bystanders)
    stopped: str | None = None
    try:
        while stopped is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK)
                break
            on_look()
            stopped = _beyond(limits, time.monotonic() - began, family.memory())
    finally:
        family.end(process)
        reader.close()
    return Ended(
        code=process.wait(),
        stopped=stopped,
        seconds=time.monotonic() - began,
        memory=family.most,
        tail=tuple(reader.tail),
    )


def note_process(folder: Path, pid: int) -> None:
    """Write down whose process group runs in a folder, for whoever comes after a crash."""
    born = time.time()
    with suppress(psutil.NoSuchProcess):  # it may have ended
        born = psutil.Process(pid).create_time()
    facts = {"group": pid, "machine": Worker().machine, "born": born}
    (folder / NOTE).write_text(json.dumps(facts))


def end_leftovers(folder: Path) -> None:
    """End what a run that crashed left in this folder, if it was on this machine."""
    try:
        facts = json.loads((folder / NOTE).read_text())
        group, born = int(facts["group"]), float(facts["born"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if facts.get("machine") != Worker().machine:
        return
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.create_time() >= born - 1:
                process.kill()


def _beyond(limits: Limits, seconds: float, memory: int) -> str | None:
    """Which limit a run has passed."""
    if limits.seconds is not None and seconds > limits.seconds:
        return "timeout"
    if limits.memory is not None and memory > limits.memory:
        return "memory"
    return None


class _Family:
    """A process and all that it started, also what left its process group.

    What it leaves behind before anybody looks is found where this process adopts orphans.

    Args:
        pid: of the process.
        bystanders: process ids of this process's children that are none of it; None if orphans
            are not adopted.
    """

    def __init__(self, pid: int, bystanders: Collection[int] | None) -> None:
        self.pid, self.bystanders = pid, bystanders
        self.known: dict[int, psutil.Process] = {}
        self.most = 0

    def memory(self) -> int:
        """Bytes that all of them have now."""
        total = 0
        for process in self._living():
            with suppress(psutil.Error):
                total += process.memory_info().rss
        self.most = max(self.most, total)
        return total

    def _living(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            root = psutil.Process(self.pid)
            for process in (root, *root.children(recursive=True)):
                self.known[process.pid] = process
        return [process for process in self.known.values() if process.is_running()]

    def end(self, process: Process) -> None:
        """Ask all to end, and end those that do not; returns when none is left."""
        self._living()
        self.known |= {orphan.pid: orphan for orphan in self._orphans()}
        if process.poll() is None or self._children():
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + GRACE
            while time.monotonic() < deadline and (process.poll() is None or self._children()):
                time.sleep(0.02)
        self._signal(signal.SIGKILL)
        process.wait()
        while orphans := self._orphans():
            for orphan in orphans:
                with suppress(ChildProcessError, psutil.Error):
                    orphan.kill()
                    os.waitpid(orphan.pid, 0)

    def _orphans(self) -> list[psutil.Process]:
        """What it left behind, and this process has adopted."""
        if self.bystanders is None:
            return []
        own = {self.pid, *self.bystanders}
        return [child for child in psutil.Process().children() if child.pid not in own]

    def _children(self) -> list[psutil.Process]:
        return [one for pid, one in self.known.items() if pid != self.pid and _is_alive(one)]

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        for one in self.known.values():
            if _is_alive(one):
                with suppress(psutil.Error):
                    one.send_signal(number)


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


class _Reader:
    """Reads what a process prints, in a thread: into its log, line by line to `on_line`."""

    def __init__(self, stream: IO[bytes], log: Path, on_line: Callable[[str], None]) -> None:
        self.stream, self.log, self.on_line = stream, log, on_line
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        kept = 0
        with self.stream, self.log.open("ab") as log:
            while line := self.stream.readline(LONGEST_LINE):
                if kept < LARGEST_LOG:
                    log.write(line)
                    log.flush()
                kept += len(line)
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                self.tail.append(text[:500])
                self.on_line(text)

    def close(self) -> None:
        """Wait for the last line; not long for a stranger that holds the other end."""
        self.thread.join(timeout=GRACE)
