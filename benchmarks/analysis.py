"""What looking at results costs: the statistics of one panel, and the commands, cold.

Reads the cells that the README shows, so that nothing has to be trained.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measure import REPOSITORY, spread
from benchmarks.results import Facts, Settings
from benchmarks.timed_commands import cold_seconds
from landscape_study.landscapes.statistics.separability import REPLICATES, separability
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.provenance import Worker, provenance
from landscape_study.study.spec.metric import RECORDED
from landscape_study.study.spec.presets import load_preset
from landscape_study.study.store import Claim, Store

PRESET = "digits-fig2"
CELLS = REPOSITORY / "results" / "reference" / f"{PRESET}.csv"
SHAPE = (12, 11, 5)  # α × λ × seeds of the panel that the statistics are timed on
ASKED = {"statistics_s": 1.0, "report_s": 10.0}  # as issue 3 has it
COMMANDS = {
    "report": ["report", PRESET],
    "compare": ["compare", PRESET],
    "plot, four more of the paper": ["plot", PRESET, "--reference", "fig2"],
}


def measure(settings: Settings) -> Facts:
    """Statistics within a process, commands in processes of their own."""
    commands = dict([*COMMANDS.items()][:1]) if settings.quick else COMMANDS
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(prefix="analysis-") as folder:
        store = Path(folder) / "cells.db"
        make_store(store)
        for repeat in range(settings.repeats + 1):  # the first, untimed one warms the disk
            for name, arguments in commands.items():
                seconds = cold_seconds([*arguments, "--store", str(store)])
                settings.tell(f"landscape {name}: {seconds:.1f} s")
                if repeat:
                    times[name].append(seconds)
    return {
        "settings": {"shape": SHAPE, "replicates": REPLICATES},
        "statistics_s": spread(statistics_seconds(settings.repeats)),
        "commands_s": {name: spread(seconds) for name, seconds in times.items()},
        "asked": ASKED,
    }


def statistics_seconds(repeats: int) -> list[float]:
    """Seconds of all statistics, intervals included, of one panel of `SHAPE`."""
    frame = _noisy_valley()
    separability(frame)  # the first call pays for imports
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        separability(frame)
        times.append(time.perf_counter() - started)
    return times


def _noisy_valley() -> pd.DataFrame:
    alphas, lambdas = SHAPE[:2]
    a, el, s = (grid.ravel() for grid in np.meshgrid(*map(np.arange, SHAPE), indexing="ij"))
    valley = 3 + 0.05 * (a - alphas // 2) ** 2 + 0.15 * (el - lambdas // 2) ** 2
    error = valley + 0.25 * np.random.default_rng(0).normal(size=valley.size)
    return pd.DataFrame({"alpha": 2.0**-a, "lambda": 2.0**-el, "seed": s, "test_error": error})


def make_store(path: Path) -> None:
    """A database with the finished cells of `CELLS`; their curves are made up."""
    study = load_preset(PRESET).resolve(batch_size=50, epochs=60)
    rows = pd.read_csv(CELLS).set_index(["panel", "seed", "alpha", "lambda"]).sort_index()
    store = Store(str(path), create=True)
    store.create(study, Identity("benchmark"), lambda cells: [cells])
    run_id = store.start_run(study.name, provenance(["cpu"], "vmap"))
    for claim in _claims(store, study.name, run_id):
        keys = [(claim.panel, claim.seed, cell.alpha, cell.lambda_) for cell in claim.cells]
        last = rows.loc[keys, "test_error"].to_numpy(dtype=np.float32)[:, None]
        curve = last + np.linspace(20, 0, 60, dtype=np.float32)
        curves = dict.fromkeys(RECORDED, curve)
        store.record(claim, Outcome(curves, np.zeros(len(keys), np.int64), seconds=1.0))
    store.end_run(run_id)
    store.close()


def _claims(store: Store, name: str, run_id: int) -> Iterator[Claim]:
    while (claim := store.claim(name, Worker(), run_id)) is not None:
        yield claim
