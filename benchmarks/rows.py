"""The ways to train the same cells, and one of them at work."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import BenchmarkError
from benchmarks.row_trials import Key, Trials, read_trials
from benchmarks.timed_commands import run_command
from benchmarks.tool import read_stopwatches
from landscape_study.study.spec.study import Study

Command = Callable[[Path, Path, Path], list[str]]  # of study file, database, stopwatch folder
Prepare = Callable[[Study, Path], None]  # of study and study file, before the time is taken
Read = Callable[[Path], Trials]  # of the database, or whatever the row wrote there

# Fields that are no entries of their own.
UNTOLD = ("errors", "losses", "started", "database", "parts")


@dataclass(frozen=True)
class Row:
    """One way to train the cells."""

    name: str
    title: str
    what: str
    command: Command
    prepare: Prepare | None = None
    read: Read = read_trials


@dataclass(frozen=True)
class Repetition:
    """One row, once."""

    started: float  # seconds since 1970
    wall_s: float  # of the whole process, from its making to its end
    startup_s: float  # from its making to the start of the first cell
    training_s: float  # from there to the last recorded result
    cells: int
    peak_bytes: int
    peak_processes: int
    load: float  # of the machine just before
    errors: dict[Key, float]  # final test error, percent
    losses: dict[Key, float]  # final train loss
    database: dict[str, Any] | None = None  # of the tool only
    parts: dict[str, float] = field(default_factory=dict)  # seconds of start-up, of JAX only

    @property
    def cells_per_s(self) -> float:
        """Throughput of the whole process."""
        return self.cells / self.wall_s

    @property
    def cells_per_s_training(self) -> float:
        """Throughput without start-up and leaving."""
        return self.cells / self.training_s

    @property
    def leaving_s(self) -> float:
        """Seconds from the last recorded result to the end of the process."""
        return self.wall_s - self.startup_s - self.training_s

    def values(self, metric: str) -> dict[Key, float]:
        """The cells' `test_error` or `train_loss`."""
        return self.errors if metric == "test_error" else self.losses

    def record(self) -> dict[str, Any]:
        """As it stands in the JSON."""
        facts = {key: value for key, value in vars(self).items() if key not in UNTOLD}
        return (
            facts
            | self.parts
            | {
                "leaving_s": self.leaving_s,
                "cells_per_s": self.cells_per_s,
                "cells_per_s_training": self.cells_per_s_training,
                "median_test_error": statistics.median(self.errors.values()),
                "median_train_loss": statistics.median(self.losses.values()),
            }
        )


def loop(*options: str) -> Command:
    """Optuna and torch.optim, with these options of `benchmarks.loop`."""

    def command(study_file: Path, database: Path, folder: Path) -> list[str]:
        paths = [str(study_file), str(database)]
        return [sys.executable, "-m", "benchmarks.loop", *paths, *options]

    return command


def ensemble(study_file: Path, database: Path, folder: Path) -> list[str]:
    """The hand-written ensemble."""
    return [sys.executable, "-m", "benchmarks.ensemble", str(study_file), str(database)]


def tool(*options: str) -> Command:
    """`landscape run` under stopwatches, with these options of it."""

    def command(study_file: Path, database: Path, folder: Path) -> list[str]:
        arguments = ["run", str(study_file), "--store", str(database), "--device", "cpu", *options]
        return [sys.executable, "-m", "benchmarks.tool", str(folder), *arguments]

    return command


def make_rows(
    processes: int, *, channels_last: bool = False, engine: str | None = None
) -> list[Row]:
    """The rows, in the order in which each repetition runs them."""
    options = ("--no-plot", *(("--engine", engine) if engine else ()))
    parallel = ("--processes", str(processes))
    careful = (*parallel, "--fused", *(("--channels-last",) if channels_last else ()))
    return [
        Row(
            "loop",
            "Optuna + torch.optim, one process",
            "GridSampler on SQLite, plain objective, cells one by one, one thread",
            loop(),
        ),
        Row(
            "loop-parallel",
            "Optuna + torch.optim, a process per core",
            f"the same in {processes} joblib processes of one thread, one SQLite database",
            loop(*parallel),
        ),
        Row(
            "loop-parallel-careful",
            "the same by a careful user",
            "fused=True" + (", channels-last" if channels_last else ""),
            loop(*careful),
        ),
        Row(
            "ensemble",
            "a hand-written torch.func ensemble",
            "stack_module_state, functional_call, vmap(grad): one process, all threads",
            ensemble,
        ),
        Row("tool", "this tool", f"`landscape run`, {engine or 'its own choice'}", tool(*options)),
    ]


def train(
    command: Command,
    study: Study,
    *,
    figure: bool = False,
    prepare: Prepare | None = None,
    read: Read = read_trials,
) -> Repetition:
    """Train the study's cells once in a process of its own, on a fresh database.

    Raises:
        BenchmarkError: it failed, did not train each cell of the study once, or drew no figure
            though it should have.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        study_file, database = folder / "study.toml", folder / "cells.db"
        stopwatches = folder / "stopwatches"
        stopwatches.mkdir()
        study_file.write_text(study.to_toml(), encoding="utf-8")
        if prepare is not None:
            prepare(study, study_file)
        finished = run_command(command(study_file, database, stopwatches), folder / "log")
        trials = read(database)
        if figure and not list(folder.glob("*.png")):
            raise BenchmarkError(f"{study.name}: no figure beside {database}")
        database_work = read_stopwatches(stopwatches) if any(stopwatches.iterdir()) else None
    asked = count_cells(study)
    if len(trials.errors) != asked:
        raise BenchmarkError(f"{study.name}: trained {len(trials.errors)} of {asked} cells")
    return Repetition(
        started=finished.started,
        wall_s=finished.wall_s,
        startup_s=trials.first_start - finished.started,
        training_s=trials.last_end - trials.first_start,
        cells=len(trials.errors),
        peak_bytes=finished.peak_bytes,
        peak_processes=finished.peak_processes,
        load=finished.load,
        errors=trials.errors,
        losses=trials.losses,
        database=database_work,
        parts=trials.parts,
    )


def count_cells(study: Study) -> int:
    """Cells of all panels and seeds."""
    return sum(len(panel.cells()) for panel in study.panels) * len(study.seeds)
