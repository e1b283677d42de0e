"""What is paid beside training: commands, start-up, data, database, evaluation."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.analysis import make_store
from benchmarks.measure import REPOSITORY, cold_seconds, spread
from benchmarks.networks import NETWORKS
from benchmarks.results import Facts, Settings
from benchmarks.rows import Repetition, tool, train
from study.spec import Study

# Seconds, cold, as issue 5 has it.
ASKED = {"landscape --help": 0.5, "landscape status": 1.0, "landscape plot": 4.0}
TIMED = ("claim", "record")  # calls of workers
EVALUATED = ("digits", "mnist1d", "mnist5k")  # networks whose evaluation is timed


def measure(settings: Settings) -> Facts:
    """All of it."""
    evaluated = EVALUATED[:1] if settings.quick else EVALUATED
    studies = {name: NETWORKS[name].study(quick=settings.quick) for name in evaluated}
    runs = [train(tool("--no-plot"), studies["digits"]) for _ in range(settings.repeats)]
    settings.tell("start-up of a run")
    return {
        "settings": {"network": "digits", "panels_plotted": 4},
        "commands_s": commands(settings),
        "asked": ASKED,
        "startup_s": startup(runs),
        "claim_and_record": [_claim_and_record(run) for run in runs][-1],
        "data_s": {name: spread(data_seconds(name, settings.repeats)) for name in evaluated},
        "preparation_s": {name: spread(times) for name, times in preparation_seconds().items()},
        "evaluation": {name: evaluation(study, settings) for name, study in studies.items()},
    }


def preparation_seconds() -> dict[str, list[float]]:
    """Seconds by network that the engine takes to prepare a chunk's step: tracing, compiling.

    Empty, and so in no table, as long as the engine has no such step that could be timed.
    """
    return {}


def commands(settings: Settings) -> dict[str, dict[str, float]]:
    """Wall time of whole commands: a database of one study with four panels of 11 × 12 cells."""
    times: dict[str, list[float]] = {name: [] for name in ASKED}
    with tempfile.TemporaryDirectory(prefix="overheads-") as folder:
        store = Path(folder) / "cells.db"
        make_store(store)
        for repeat in range(settings.repeats + 1):  # the first, untimed one warms the disk
            for name, seconds in times.items():
                took = cold_seconds(_arguments(name, store))
                if repeat:
                    seconds.append(took)
    settings.tell("commands")
    return {name: spread(seconds) for name, seconds in times.items()}


def _arguments(command: str, store: Path) -> list[str]:
    match command.split()[1]:
        case "--help":
            return ["--help"]
        case "status":
            return ["status", "--store", str(store)]
        case _:
            return ["plot", "digits-fig2", "--store", str(store)]


def startup(runs: list[Repetition]) -> dict[str, dict[str, float]]:
    """From the making of the process to the first cell: parent, then its workers, then data.

    parent: imports, the task's check, the database. workers: their processes and imports.
    data: each worker opens the database and gets the task's data.
    """
    stages: dict[str, list[float]] = {"parent": [], "workers": [], "data": []}
    for run in runs:
        marks = _work(run)["marks"]
        moments = [run.started, marks["parent_ready"], marks["worker_ready"], marks["data_ready"]]
        for stage, before, after in zip(stages, moments, moments[1:], strict=False):
            stages[stage].append(after - before)
    return {stage: spread(seconds) for stage, seconds in stages.items()}


def _work(run: Repetition) -> dict[str, Any]:
    """The database work of a run of the tool."""
    if run.database is None:
        raise RuntimeError("not a run of the tool: it left no stopwatches")
    return run.database


def _claim_and_record(run: Repetition) -> dict[str, float]:
    """Seconds of a call, and the share of claim, record and beat in the workers' time."""
    work = _work(run)
    calls = work["calls"]["worker"]
    means = {f"{name}_s": calls[name]["seconds"] / calls[name]["calls"] for name in TIMED}
    return means | {"share": work["share"]}


def data_seconds(task: str, repeats: int) -> list[float]:
    """Seconds in which a process that has imported torch gets the task and its data."""
    code = (
        "import time, study.tasks.task; from study.tasks import load_task; "
        f"started = time.perf_counter(); load_task({task!r}).data(); "
        "print(time.perf_counter() - started)"
    )
    command = [sys.executable, "-c", code]
    return [
        float(subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout)
        for _ in range(repeats)
    ]


def evaluation(study: Study, settings: Settings) -> dict[str, float]:
    """Share of the training time: what a run takes less with a single test example, in turns."""
    shares = []
    untested = study.change(task=f"benchmarks.untested:{study.task}")
    for _ in range(settings.repeats):
        whole, less = (train(tool("--no-plot"), s).training_s for s in (study, untested))
        shares.append(1 - less / whole)
    settings.tell(f"{study.name}: evaluation")
    return spread(shares)
