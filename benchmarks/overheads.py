"""What is paid beside training: commands, start-up, data, database, evaluation."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.analysis import make_store
from benchmarks.measure import REPOSITORY, spread
from benchmarks.networks import NETWORKS
from benchmarks.results import Facts, Settings
from benchmarks.rows import Repetition, tool, train
from benchmarks.timed_commands import cold_seconds
from benchmarks.timeline import timed

# Seconds, cold, as issue 5 has it.
ASKED = {"landscape --help": 0.5, "landscape status": 1.0, "landscape plot": 4.0}
TIMED = ("claim", "record")  # calls of workers
EVALUATED = ("digits", "mnist5k")  # networks whose evaluation is timed
EVALUATED_EPOCHS = 20  # at most
PREPARED_CELLS = 16
WORKERS = (1, 2, 16)  # of runs whose start-up and end are timed
STARTED_EPOCHS = 2  # of theirs


def measure(settings: Settings) -> Facts:
    """All of it."""
    evaluated = EVALUATED[:1] if settings.quick else EVALUATED
    runs = {name: pairs_of_runs(name, settings) for name in evaluated}
    usual = [usual for usual, _ in runs["digits"]]
    return {
        "settings": {"network": "digits", "epochs": EVALUATED_EPOCHS},
        "commands_s": commands(settings),
        "asked": ASKED,
        "timeline_s": timelines(settings),
        "claim_and_record": claim_and_record(usual),
        "data_s": {name: spread(data_seconds(name, settings.repeats)) for name in evaluated},
        "preparation_s": {
            f"{name}: {what}": spread(took)
            for name in evaluated
            for what, took in preparation_seconds(name, settings).items()
        },
        "evaluation": {name: evaluation_share(pairs) for name, pairs in runs.items()},
    }


def preparation_seconds(network: str, settings: Settings) -> dict[str, list[float]]:
    """Seconds until a process has trained a chunk for eight steps, most of them preparation.

    Traced: without compiling. Compiled: with an empty cache. From disk: with what that left.
    """
    took: dict[str, list[float]] = {"traced": [], "compiled": [], "compiled before": []}
    turns = list(zip(took.values(), ("captured", "compiled", "compiled"), strict=True))
    if settings.quick:
        return {"traced": [_first_steps(network, "captured", tempfile.gettempdir())]}
    for _ in range(settings.repeats):
        with tempfile.TemporaryDirectory(prefix="overheads-") as cache:
            for seconds, engine in turns:
                seconds.append(_first_steps(network, engine, cache))
    settings.tell(f"{network}: preparation")
    return took


def _first_steps(network: str, engine: str, cache: str) -> float:
    """Seconds of a small training in a process that has everything imported but compilers."""
    code = (
        "import time; from benchmarks.networks import NETWORKS; "
        "from landscape_study.study.planning import cost, plan, settings; "
        "vmapped = settings.RunSettings(device='cpu', engine='vmap'); "
        f"s = plan.make_plan(NETWORKS[{network!r}].study(), vmapped).setting; "
        "started = time.perf_counter(); "
        f"cost.measure(s, {engine!r}, {PREPARED_CELLS}, s.batch_size); "
        "print(time.perf_counter() - started)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | {"XDG_CACHE_HOME": cache},
    )
    return float(done.stdout)


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


def timelines(settings: Settings) -> dict[str, dict[str, dict[str, float]]]:
    """Parts of the way from the command to the first step, and from the last result to the prompt.

    For some numbers of workers, with and without a figure. The first run of each, untimed, leaves
    in the cache what is measured and compiled.
    """
    study = NETWORKS["digits"].study(quick=settings.quick).change_panels(epochs=STARTED_EPOCHS)
    ways = {f"{n} workers": ("--workers", str(n), "--no-plot") for n in WORKERS}
    ways["2 workers, figure"] = ("--workers", "2")
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for repeat in range(settings.repeats + 1):
        for way, options in ways.items():
            took = timed(study.to_toml(), *options)
            runs[way] += [took] if repeat or settings.quick else []
    settings.tell("start-up and end of runs")
    return {
        way: {part: spread([took[part] for took in all_]) for part in all_[0]}
        for way, all_ in runs.items()
    }


def _work(run: Repetition) -> dict[str, Any]:
    """The database work of a run of the tool."""
    if run.database is None:
        raise RuntimeError("not a run of the tool: it left no stopwatches")
    return run.database


def claim_and_record(runs: list[Repetition]) -> dict[str, dict[str, float]]:
    """Seconds of a call, and the share of claim, record and beat in the workers' time."""
    works = [_work(run) for run in runs]
    calls = [work["calls"]["worker"] for work in works]
    facts = {
        f"{name}_s": spread([own[name]["seconds"] / own[name]["calls"] for own in calls])
        for name in TIMED
    }
    return facts | {"share": spread([work["share"] for work in works])}


def data_seconds(task: str, repeats: int) -> list[float]:
    """Seconds in which a process that has imported torch gets the task and its data."""
    code = (
        "import time, landscape_study.study.tasks.task; "
        "from landscape_study.study.tasks import load_task; "
        f"started = time.perf_counter(); load_task({task!r}).data(); "
        "print(time.perf_counter() - started)"
    )
    command = [sys.executable, "-c", code]
    return [
        float(subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout)
        for _ in range(repeats)
    ]


def pairs_of_runs(network: str, settings: Settings) -> list[tuple[Repetition, Repetition]]:
    """Runs of a network's study, each beside one with a single test example, in turns."""
    study = NETWORKS[network].study(quick=settings.quick)
    study = study.change_panels(epochs=min(EVALUATED_EPOCHS, study.panels[0].epochs or 1))
    untested = study.change(task=f"benchmarks.untested:{study.task}")
    command = tool("--no-plot", "--engine", "vmap")  # of which both are sure
    pairs = [(train(command, study), train(command, untested)) for _ in range(settings.repeats)]
    settings.tell(f"{network}: runs with and without evaluation")
    return pairs


def evaluation_share(pairs: list[tuple[Repetition, Repetition]]) -> dict[str, float]:
    """Share of the training time: what a run takes less with a single test example."""
    return spread([1 - less.training_s / usual.training_s for usual, less in pairs])
