"""How the tool's cost grows: with cells, workers, epochs, and finished cells in the database."""

from __future__ import annotations

import functools
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import spread, usable_cores
from benchmarks.networks import NETWORKS
from benchmarks.results import Facts, Settings
from benchmarks.rows import count_cells, tool, train
from benchmarks.timed_commands import cold_seconds
from landscape_study.study.planning.layout import panel_chunks
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.provenance import Worker, provenance
from landscape_study.study.spec.metric import RECORDED
from landscape_study.study.spec.study import Axis, Grid, Panel, Study
from landscape_study.study.store import Claim, Store

CELLS = (16, 64, 256, 1024, 10240)
EPOCHS = (10, 30, 100)
ONCE = 1000  # from so many cells on a run is repeated no more: it is long enough
CHUNK = 128  # cells recorded at once
CURVE = 100  # epochs of their curves
FINISHED = (0, 40, 391)  # chunks in the database: 0, 5,120 and 50,048 cells


def measure(settings: Settings) -> Facts:
    """Cost of runs on `digits`, and of database operations."""
    cells, epochs = ((16,), (1,)) if settings.quick else (CELLS, EPOCHS)
    finished = FINISHED[:1] if settings.quick else FINISHED
    middle, cores = cells[len(cells) // 2], usable_cores()
    runs = _Runs(settings)
    return {
        "settings": {"pair": "adamw", "once": ONCE, "chunk": CHUNK, "curve_epochs": CURVE},
        "cells": [runs(count, epochs[0], cores) for count in cells],
        "workers": [
            runs(middle, epochs[0], workers)
            for workers in ([cores] if settings.quick else up_to(cores))
        ],
        "epochs": [runs(middle, budget, cores) for budget in epochs],
        "database": [database(chunks, settings) for chunks in finished],
    }


def up_to(cores: int) -> list[int]:
    """1, 2, 4 … and all cores."""
    return [*(2**k for k in range(math.ceil(math.log2(cores)))), cores]


class _Runs:
    """Runs of the tool, each measured once though several rows may want it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.done: dict[tuple[int, int, int], dict[str, Any]] = {}

    def __call__(self, cells: int, epochs: int, workers: int) -> dict[str, Any]:
        """Facts of a run of so many cells of `digits`."""
        key = cells, epochs, workers
        if key not in self.done:
            self.done[key] = self._measure(*key)
        return self.done[key]

    def _measure(self, cells: int, epochs: int, workers: int) -> dict[str, Any]:
        study = square_study(cells, epochs)
        repeats = self.settings.repeats if cells < ONCE else 1
        command = tool("--no-plot", "--workers", str(workers))
        done = [train(command, study) for _ in range(repeats)]
        walls = spread([r.wall_s for r in done])
        self.settings.tell(
            f"{cells} cells, {epochs} epochs, {workers} workers: {walls['median']:.1f} s"
        )
        return {
            "cells": count_cells(study),
            "epochs": epochs,
            "workers": workers,
            "wall_s": walls,
            "training_s": spread([r.training_s for r in done]),
            "ms_per_cell_epoch": spread([1000 * r.training_s / (cells * epochs) for r in done]),
            "peak_bytes": spread([r.peak_bytes for r in done]),
        }


def square_study(cells: int, epochs: int, chunks: int = 1) -> Study:
    """AdamW on `digits` on a grid of `cells` × `chunks`, as square as powers of two allow."""
    rows = 2 ** (int(math.log2(cells * chunks)) // 2)
    alpha = Axis(values=tuple(np.geomspace(0.1, 0.001, rows).tolist()))
    lambda_ = Axis(values=tuple(np.geomspace(0.0001, 0.1, chunks * cells // rows).tolist()))
    panel = Panel(pair="adamw", epochs=epochs, grid=Grid(alpha=alpha, lambda_=lambda_))
    study = NETWORKS["digits"].study()
    return study.change(name="growth", panels=(panel,))


def database(finished: int, settings: Settings) -> dict[str, Any]:
    """What operations take on a database with so many finished chunks.

    `status` is the whole command; the others are calls within a process. Claimed and recorded
    are a few chunks more.
    """
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        path = str(Path(folder) / "cells.db")
        store = Store(path, create=True)
        study = square_study(CHUNK, CURVE, finished + settings.repeats)
        started = time.perf_counter()
        store.create(study, Identity("benchmark"), functools.partial(panel_chunks, most=CHUNK))
        created = time.perf_counter() - started
        run_id = store.start_run(study.name, provenance(["cpu"], "vmap"))
        for _ in range(finished):
            _record(store, _claim(store, study.name, run_id))
        times: dict[str, list[float]] = {}
        for _ in range(settings.repeats):
            claim = _timed(times, "claim", _claim, store, study.name, run_id)
            _timed(times, "record", _record, store, claim)
            _timed(times, "is_open", store.is_open, study.name)
            _timed(times, "progress", store.progress, study.name)
        store.close()
        times["status"] = [cold_seconds(["status", "--store", path]) for _ in times["claim"]]
        size = Path(path).stat().st_size
    settings.tell(f"{finished * CHUNK} finished cells: created in {created:.1f} s")
    return {
        "finished_cells": finished * CHUNK,
        "database_bytes": size,
        "create_s": created,
        "seconds": {name: spread(values) for name, values in times.items()},
    }


def _claim(store: Store, name: str, run_id: int) -> Claim:
    claim = store.claim(name, Worker(), run_id)
    if claim is None:
        raise RuntimeError("no chunk is open: the study was made too small")
    return claim


def _record(store: Store, claim: Claim) -> None:
    curve = np.random.default_rng(claim.chunk_id).random((len(claim.cells), CURVE), np.float32)
    curves = dict.fromkeys(RECORDED, curve)
    store.record(claim, Outcome(curves, np.zeros(len(claim.cells), np.int64), seconds=1.0))


def _timed(
    times: dict[str, list[float]], name: str, call: Callable[..., Any], *arguments: Any
) -> Any:
    started = time.perf_counter()
    result = call(*arguments)
    times.setdefault(name, []).append(time.perf_counter() - started)
    return result
