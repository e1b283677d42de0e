"""The rows of the JAX user: what they are given, and how what they found is read."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.measure import BenchmarkError
from benchmarks.results import Facts
from benchmarks.row_trials import Key, Trials, finite
from benchmarks.rows import Command, Row, train
from landscape_study.study.pairs.schedules import Cosine
from landscape_study.study.spec.study import Study
from landscape_study.study.store import optuna_study_name
from landscape_study.study.tasks import load_task

PAIRS = ("sgd", "sgdw", "adam", "adamw")
CONVOLUTIONS = ("slices", "lax")
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def installed() -> bool:
    """Whether JAX is."""
    return importlib.util.find_spec("jax") is not None


def jax_rows(processes: int, cache: Path, convolution: str = "slices") -> list[Row]:
    """One process and several, each with nothing compiled, and with all of it in `cache`."""
    what = "vmap over cells, scan over steps and epochs, jit"
    if convolution == "lax":
        what += ", convolutions by lax.conv"
    return [
        Row(
            name + suffix,
            f"{title}, {state}",
            what,
            user(kept, count, convolution),
            prepare=write_inputs,
            read=read_results,
        )
        for name, count, title in (
            ("jax", 1, "JAX, one process"),
            ("jax-parallel", processes, "JAX, a process per core"),
        )
        for suffix, kept, state in (("-cold", None, "nothing compiled"), ("", cache, "compiled"))
    ]


def user(cache: Path | None, processes: int, convolution: str) -> Command:
    """`benchmarks.jax_user` with compiled programs from `cache`, or with none."""

    def command(study_file: Path, results: Path, folder: Path) -> list[str]:
        kept = cache or study_file.with_name("nothing-compiled")
        paths = [str(path) for path in (inputs_beside(study_file), results, kept)]
        options = ["--processes", str(processes), "--convolution", convolution]
        return [sys.executable, "-m", "benchmarks.jax_user", *paths, *options]

    return command


def inputs_beside(study_file: Path) -> Path:
    """Where a study's inputs for JAX are."""
    return study_file.with_suffix(".npz")


def write_inputs(study: Study, study_file: Path) -> None:
    """Data, start weights and cells, beside the study file: what a JAX user has anyway.

    Raises:
        BenchmarkError: the JAX user has not written the study's pairs or schedule.
    """
    for panel in study.panels:
        if panel.pair not in PAIRS or panel.schedule != Cosine():
            raise BenchmarkError(f"{panel.name}: not among what the JAX user trains")
    task, seed = load_task(study.task), study.seeds[0]
    data = task.data()
    torch.manual_seed(seed)
    network = task.network()
    layers = [m for m in network.modules() if hasattr(m, "weight") and not isinstance(m, NORMS)]
    arrays = {
        f"{kind}{i}": getattr(layer, kind).detach().numpy()
        for i, layer in enumerate(layers)
        for kind in ("weight", "bias")
        if getattr(layer, kind) is not None
    }
    cells = [(panel, cell) for panel in study.panels for cell in panel.cells()]
    np.savez(
        inputs_beside(study_file),
        panels=[optuna_study_name(study.name, panel.name, seed) for panel, _ in cells],
        pairs=[panel.pair for panel, _ in cells],
        alphas=[cell.alpha for _, cell in cells],
        lambdas=[cell.lambda_ for _, cell in cells],
        epochs=study.panels[0].epochs or task.epochs,
        batch_size=study.batch_size or task.batch_size,
        seed=seed,
        batch_norm=any(isinstance(m, NORMS) for m in network.modules()),
        **{name: value.numpy() for name, value in vars(data).items()},
        **arrays,
    )


def read_results(results: Path) -> Trials:
    """What the JAX user found.

    Training begins when a process has all that it needs, compiled; where several train, that of
    the slowest counts, since one may compile longer than another.
    """
    found = json.loads(results.read_text("utf-8"))
    errors: dict[Key, float] = {}
    losses: dict[Key, float] = {}
    for cell in found["cells"]:
        key = (cell["panel"], cell["alpha"], cell["lambda"])
        if key in errors:
            raise BenchmarkError(f"{results}: cell {key} was trained twice")
        errors[key], losses[key] = cell["test_error"], finite(cell["train_loss"])
    processes = found["processes"]
    longest = {
        name: max(process[name] for process in processes)
        for name in ("import_s", "compile_s", "training_s", "ended")
    }
    ended = longest.pop("ended")
    parts = {name: longest[name] for name in ("import_s", "compile_s")}
    return Trials(errors, losses, ended - longest["training_s"], ended, parts)


def faster_convolution(study: Study, processes: int, cache: Path) -> Facts | None:
    """Seconds that a single epoch of all cells takes by each convolution, compiling apart.

    Returns:
        training_s: of each; chosen: the faster. None where inputs are vectors.
    """
    if load_task(study.task).data().train_inputs.ndim < 3:
        return None
    short = study.change_panels(epochs=1)
    seconds = {}
    for convolution in CONVOLUTIONS:
        command = user(cache, processes, convolution)
        done = train(command, short, prepare=write_inputs, read=read_results)
        seconds[convolution] = done.training_s
    return {"training_s": seconds, "chosen": min(seconds, key=seconds.__getitem__)}


def compile_ahead(rows: list[Row], study: Study, tell: Callable[[str], None]) -> None:
    """Fill the caches of the rows that have one, untimed."""
    for row in rows:
        if not row.name.endswith("-cold"):
            tell(f"compiling for {row.name}")
            train(row.command, study, prepare=row.prepare, read=row.read)
