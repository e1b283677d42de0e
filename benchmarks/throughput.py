"""Cells per second of this tool, beside the same cells in an Optuna objective with torch.optim.

    python -m benchmarks.throughput

What is measured and how to read it: README.md beside this file.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.measure import (
    BenchmarkError,
    read_trials,
    require_same_source,
    run_command,
    source_hash,
    stop_when_terminated,
    usable_cores,
)
from benchmarks.report import (
    Measured,
    Repetition,
    Row,
    make_console,
    print_report,
    report,
    write_report,
)
from benchmarks.tool import read_stopwatches
from study.presets import load_preset
from study.spec import Axis, Study

PRESET = "digits-fig2"
RESULTS = Path(__file__).parent / "results"


def _loop(*options: str) -> Callable[[Path, Path, Path], list[str]]:
    def command(study_file: Path, database: Path, folder: Path) -> list[str]:
        paths = [str(study_file), str(database)]
        return [sys.executable, "-m", "benchmarks.loop", *paths, *options]

    return command


def _tool(study_file: Path, database: Path, folder: Path) -> list[str]:
    arguments = ["run", str(study_file), "--store", str(database), "--device", "cpu", "--no-plot"]
    return [sys.executable, "-m", "benchmarks.tool", str(folder), *arguments]


def make_rows(processes: int, *, careful: bool = False) -> list[Row]:
    """The rows, in the order in which each repetition runs them; `careful` adds one."""
    rows = [
        Row(
            "loop",
            "Optuna + torch.optim, 1 process",
            "GridSampler on SQLite, plain objective, cells one by one, one thread",
            _loop(),
        ),
        Row(
            "loop-parallel",
            f"Optuna + torch.optim, {processes} processes",
            "the same in as many joblib processes as cores, one thread each, one SQLite database",
            _loop("--processes", str(processes)),
        ),
        Row(
            "loop-parallel-fused",
            f"the same with fused=True, {processes} processes",
            "a careful user's loop: torch.optim's fused implementations",
            _loop("--processes", str(processes), "--fused"),
        ),
        Row(
            "tool",
            "this tool, default workers",
            "`landscape run` on a fresh SQLite database",
            _tool,
        ),
    ]
    return [row for row in rows if careful or row.name != "loop-parallel-fused"]


def subset(study: Study, cells: int, epochs: int | None = None) -> Study:
    """The study with one seed and `cells` cells a panel, spread evenly over each grid.

    The cells form a grid as square as can be, of every k-th value of α and λ.

    Raises:
        click.UsageError: so many cells form no such grid.
    """
    panels = []
    for panel in study.panels:
        alphas, lambdas = panel.grid.alpha.values, panel.grid.lambda_.values
        rows = max(r for r in range(1, math.isqrt(cells) + 1) if cells % r == 0)
        if rows > len(alphas) or cells // rows > len(lambdas):
            raise click.UsageError(
                f"--cells {cells}: no grid of {rows} × {cells // rows} fits into panel "
                f"'{panel.name}' of {len(alphas)} × {len(lambdas)}: try 12, 16, 24 or 48"
            )
        changes: dict[str, Any] = {
            "alpha": Axis(values=_spread_over(alphas, rows)),
            "lambda": Axis(values=_spread_over(lambdas, cells // rows)),
        }
        panels.append(panel.changed(changes | ({"epochs": epochs} if epochs else {})))
    return study.change(name="throughput", seeds=(study.seeds[0],), panels=panels)


def _spread_over(values: Sequence[float], count: int) -> tuple[float, ...]:
    """`count` of the values: the middle one of each of `count` equal parts."""
    return tuple(values[int((i + 0.5) * len(values) / count)] for i in range(count))


def measure(row: Row, study: Study) -> Repetition:
    """Train the study's cells once in a process of its own, on a fresh database.

    Raises:
        BenchmarkError: the row failed, or did not train each cell of the study once.
    """
    with tempfile.TemporaryDirectory(prefix=f"throughput-{row.name}-") as name:
        folder = Path(name)
        study_file, database = folder / "study.toml", folder / "cells.db"
        stopwatches = folder / "stopwatches"
        stopwatches.mkdir()
        study_file.write_text(study.to_toml(), encoding="utf-8")
        finished = run_command(row.command(study_file, database, stopwatches), folder / "log")
        trials = read_trials(database)
        database_work = read_stopwatches(stopwatches) if any(stopwatches.iterdir()) else None
    asked = sum(len(panel.grid.cells()) for panel in study.panels) * len(study.seeds)
    if len(trials.errors) != asked:
        raise BenchmarkError(f"row {row.name}: trained {len(trials.errors)} of {asked} cells")
    return Repetition(
        wall_s=finished.wall_s,
        startup_s=trials.first_start - finished.started,
        training_s=trials.last_end - trials.first_start,
        cells=len(trials.errors),
        peak_bytes=finished.peak_bytes,
        peak_processes=finished.peak_processes,
        load=finished.load,
        errors=trials.errors,
        database=database_work,
    )


def measure_all(
    rows: Sequence[Row], study: Study, repeats: int, tell: Callable[[str], None]
) -> Measured:
    """All rows, `repeats` times in turns (A B C A B C …).

    Raises:
        BenchmarkError: a row failed, or trained other cells than the first.
    """
    measured: Measured = {row.name: [] for row in rows}
    for repetition in range(repeats):
        for row in rows:
            done = measure(row, study)
            reference = measured[rows[0].name]
            if reference and done.errors.keys() != reference[0].errors.keys():
                raise BenchmarkError(f"row {row.name} trained other cells than {rows[0].name}")
            measured[row.name].append(done)
            tell(f"{repetition + 1} of {repeats}: {row.title}: {done.wall_s:.1f} s")
    return measured


def warm_up() -> None:
    """Let the system read all imports from disk once, so that the first row does not pay."""
    with tempfile.TemporaryDirectory() as folder:
        modules = "benchmarks.loop, benchmarks.tool, cli, study.plan, study.tasks.digits"
        run_command([sys.executable, "-c", f"import {modules}"], Path(folder) / "log")


@click.command()
@click.option(
    "--cells",
    type=click.IntRange(min=1),
    default=44,
    show_default=True,
    help="Cells of each pair.",
)
@click.option("--careful", is_flag=True, help="Add a row: the parallel loop with fused=True.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), help="Budget.  [default: the preset's]")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=RESULTS / "throughput.json",
    show_default=True,
)
def main(cells: int, careful: bool, repeats: int, epochs: int | None, output: Path) -> None:
    """Measure this tool against Optuna objectives with torch.optim."""
    stop_when_terminated()
    console = make_console()
    study = subset(load_preset(PRESET), cells, epochs)
    processes = usable_cores()
    rows = make_rows(processes, careful=careful)
    source = source_hash()
    warm_up()
    measured = measure_all(rows, study, repeats, console.print)
    require_same_source(source)
    settings = {
        "preset": PRESET,
        "cells": measured["tool"][0].cells,
        "cells_per_panel": cells,
        "epochs": [panel.epochs for panel in study.panels],
        "repeats": repeats,
        "processes": processes,
        "order": [row.name for row in rows],
        "command": ["python", "-m", "benchmarks.throughput", *sys.argv[1:]],
    }
    facts = report(study, rows, measured, settings)
    write_report(facts, output)
    print_report(console, facts)
    console.print(f"written: {output}")
    if not facts["agreement"]["agree"]:
        raise SystemExit("the rows do not agree: their times mean nothing")


if __name__ == "__main__":
    main()
