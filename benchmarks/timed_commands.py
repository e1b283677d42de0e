"""Commands under a clock, and a look at their memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.measure import REPOSITORY, BenchmarkError

SAMPLE_EVERY = 0.1  # seconds between looks at the memory


@dataclass(frozen=True)
class Finished:
    """One command that ran to its end."""

    started: float  # seconds since 1970, just before its process was made
    wall_s: float  # from then until the process was gone
    peak_bytes: int  # highest sum of resident memory over its processes
    peak_processes: int  # most processes at one look
    load: float  # 1-minute load average of the machine just before


def run_command(command: Sequence[str], log: Path) -> Finished:
    """Run a command in the repository, its output into `log`, and watch it.

    Resident memory counts pages that processes share once in each of them: an upper bound.

    Raises:
        BenchmarkError: it failed, with the end of its output.
    """
    load, peak_bytes, peak_processes = os.getloadavg()[0], 0, 0
    with log.open("w", encoding="utf-8") as output:
        started, clock = time.time(), time.perf_counter()
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT, env=_in_utc()
        )
        try:
            while process.poll() is None:
                count, resident = _tree_memory(process.pid)
                peak_bytes, peak_processes = max(peak_bytes, resident), max(peak_processes, count)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(SAMPLE_EVERY)
        finally:
            _end_tree(process)  # Ctrl-C here must not leave it training
        wall = time.perf_counter() - clock
    _require_success(command, process.returncode, log.read_text("utf-8"))
    return Finished(started, wall, peak_bytes, peak_processes, load)


def _in_utc() -> dict[str, str]:
    """The environment, but in UTC: Optuna stores local times, the tool stores UTC."""
    return os.environ | {"TZ": "UTC"}


def cold_seconds(arguments: Sequence[str]) -> float:
    """Wall time of a `landscape` command in a process of its own, which nothing else watches.

    Raises:
        BenchmarkError: it failed, with the end of its output.
    """
    command = [sys.executable, "-m", "landscape_study", *arguments]
    clock = time.perf_counter()
    done = subprocess.run(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wall = time.perf_counter() - clock
    _require_success(command, done.returncode, done.stdout)
    return wall


def _require_success(command: Sequence[str], code: int, output: str) -> None:
    if code != 0:
        raise BenchmarkError(f"{' '.join(command)}: exit code {code}:\n{output[-2000:]}")


def _end_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill the process, if it still runs, and all below it."""
    if process.poll() is not None:
        return
    root = psutil.Process(process.pid)
    for running in (*root.children(recursive=True), root):
        with contextlib.suppress(psutil.NoSuchProcess):
            running.kill()
    process.wait()


def _tree_memory(pid: int) -> tuple[int, int]:
    """How many processes there are at and below `pid`, and their resident bytes."""
    count = resident = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                resident += process.memory_info().rss
                count += 1
            except psutil.Error:  # it has just ended
                continue
    except psutil.NoSuchProcess:
        pass
    return count, resident
