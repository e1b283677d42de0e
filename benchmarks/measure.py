"""The machine and the source that is measured; what repetitions come to."""

from __future__ import annotations

import contextlib
import hashlib
import math
import platform
import signal
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import joblib
import psutil

from landscape_study.study.records.provenance import git_revision

REPOSITORY = Path(__file__).parent.parent
PACKAGES = ("torch", "optuna", "joblib", "numpy", "sqlalchemy", "scikit-learn", "psutil")


class BenchmarkError(Exception):
    """A row failed or did not train what it should: its times mean nothing."""


def stop_when_terminated() -> None:
    """Let SIGTERM do what Ctrl-C does, so that `run_command` ends what it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


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
        "versions": _versions(),
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


def _versions() -> dict[str, str]:
    """Of the packages that are there."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


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
