"""What a user's own script pays for being a study: `python -m benchmarks.scripts`.

Overhead: of a cell beside its own process, whose start is measured too. Busy: the part of their
time that two slots run cells of five seconds, from the first one's start to the last one's end.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.measure import BenchmarkError, stop_when_terminated
from landscape_study.study.planning.objective_plan import plan_objective
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.running.job import ObjectiveJob
from landscape_study.study.running.worker import work
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store

SLOTS = 2
AT_ONCE = "print('{\"loss\": 1}')"
BUSY = """
import json, sys, time
began = time.time()
while time.time() < began + float(sys.argv[3]):
    pass
with open(sys.argv[4], "a") as file:
    file.write(json.dumps([began, time.time(), time.process_time()]) + "\\n")
print('{"loss": 1}')
"""


@dataclass(frozen=True)
class Overhead:
    """Seconds of a cell, and of its process alone; medians."""

    cell: float
    process: float


def overhead(folder: Path, cells: int) -> Overhead:
    """Of cells that end at once, one after the other in one slot."""
    command = [sys.executable, "-S", "-c", AT_ONCE]
    study = _study("overhead", [*command, "{alpha}", "{lambda}"], cells)
    store = Store(str(folder / "overhead.db"), create=True)
    plan = plan_objective(study, RunSettings(device="cpu", workers=1))
    store.create(study, plan.identity, plan.chunks)
    job = ObjectiveJob(
        store=store.url,
        study=study,
        identity=plan.identity,
        run_id=store.start_run(study.name, {}),
        folder=str(folder / "runs"),
    )
    began = time.perf_counter()
    work(job, "cpu")
    cell = (time.perf_counter() - began) / cells
    if store.failures(study.name):
        raise BenchmarkError("cells failed")
    return Overhead(cell, statistics.median(_alone(command) for _ in range(cells)))


def _alone(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def busy(folder: Path, cells: int, seconds: float) -> tuple[float, float]:
    """Two slots with cells of so many seconds: parts of their time within cells, and computing."""
    times, toml = folder / "times", folder / "busy.toml"
    words = [sys.executable, "-S", "-c", BUSY, "{alpha}", "{lambda}", str(seconds), str(times)]
    toml.write_text(_study("busy", words, cells).to_toml(), "utf-8")
    command = [sys.executable, "-m", "landscape_study", "run", str(toml), "--no-plot", "--no-live"]
    command += ["--workers", str(SLOTS), "--device", "cpu", "--store", str(folder / "busy.db")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    runs = [json.loads(line) for line in times.read_text("utf-8").splitlines()]
    if len(runs) != cells:
        raise BenchmarkError(f"{len(runs)} of {cells} cells ran")
    whole = SLOTS * (max(end for _, end, _ in runs) - min(began for began, _, _ in runs))
    within = sum(end - began for began, end, _ in runs)
    return within / whole, sum(cpu for _, _, cpu in runs) / whole


def _study(name: str, command: list[str], cells: int) -> Study:
    table = {
        "name": name,
        "command": command,
        "metric": "loss",
        "alpha": [k + 1.0 for k in range(cells)],
        "lambda": [0.0],
    }
    return Study.from_dict(table, "the benchmark")


@click.command()
@click.option("--quick", is_flag=True, help="A few short cells: shows that everything works.")
def main(quick: bool) -> None:
    """Measure what a user's own script pays for being a study."""
    stop_when_terminated()
    with tempfile.TemporaryDirectory(prefix="scripts-") as name:
        folder = Path(name)
        found = overhead(folder, 4 if quick else 60)
        click.echo(
            f"a cell that ends at once: {1000 * found.cell:.0f} ms, of which its process alone "
            f"takes {1000 * found.process:.0f} ms"
        )
        seconds = 0.2 if quick else 5.0
        within, computing = busy(folder, 4 if quick else 12, seconds)
        click.echo(
            f"{SLOTS} slots with cells of {seconds:g} s: {100 * within:.1f} % of their time "
            f"within cells, {100 * computing:.1f} % computing"
        )


if __name__ == "__main__":
    main()
