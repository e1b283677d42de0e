"""A million cells in one database: what it takes to create them, and to look at them.

    python -m benchmarks.many_cells [--side 100] [--seeds 25] [--store many.db]

One study of four panels of side × side cells, each under so many seeds, recorded with made-up
curves, and beside it a small one. What is asked for is 10 s and 1 GB at a million cells.
"""

from __future__ import annotations

import functools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from benchmarks.measure import BenchmarkError, stop_when_terminated
from benchmarks.networks import NETWORKS
from benchmarks.timed_commands import run_command
from landscape_study.study.planning.layout import panel_chunks
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.provenance import Worker, provenance
from landscape_study.study.spec.grid import Axis, Grid
from landscape_study.study.spec.metric import RECORDED
from landscape_study.study.spec.panel import Panel
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Claim, Store

PAIRS = ("sgd", "sgdw", "adam", "adamw")
EPOCHS = 20  # of the curves
CHUNK = 500  # cells recorded together
SMALL = 11  # values of α and λ of the small study


def study(name: str, side: int, seeds: int) -> Study:
    """Four panels of side × side cells on `digits`."""
    alpha = Axis(values=tuple(np.geomspace(1e-4, 0.1, side).tolist()))
    lambda_ = Axis(values=tuple(np.geomspace(1e-5, 0.1, side).tolist()))
    grid = Grid(alpha=alpha, lambda_=lambda_)
    panels = tuple(Panel(pair=pair, epochs=EPOCHS, grid=grid) for pair in PAIRS)
    return NETWORKS["digits"].study().change(name=name, panels=panels, seeds=tuple(range(seeds)))


def create(store: Store, asked: Study) -> float:
    """Put the study into the store; seconds."""
    started = time.perf_counter()
    store.create(asked, Identity("benchmark"), functools.partial(panel_chunks, most=CHUNK))
    return time.perf_counter() - started


def record(store: Store, asked: Study) -> float:
    """Record a bowl, with noise, for all of its cells; seconds."""
    started = time.perf_counter()
    run_id = store.start_run(asked.name, provenance(["cpu"], "vmap"))
    while claim := store.claim(asked.name, Worker(), run_id):
        store.record(claim, _bowl(claim))
    store.end_run(run_id)
    return time.perf_counter() - started


def _bowl(claim: Claim) -> Outcome:
    x, y = np.log2([(cell.alpha, cell.lambda_) for cell in claim.cells]).T
    noise = np.random.default_rng(claim.chunk_id).normal(size=(len(x), EPOCHS))
    error = 3 + 0.3 * (x + 6) ** 2 + 0.1 * (y + 8) ** 2
    curves = dict.fromkeys(RECORDED, (error[:, None] + 0.2 * noise).astype(np.float32))
    return Outcome(curves, np.zeros(len(x), np.int64), seconds=1.0)


def look(path: Path, many: Study, small: Study, tell: Callable[[str], None]) -> None:
    """Time commands on the database, each in a process of its own."""
    folder = path.parent
    files = {one.name: folder / f"{one.name}.toml" for one in (many, small)}
    for one in (many, small):
        files[one.name].write_text(one.to_toml(), encoding="utf-8")
    commands = {
        "status": ["status", many.name],
        "list": ["list"],
        "run --dry-run": ["run", str(files[many.name]), "--dry-run"],
        "status of the small one": ["status", small.name],
        "report of the small one": ["report", small.name],
    }
    for name, arguments in commands.items():
        words = [sys.executable, "-m", "landscape_study", *arguments, "--store", str(path)]
        done = run_command(words, folder / "log")
        tell(f"{name}: {done.wall_s:.1f} s, at most {done.peak_bytes / 1e6:.0f} MB")


@click.command()
@click.option("--side", type=click.IntRange(3), default=100, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=25, show_default=True)
@click.option(
    "--store",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the database there; one that is there is only looked at.",
)
def main(side: int, seeds: int, path: Path | None) -> None:
    """Measure what commands take where very many cells are stored."""
    stop_when_terminated()
    many, small = study("many", side, seeds), study("small", SMALL, 1)
    with tempfile.TemporaryDirectory(prefix="many-cells-") as folder:
        there = path or Path(folder) / "many.db"
        if not there.exists():
            store = Store(str(there), create=True)
            for one in (small, many):
                count = len(one.seeds) * sum(len(panel.cells()) for panel in one.panels)
                click.echo(f"{one.name}: {count} cells created in {create(store, one):.1f} s")
                click.echo(f"{one.name}: recorded in {record(store, one):.0f} s")
            store.close()
        try:
            look(there, many, small, click.echo)
        except BenchmarkError as e:
            raise click.ClickException(str(e)) from None


if __name__ == "__main__":
    main()
