"""Commands under a clock and a look at their memory; what they trained; the machine."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import optuna
import psutil
from optuna.trial import TrialState

from landscape_study.study.records.provenance import git_revision

REPOSITORY = Path(__file__).parent.parent
SAMPLE_EVERY = 0.1  # seconds between looks at the memory
PACKAGES = ("torch", "optuna", "joblib", "numpy", "sqlalchemy", "scikit-learn", "psutil")

Key = tuple[str, float, float]  # Optuna study, alpha, lambda: one cell


class BenchmarkError(Exception):
    """A row failed or did not train what it should: its times mean nothing."""


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


def stop_when_terminated() -> None:
    """Let SIGTERM do what Ctrl-C does, so that `run_command` ends what it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


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


@dataclass(frozen=True)
class Trials:
    """What a row left in its database."""

    errors: dict[Key, float]  # final test error of each cell, percent
    losses: dict[Key, float]  # mean train loss of its last epoch; infinite where it diverged
    first_start: float  # seconds since 1970: the first cell begins
    last_end: float  # the last result is recorded
    parts: dict[str, float] = field(default_factory=dict)  # seconds of start-up, where told apart


def read_trials(database: Path) -> Trials:
    """Every trial of every Optuna study in the database.

    Raises:
        BenchmarkError: a cell is unfinished, or was trained twice.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
    errors: dict[Key, float] = {}
    losses: dict[Key, float] = {}
    starts, ends = [], []
    for name in optuna.get_all_study_names(storage):
        for trial in optuna.load_study(study_name=name, storage=storage).trials:
            key = (name, trial.params.get("alpha", 0.0), trial.params.get("lambda", 0.0))
            if trial.state != TrialState.COMPLETE or trial.value is None:
                raise BenchmarkError(f"{database}: cell {key} is {trial.state.name}")
            if key in errors:
                raise BenchmarkError(f"{database}: cell {key} was trained twice")
            errors[key], losses[key] = trial.value, finite(trial.user_attrs.get("train_loss"))
            if trial.datetime_start is not None and trial.datetime_complete is not None:
                starts.append(_timestamp(trial.datetime_start))
                ends.append(_timestamp(trial.datetime_complete))
    storage.engine.dispose()
    return Trials(errors, losses, min(starts), max(ends))


def _timestamp(utc: datetime) -> float:
    return utc.replace(tzinfo=UTC).timestamp()


def finite(loss: float | None) -> float:
    """The loss; infinite where there is none or it is no number."""
    return loss if loss is not None and math.isfinite(loss) else math.inf


def machine() -> dict[str, Any]:
    """CPU, cores, memory, system and versions."""
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(logical=True),
        "usable_threads": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "git": git_revision(),
        "source": source_hash(),
    }


def source_hash() -> str:
    """A hash of the tool's source, since a revision that ends in -dirty names no state."""
    digest = hashlib.sha256()
    paths = [REPOSITORY / "cli.py"]
    for package in ("study", "landscapes", "commands"):
        paths += (p for p in (REPOSITORY / package).rglob("*") if p.suffix in (".py", ".toml"))
    for path in sorted(paths):
        digest.update(f"{path.relative_to(REPOSITORY)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def require_same_source(before: str) -> None:
    """Check that nobody changed the tool while it was measured.

    Raises:
        BenchmarkError: somebody did; the repetitions are of different programs.
    """
    if source_hash() != before:
        raise BenchmarkError("the tool's source changed while it was measured: run this again")


def usable_cores() -> int:
    """Cores that this process may use, as joblib counts them."""
    return joblib.cpu_count()


def _cpu_model() -> str:
    """Model name of the CPU, or what Python knows of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = (ordered[middle] + ordered[~middle]) / 2
    return {"median": median, "min": ordered[0], "max": ordered[-1]}


def show(spread: dict[str, float], form: Callable[[float], str]) -> str:
    """A spread as "median (min–max)"."""
    return f"{form(spread['median'])} ({form(spread['min'])}–{form(spread['max'])})"


@dataclass(frozen=True)
class Share:
    """A share of the time, with an interval that holds it in 95 of 100 measurements."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = (f"{100 * share:+.1f}" for share in (self.value, self.low, self.high))
        return f"{value} % ({low} to {high})"


def added_share(seconds: Sequence[float], base: Sequence[float]) -> Share:
    """The share of the time that something adds: median over turns, each against its neighbour.

    The interval is that of the sign test; all of the range where there are fewer than six turns.
    """
    usual = statistics.median(base)
    added = sorted((one - other) / usual for one, other in zip(seconds, base, strict=True))
    beyond = max(0, math.floor(len(added) / 2 - 0.98 * math.sqrt(len(added))))
    return Share(statistics.median(added), added[beyond], added[-1 - beyond])
