"""How many workers one database feeds: chunks claimed and recorded, nothing trained between."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np
from tests.postgres import binaries, fresh_database, running_server

from benchmarks.measure import spread
from benchmarks.results import Facts, Settings
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.provenance import Worker, provenance
from landscape_study.study.spec.metric import RECORDED
from landscape_study.study.spec.study import Axis, Cell, Grid, Panel, Study
from landscape_study.study.store import Store

WORKERS = (1, 4, 16, 64)
CHUNKS = {4: 400, 128: 48}  # cells of a chunk: so many chunks
CURVE = 100  # epochs of their curves


def measure(settings: Settings) -> Facts:
    """Cells a second on both kinds of database, by workers and size of chunks."""
    workers, chunks = ((2,), {4: 8}) if settings.quick else (WORKERS, CHUNKS)
    rows = []
    for kind in ("SQLite", "PostgreSQL") if binaries() else ("SQLite",):
        with _server(kind) as server:
            for size, count in chunks.items():
                rows += [_row(kind, server, n, size, count, settings) for n in workers]
    return {"settings": {"curve_epochs": CURVE, "asked_cells_per_s": 300}, "rows": rows}


@contextmanager
def _server(kind: str) -> Iterator[str | None]:
    """The URL of a server of our own, where this kind of database needs one."""
    if kind == "SQLite":
        yield None
        return
    with running_server(safe=True) as server:
        yield server.url


@contextmanager
def _database(server: str | None) -> Iterator[str]:
    """The URL of an empty database."""
    if server is not None:
        with fresh_database(server) as url:
            yield url
        return
    with tempfile.TemporaryDirectory(prefix="queue-") as folder:
        yield f"sqlite:///{folder}/queue.db"


def _row(
    kind: str, server: str | None, workers: int, size: int, count: int, settings: Settings
) -> dict[str, Any]:
    """So many workers empty a queue of `count` chunks of `size` cells."""
    rates, waits = [], []
    for _ in range(settings.repeats):
        with _database(server) as url:
            seconds, found = drain(url, workers, size, count)
        rates.append(size * count / seconds)
        waits += found
    settings.tell(f"{kind}, {workers} workers, chunks of {size}: {np.median(rates):.0f} cells/s")
    return {
        "database": kind,
        "workers": workers,
        "chunk": size,
        "chunks": count,
        "cells_per_s": spread(rates),
        "claim_and_record_s": {
            "median": float(np.median(waits)),
            "p99": float(np.percentile(waits, 99)),
            "max": max(waits),
        },
    }


def drain(url: str, workers: int, size: int, count: int) -> tuple[float, list[float]]:
    """Seconds until the queue is empty, and seconds of each claim with its record."""
    with closing(Store(url, create=True)) as store:
        study = _study(size, count)
        store.create(study, Identity("benchmark"), lambda cells: _chunks(cells, size))
        run_id = store.start_run("queue", provenance(["cpu"], "none"))
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        barrier = context.Barrier(workers + 1)
        with context.Pool(workers, _meet, (barrier,)) as pool:
            found = pool.starmap_async(_claim_and_record, [(url, run_id)] * workers, chunksize=1)
            barrier.wait()
            started = time.perf_counter()
            waits = [wait for waits in found.get() for wait in waits]
            seconds = time.perf_counter() - started
        if store.is_open("queue") or len(waits) != count:
            raise RuntimeError(f"{len(waits)} of {count} chunks were recorded")
    return seconds, waits


_barrier: Barrier


def _meet(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _claim_and_record(url: str, run_id: int) -> list[float]:
    waits = []
    with closing(Store(url)) as store:
        _barrier.wait()
        while True:
            started = time.perf_counter()
            claim = store.claim("queue", Worker(), run_id)
            if claim is None:
                return waits
            store.record(claim, _outcome(len(claim.cells), claim.chunk_id))
            waits.append(time.perf_counter() - started)


def _outcome(cells: int, seed: int) -> Outcome:
    curve = np.random.default_rng(seed).random((cells, CURVE), np.float32)
    return Outcome(dict.fromkeys(RECORDED, curve), np.zeros(cells, np.int64), seconds=1.0)


def _study(size: int, count: int) -> Study:
    """One α a chunk."""
    alpha, lambda_ = (
        Axis(values=tuple(np.geomspace(1e-4, 1.0, values).tolist())) for values in (count, size)
    )
    grid = Grid(alpha=alpha, lambda_=lambda_)
    panel = Panel(name="adamw", pair="adamw", epochs=CURVE, grid=grid)
    return Study(name="queue", task="digits", seeds=1, batch_size=50, panels=(panel,))


def _chunks(cells: Sequence[Cell], size: int) -> list[Sequence[Cell]]:
    return [cells[i : i + size] for i in range(0, len(cells), size)]
