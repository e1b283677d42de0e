"""Several workers on one card: each trains a chunk of its own at the same time."""

from __future__ import annotations

import math
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from joblib.externals.loky import ProcessPoolExecutor

from benchmarks import card
from benchmarks.measure import BenchmarkError
from benchmarks.synthetic import SYNTHETIC
from landscape_study.study.tasks.data.examples import even_slices
from landscape_study.study.training.arithmetic import worker_arithmetic
from landscape_study.study.training.batches import slice_size
from landscape_study.study.training.chunk import train_chunk

STEPS = 10  # of an epoch of these trainings; after each the host waits for the card, as always
EPOCHS = 3000  # more than there is time for
PATIENCE = 60.0  # seconds that a worker may take to get ready


@dataclass(frozen=True)
class Job:
    """What one worker trains; crosses the process boundary."""

    network: str
    engine: str
    arithmetic: str
    cells: int
    slots: int  # workers that do the same at the same time
    device: str
    laps: int
    seconds: float  # of a lap
    quick: bool
    meeting: str = ""  # a folder in which every worker leaves a file when it is ready


@contextmanager
def workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes, killed at the end."""
    pool = ProcessPoolExecutor(max_workers=count)
    try:
        with warnings.catch_warnings():
            # loky replaces one that grows by 300 MB after its first job, as with cuDNN.
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
            yield pool
    finally:
        pool.shutdown(wait=False, kill_workers=True)


def cells_per_second(pool: ProcessPoolExecutor, job: Job) -> list[float]:
    """Of all workers of the job together, in each lap.

    Raises:
        BenchmarkError: they were not ready together.
        Exception: what a worker failed with, such as too little memory.
    """
    with tempfile.TemporaryDirectory(prefix="slots-") as meeting:
        futures = [pool.submit(work, replace(job, meeting=meeting)) for _ in range(job.slots)]
        found = [future.result(1.5 * PATIENCE) for future in futures]
    return [sum(lap) for lap in zip(*found, strict=False)]  # one may have ended a lap earlier


def work(job: Job) -> list[float]:
    """Train, beginning when all workers are ready: cells a second of this one in each lap."""
    network = SYNTHETIC[job.network]
    card.forget(job.device)
    setting = network.setting(job.device, job.arithmetic, quick=job.quick, steps=STEPS)
    data, options, (panel,) = setting.data, setting.study.options, setting.study.panels
    train, test = len(data.train_targets), len(data.test_targets)
    tests = len(even_slices(test, slice_size(setting.batch_size)))
    clock = _Clock(job, math.ceil(train / setting.batch_size) + tests)
    try:
        with worker_arithmetic(job.device, setting.threads, tf32=options.tf32):
            train_chunk(
                setting.task,
                data,
                panel.model_copy(update={"epochs": EPOCHS}),
                panel.cells() * job.cells,
                seed=0,
                batch_size=setting.batch_size,
                options=options,
                device=job.device,
                engine=job.engine,
                on_step=clock,
            )
    except _TimeIsUpError:
        pass
    finally:
        clock.arrive()  # also where this one failed: nobody waits for it
    whole, _ = network.examples(quick=job.quick)
    budget = (panel.epochs or 1) * whole / train  # in epochs of these data
    return [job.cells * epochs / budget for epochs in clock.laps]


class _TimeIsUpError(Exception):
    """Ends the training."""


class _Clock:
    """Called before each step and test batch; `laps` are epochs per second, after the first."""

    def __init__(self, job: Job, an_epoch: int) -> None:
        self.job, self.an_epoch = job, an_epoch
        self.warm_up, self.calls, self.started = an_epoch, 0, math.inf
        self.laps: list[float] = []

    def __call__(self) -> None:
        passed = time.perf_counter() - self.started
        if self.warm_up == 0:  # traced, recorded and warm
            self.meet()
            self._start_lap()
        elif passed > self.job.seconds:
            card.synchronize(self.job.device)
            passed = time.perf_counter() - self.started
            self.laps.append(self.calls / self.an_epoch / passed)
            if len(self.laps) == self.job.laps:
                raise _TimeIsUpError
            self._start_lap()
        self.warm_up -= 1
        self.calls += 1

    def _start_lap(self) -> None:
        self.calls, self.started = 0, time.perf_counter()

    def arrive(self) -> None:
        (Path(self.job.meeting) / str(os.getpid())).touch()

    def meet(self) -> None:
        """Wait until every worker is here."""
        card.synchronize(self.job.device)
        self.arrive()
        late = time.monotonic() + PATIENCE
        while len(list(Path(self.job.meeting).iterdir())) < self.job.slots:
            if time.monotonic() > late:
                raise BenchmarkError(f"{self.job.slots} workers were not ready together")
            time.sleep(0.001)
