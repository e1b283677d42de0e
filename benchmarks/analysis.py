"""What looking at results costs: the statistics of one panel, and the commands, cold.

    python -m benchmarks.analysis

reads the cells that the README shows, so that nothing has to be trained.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from rich.console import Console

from benchmarks.measure import (
    REPOSITORY,
    machine,
    require_same_source,
    run_command,
    show,
    source_hash,
    spread,
)
from benchmarks.report import make_console, print_machine, write_report
from benchmarks.throughput import PRESET, RESULTS
from landscapes.separability import REPLICATES, separability
from study.metrics import METRICS
from study.outcome import Outcome
from study.presets import load_preset
from study.provenance import Worker, provenance
from study.store import Claim, Store

CELLS = REPOSITORY / "results" / "reference" / f"{PRESET}.csv"
SHAPE = (12, 11, 5)  # α × λ × seeds of the panel that the statistics are timed on
ASKED_STATISTICS_S, ASKED_REPORT_S = 1.0, 10.0  # as issue 3 has it
COMMANDS = {
    "report": ["report", PRESET],
    "compare": ["compare", PRESET],
    "plot": ["plot", PRESET],
    "plot, four more of the paper": ["plot", PRESET, "--reference", "fig2"],
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


def command_seconds(arguments: list[str], store: Path, folder: Path) -> float:
    """Wall time of a `landscape` command in a process of its own.

    Raises:
        BenchmarkError: it failed.
    """
    command = [sys.executable, "cli.py", *arguments, "--store", str(store)]
    return run_command(command, folder / "log").wall_s


def make_store(path: Path) -> None:
    """A database with the finished cells of `CELLS`; their curves are made up."""
    study = load_preset(PRESET).resolve(batch_size=50, epochs=60)
    rows = pd.read_csv(CELLS).set_index(["panel", "seed", "alpha", "lambda"]).sort_index()
    store = Store(str(path), create=True)
    store.create(study, "benchmark", lambda cells: [cells])
    run_id = store.start_run(study.name, provenance(["cpu"], "vmap"))
    for claim in _claims(store, study.name, run_id):
        keys = [(claim.panel, claim.seed, cell.alpha, cell.lambda_) for cell in claim.cells]
        last = rows.loc[keys, "test_error"].to_numpy(dtype=np.float32)[:, None]
        curve = last + np.linspace(20, 0, 60, dtype=np.float32)
        curves = dict.fromkeys(METRICS, curve)
        store.record(claim, Outcome(curves, np.zeros(len(keys), np.int64), seconds=1.0))
    store.end_run(run_id)
    store.close()


def _claims(store: Store, name: str, run_id: int) -> Iterator[Claim]:
    while (claim := store.claim(name, Worker(), run_id)) is not None:
        yield claim


def make_report(
    statistics: list[float], commands: dict[str, list[float]], command: list[str]
) -> dict[str, Any]:
    """Everything, ready for JSON; README.md says what each entry is."""
    return {
        "benchmark": "analysis",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": {"shape": SHAPE, "replicates": REPLICATES, "command": command},
        "statistics_s": spread(statistics),
        "commands_s": {name: spread(times) for name, times in commands.items()},
        "asked": {"statistics_s": ASKED_STATISTICS_S, "report_s": ASKED_REPORT_S},
    }


def print_report(console: Console, facts: dict[str, Any]) -> None:
    """The report in a few lines."""
    print_machine(console, facts["machine"])
    shape = " × ".join(map(str, facts["settings"]["shape"]))
    milliseconds = {key: 1000 * value for key, value in facts["statistics_s"].items()}
    console.print(
        f"statistics of a panel of {shape} seeds, {facts['settings']['replicates']} replicates: "
        f"{show(milliseconds, '{:.0f}'.format)} ms "
        f"(asked for: {1000 * facts['asked']['statistics_s']:g})"
    )
    for name, seconds in facts["commands_s"].items():
        asked = f" (asked for: {facts['asked']['report_s']:g})" if name == "report" else ""
        console.print(f"landscape {name}: {show(seconds, '{:.1f}'.format)} s{asked}")


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=RESULTS / "analysis.json",
    show_default=True,
)
def main(repeats: int, output: Path) -> None:
    """Measure the statistics and the commands that look at results."""
    console = make_console()
    source = source_hash()
    with tempfile.TemporaryDirectory(prefix="analysis-") as name:
        folder = Path(name)
        store = folder / "cells.db"
        make_store(store)
        times: dict[str, list[float]] = {key: [] for key in COMMANDS}
        for repeat in range(repeats + 1):  # the first, untimed one warms the disk
            for key, arguments in COMMANDS.items():
                seconds = command_seconds(arguments, store, folder)
                if repeat:
                    times[key].append(seconds)
    require_same_source(source)
    command = ["python", "-m", "benchmarks.analysis", *sys.argv[1:]]
    facts = make_report(statistics_seconds(repeats), times, command)
    write_report(facts, output)
    print_report(console, facts)
    console.print(f"written: {output}")


if __name__ == "__main__":
    main()
