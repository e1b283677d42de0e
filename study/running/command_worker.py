"""The cells of a study that has an objective: one process each, and what became of it."""

from __future__ import annotations

import math
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Protocol

import numpy as np
import psutil

from landscape_study.study.environment.parenthood import adopt_orphans
from landscape_study.study.errors import LeaseLostError, TrainingError
from landscape_study.study.objectives.function_host import Order
from landscape_study.study.objectives.function_process import FunctionHost
from landscape_study.study.objectives.function_run import FunctionCell
from landscape_study.study.objectives.measurements import Measurements
from landscape_study.study.objectives.objective import identify_function
from landscape_study.study.objectives.process import Ended, attend, end_leftovers, run_process
from landscape_study.study.objectives.reports import Reports
from landscape_study.study.records.identity import require_same
from landscape_study.study.records.run_outcome import RunOutcome
from landscape_study.study.running.job import Job, Pulse
from landscape_study.study.spec.placeholders import Filling, filled
from landscape_study.study.store import Claim, Store

FIRST_FAILURES = 3  # cells that failed before any was finished: then it is not single cells
THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "RAYON_NUM_THREADS"),
)
SHOWN = 5  # last lines of a log in a reason


class StopAskedError(Exception):
    """This worker is to end; the run that it had is ended, and its cell given back."""


class Found(Protocol):
    """What a run gave, as commands print it and functions report and return it."""

    @property
    def value(self) -> float | None:
        """Of the metric, if there is one."""

    @property
    def lacking(self) -> str:
        """Why there is no value."""

    def curves(self) -> Mapping[str, np.ndarray]:
        """Float32 [points] per metric."""


class ObjectiveRuns:
    """Runs the objective of a job's study for one cell after the other.

    SIGTERM ends the run in its own time (see `objectives.process.GRACE`), gives its cell back and
    ends the worker.
    """

    def __init__(self, job: Job, store: Store, device: str) -> None:
        self.job, self.store, self.device = job, store, device
        self.host: FunctionHost | None = None
        if job.study.function:
            self.host = FunctionHost(job.study.task, job.function, _shares(job, device))
        self.is_running, self.is_stopping = False, False
        self.others: set[int] = set()  # process ids of children of this process that are no runs

    def __enter__(self) -> ObjectiveRuns:
        if threading.current_thread() is threading.main_thread():  # which alone hears signals
            signal.signal(signal.SIGTERM, self._stop)
        adopt_orphans()
        self.others = {child.pid for child in psutil.Process().children()}
        if self.host is not None:
            self._require_same_source()
            self.host.ready()
        return self

    def __exit__(self, *_: object) -> None:
        if self.host is not None:
            self.host.close()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self.is_running:
            os._exit(128 + number)
        self.is_stopping = True

    def _require_same_source(self) -> None:
        """Check that the function here is the study's; one that was sent is."""
        name, study = self.job.study.task, self.job.study.name
        if self.job.function is None:
            here = f"{self.store.name}: a worker on {socket.gethostname()}"
            require_same(self.job.identity, identify_function(name), study, name, here)

    def train(self, claim: Claim) -> None:
        """Run the objective for the one cell of a claim, and record what became of it.

        Raises:
            TrainingError: the first cells all failed, so that it is not single cells that do.
            StopAskedError: this worker is to end.
        """
        job, store = self.job, self.store
        (cell,) = claim.cells
        panel = job.study.panel(claim.panel)
        folder = cell_folder(job, claim)
        filling = Filling(cell.alpha, cell.lambda_, claim.seed, panel.pair, panel.name, folder)
        pulse = Pulse(job, store, claim)

        def look() -> None:
            if self.is_stopping:
                raise StopAskedError
            pulse()

        folder.mkdir(parents=True, exist_ok=True)
        end_leftovers(folder)
        self.is_running = True
        run = self._run_command if self.host is None else self._call_function
        try:
            ended, found = run(filling, look)
            reason = _why_failed(ended, found)
            if reason is None:
                store.record_run(claim, _outcome(ended, found, job), job.study.metric.name)
                shutil.rmtree(folder, ignore_errors=True)
                with suppress(OSError):
                    folder.parent.rmdir()  # if it was the last
            elif ended.code == -signal.SIGTERM and ended.stopped is None:
                store.release(claim)  # whoever ended it wants the machine, not the cell, to stop
            else:
                _give_up(job, store, claim, reason)
        except LeaseLostError:
            pass  # another worker has the cell, or the run is over; look what is next
        except (StopAskedError, TrainingError):
            store.release(claim)
            raise
        finally:
            self.is_running = False

    def _run_command(self, filling: Filling, look: Callable[[], None]) -> tuple[Ended, Found]:
        found = Measurements(self.job.study.metric.name, self.job.study.pattern)
        filling.result.unlink(missing_ok=True)
        words = filled(self.job.study.command or (), filling.words)
        try:
            ended = run_process(
                words,
                filling.environment | _shares(self.job, self.device),
                log=filling.folder / "log.txt",
                limits=self.job.limits,
                on_line=found.read_line,
                on_look=look,
                bystanders=self.others,
            )
        except OSError as e:
            raise TrainingError(
                f"study '{self.job.study.name}': '{words[0]}' cannot be started "
                f"({e.strerror or e}): name a program that is there"
            ) from e
        found.read_result(filling.result)
        return ended, found

    def _call_function(self, filling: Filling, look: Callable[[], None]) -> tuple[Ended, Found]:
        assert self.host is not None
        metric = self.job.study.metric.name
        kind = self.device.partition(":")[0]
        order = Order(
            FunctionCell(
                filling.alpha, filling.lambda_, filling.seed, filling.pair, filling.panel
            ),
            "cuda:0" if kind == "cuda" else kind,  # the only one that it sees
            str(filling.folder),
            metric,
        )
        self.host.ready(look)
        ended = attend(
            self.host.start(order),
            log=filling.folder / "log.txt",
            limits=self.job.limits,
            on_line=lambda line: None,
            on_look=look,
            bystanders=self.others | self.host.pids,
        )
        return ended, Reports(filling.folder, metric)


def cell_folder(job: Job, claim: Claim) -> Path:
    """The folder of a claim's cell: the same for whoever claims it again."""
    return Path(job.folder) / f"chunk-{claim.chunk_id}"


def _shares(job: Job, device: str) -> dict[str, str]:
    """Threads, and the GPU, that a run may use."""
    kind, _, index = device.partition(":")
    visible = {"CUDA_VISIBLE_DEVICES": index or "0"} if kind == "cuda" else {}
    threads = {name: str(job.threads) for name in THREADS if name not in os.environ}
    return {**threads, **visible, "PYTHONUNBUFFERED": "1", "LANDSCAPE_DEVICE": kind}


def _outcome(ended: Ended, found: Found, job: Job) -> RunOutcome:
    value = found.value
    assert value is not None
    lost = not math.isfinite(value)
    return RunOutcome(
        value=job.study.metric.sign * math.inf if lost else value,
        diverged=lost,
        seconds=ended.seconds,
        curves=found.curves(),
    )


def _why_failed(ended: Ended, found: Found) -> str | None:
    """Why a run has no result; None if it has one."""
    if ended.stopped == "timeout":
        return f"it took longer than its time, {ended.seconds:.0f} s"
    if ended.stopped == "memory":
        return f"it took more than its memory, {ended.memory / 1024**3:.2f} GB"
    if ended.code == -signal.SIGKILL:
        return f"it was killed, as for lack of memory ({ended.memory / 1024**3:.2f} GB seen)"
    if ended.code < 0:
        return f"it was ended by signal {signal.Signals(-ended.code).name}"
    if isinstance(found, Reports) and found.failed:
        return found.failed
    if ended.code:
        return f"it ended with exit code {ended.code}"
    return found.lacking if found.value is None else None


def _give_up(job: Job, store: Store, claim: Claim, reason: str) -> None:
    """Mark the cell failed, with the last lines of its log.

    Raises:
        TrainingError: the first cells of the study all failed.
    """
    log = cell_folder(job, claim) / "log.txt"
    lines = _last_lines(log)
    said = f": {' | '.join(lines)}" if lines else ""
    store.fail(claim, f"{reason}{said}")
    failed = len(store.failures(job.study.name))
    if failed >= FIRST_FAILURES and not store.has_finished(job.study.name):
        raise TrainingError(
            f"study '{job.study.name}': the first {failed} cells all failed, the last since "
            f"{reason}{said}; mend that, then resume with --retry-failed; whole logs are in "
            f"{job.folder}"
        )


def _last_lines(log: Path) -> Sequence[str]:
    with suppress(OSError):
        lines = log.read_text("utf-8", "replace").splitlines()
        return [line.strip()[:200] for line in lines if line.strip()][-SHOWN:]
    return []
