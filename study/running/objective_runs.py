"""The cells of a study that has an objective: one process each, and what became of it."""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np

from landscape_study.study.errors import LeaseLostError, StudyMismatchError, TrainingError
from landscape_study.study.objectives.family import adopting
from landscape_study.study.objectives.function_host import Order
from landscape_study.study.objectives.function_process import FunctionHost
from landscape_study.study.objectives.function_run import FunctionCell
from landscape_study.study.objectives.kept_folders import LOG, ROOM, begin, settle
from landscape_study.study.objectives.measurements import Measurements
from landscape_study.study.objectives.process import (
    Ended,
    Limits,
    Look,
    attend,
    end_leftovers,
    run_process,
)
from landscape_study.study.objectives.reports import News, Reports
from landscape_study.study.objectives.slot import slot_environment
from landscape_study.study.planning.objective_plan import identify_objective
from landscape_study.study.records.failure_words import failure_parts, failure_words
from landscape_study.study.records.identity import require_same
from landscape_study.study.records.run_outcome import RunOutcome
from landscape_study.study.records.standing import Standing
from landscape_study.study.running.job import ObjectiveJob, Pulse
from landscape_study.study.running.panel_pruners import Pruners
from landscape_study.study.spec.cell_numbers import plain
from landscape_study.study.spec.command_line import retry_line
from landscape_study.study.spec.placeholders import Filling, filled
from landscape_study.study.spec.study import Cell, Panel
from landscape_study.study.store import Claim, Store

FIRST_FAILURES = 3  # cells that failed before any was finished: then it is not single cells
TRIES = 3  # of a run that is killed from outside, as for lack of memory
PRUNED = "pruned"  # why a run was ended


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

    @property
    def last(self) -> Mapping[str, float]:
        """The last point, which may hold other numbers than the metric."""

    @property
    def count(self) -> int:
        """How many points there were."""

    def curves(self) -> Mapping[str, np.ndarray]:
        """Float32 [points] per metric."""


Hopeless = Callable[[Found], bool]


class ObjectiveRuns:
    """Runs the objective of a job's study for one cell after the other.

    SIGTERM ends the run in its own time (see `objectives.process.GRACE`), gives its cell back and
    ends the worker.
    """

    def __init__(self, job: ObjectiveJob, store: Store, device: str) -> None:
        self.job, self.store, self.device = job, store, device
        self.host: FunctionHost | None = None
        if job.study.function:
            self.host = FunctionHost(
                job.study.task, job.function, slot_environment(device, job.threads), job.cwd
            )
        self.pruners = Pruners(job, store)
        self.is_running, self.is_stopping = False, False
        self.handler: Any = signal.SIG_DFL  # of SIGTERM, before

    def __enter__(self) -> ObjectiveRuns:
        if threading.current_thread() is threading.main_thread():  # which alone hears signals
            self.handler = signal.signal(signal.SIGTERM, self._stop)
        if self.host is not None:
            self._require_same_source()
            self.host.ready()
        return self

    def __exit__(self, *_: object) -> None:
        if self.host is not None:
            self.host.close()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self.is_running:
            os._exit(128 + number)
        self.is_stopping = True

    def _require_same_source(self) -> None:
        """Check that the objective here and now is the study's; one that was sent is.

        Raises:
            StudyMismatchError: it is not.
        """
        study = self.job.study
        if self.job.function is None:
            with chdir(self.job.cwd or "."):  # a worker of a cluster is elsewhere
                found = identify_objective(study)
            here = socket.gethostname()
            require_same(self.job.identity, found, study, self.store.name, here)

    def train(self, claim: Claim) -> None:
        """Run the objective for the one cell of a claim, and record what became of it.

        Raises:
            StudyMismatchError: the script is not what it was when the study was created.
            TrainingError: the first cells all failed, so that it is not single cells that do.
            StopAskedError: this worker is to end.
        """
        job, store = self.job, self.store
        (cell,) = claim.cells
        panel = job.study.panel(claim.panel)
        folder = cell_folder(job, claim)
        filling = filling_of(cell, claim.seed, panel, folder)
        pulse = Pulse(job, store, claim)

        def look() -> None:
            self.require_wanted()
            pulse()

        try:
            with self.heeding():
                ended, found = self.run(filling, look, self._pruning(panel, claim))
                self._record(claim, folder, ended, found)
        except LeaseLostError:
            pass  # another worker has the cell, or the run is over; look what is next
        except OSError as e:
            store.release(claim)
            what = f"'{(job.study.command or (job.study.task,))[0]}'"
            raise TrainingError(
                f"study '{job.study.name}': {what} cannot be started on {socket.gethostname()} "
                f"({e}): name a program, and work in a folder, that is there"
            ) from e
        except (StopAskedError, TrainingError, StudyMismatchError):
            store.release(claim)
            raise

    def _record(self, claim: Claim, folder: Path, ended: Ended, found: Found) -> None:
        """Record what became of a claim's run, and keep or remove its folder."""
        job, store = self.job, self.store
        reason = why_failed(ended, found, job.limits)
        if reason is None:
            store.record_run(claim, _outcome(ended, found, job), job.study.metric.name)
            settle(folder, keep=job.kept is not None, room=job.kept or 0)
        elif ended.code == -signal.SIGTERM and ended.stopped is None:
            store.release(claim)  # whoever ended it wants the machine, not the cell, to stop
        elif _was_killed(ended) and claim.attempts < TRIES:
            store.try_again(claim)  # when others are done, there may be more memory
        else:
            _give_up(job, store, claim, reason, ended.tail)
            settle(folder, keep=True, room=max(ROOM, job.kept or 0))

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """While it lasts, SIGTERM ends nothing at once: `require_wanted` says that it came."""
        self.is_running = True
        try:
            yield
        finally:
            self.is_running = False

    def require_wanted(self) -> None:
        """Check that nobody asked this worker to end.

        Raises:
            StopAskedError: somebody did.
        """
        if self.is_stopping:
            raise StopAskedError

    def _pruning(self, panel: Panel, claim: Claim) -> Hopeless | None:
        """Tells of what a claim's run gave so far whether it is hopeless."""
        pruner, metric = self.pruners.of(panel), self.job.study.metric
        if pruner is None:
            return None
        seen = 0

        def is_hopeless(found: Found) -> bool:
            nonlocal seen
            curve = found.curves().get(metric.name, np.empty(0))
            if len(curve) <= seen:
                return False
            seen = len(curve)
            costs = metric.sign * curve.astype(float)[None]
            costs[~np.isfinite(costs)] = np.inf
            return bool(pruner.leaving(Standing(claim.seed, claim.cells, costs))[0])

        return is_hopeless

    def run(
        self, filling: Filling, look: Callable[[], None], is_hopeless: Hopeless | None = None
    ) -> tuple[Ended, Found]:
        """Run the objective for a cell, in its folder: how it ended, and what it gave.

        Args:
            filling: the cell.
            look: called several times a second; what it raises ends the run, and is raised.
            is_hopeless: tells of what the run gave so far whether it is to end.

        Raises:
            OSError: it cannot be started.
        """
        begin(filling.folder)
        end_leftovers(filling.folder)
        run = self._run_command if self.host is None else self._call_function
        return run(filling, look, is_hopeless)

    def _run_command(
        self, filling: Filling, look: Callable[[], None], is_hopeless: Hopeless | None
    ) -> tuple[Ended, Found]:
        found = Measurements(self.job.study.metric.name, self.job.study.pattern)
        filling.result.unlink(missing_ok=True)
        self._require_same_source()
        ended = run_process(
            filled(self.job.study.command or (), filling.words),
            filling.environment | slot_environment(self.device, self.job.threads),
            log=filling.folder / LOG,
            limits=self.job.limits,
            on_line=found.read_line,
            on_look=_looking(look, lambda: is_hopeless is not None and is_hopeless(found)),
            cwd=self.job.cwd or None,
        )
        found.read_result(filling.result)
        return ended, found

    def _call_function(
        self, filling: Filling, look: Callable[[], None], is_hopeless: Hopeless | None
    ) -> tuple[Ended, Found]:
        assert self.host is not None
        metric = self.job.study.metric.name
        kind = self.device.partition(":")[0]
        order = Order(
            FunctionCell(
                filling.alpha,
                filling.lambda_,
                filling.seed,
                filling.pair,
                filling.panel,
                {name: plain(value) for name, value in filling.own},
            ),
            "cuda:0" if kind == "cuda" else kind,  # the only one that it sees
            str(filling.folder),
            metric,
        )
        has_news = News(filling.folder)

        def prunes() -> bool:
            if is_hopeless is None or not has_news():
                return False
            return is_hopeless(Reports(filling.folder, metric))

        with adopting() as before:
            process = self.host.start(order, look)
            ended = attend(
                process,
                log=filling.folder / LOG,
                limits=self.job.limits,
                on_line=lambda line: None,
                on_look=_looking(look, prunes),
                before=before | self.host.pids,
            )
        return ended, Reports(filling.folder, metric)


def _looking(look: Callable[[], None], prunes: Callable[[], bool]) -> Look:
    """A look at a run that tells too when it is to end as hopeless."""

    def looked() -> str | None:
        look()
        return PRUNED if prunes() else None

    return looked


def filling_of(cell: Cell, seed: int, panel: Panel, folder: Path) -> Filling:
    """What stands for the placeholders of a cell of a panel."""
    return Filling(cell.alpha, cell.lambda_, seed, panel.pair, panel.name, folder, cell.own)


def cell_folder(job: ObjectiveJob, claim: Claim) -> Path:
    """The folder of a claim's cell: the same for whoever claims it again."""
    return Path(job.folder) / f"chunk-{claim.chunk_id}"


def _outcome(ended: Ended, found: Found, job: ObjectiveJob) -> RunOutcome:
    is_pruned = ended.stopped == PRUNED
    value = float(found.curves()[job.study.metric.name][-1]) if is_pruned else found.value
    assert value is not None
    lost = not math.isfinite(value)
    return RunOutcome(
        value=job.study.metric.sign * math.inf if lost else value,
        diverged=lost,
        seconds=ended.seconds,
        curves=found.curves(),
        pruned=is_pruned and not lost,
    )


def _was_killed(ended: Ended) -> bool:
    """Whether a run was killed from outside, as for lack of memory."""
    return ended.code == -signal.SIGKILL and ended.stopped is None


def why_failed(ended: Ended, found: Found, limits: Limits) -> str | None:
    """Why a run within these limits has no result; None if it has one."""
    if ended.stopped == PRUNED:
        return None
    if ended.stopped == "timeout":
        return f"it took longer than its time, {limits.seconds:g} s"
    if ended.stopped == "memory":
        allowed = (limits.memory or 0) / 1024**3
        return f"it took more than its memory, {ended.memory / 1024**3:.2f} of {allowed:g} GB"
    if ended.code == -signal.SIGKILL:
        seen = f"{ended.memory / 1024**3:.2f} GB seen"
        return f"it was killed {TRIES} times, as for lack of memory ({seen})"
    if ended.code < 0:
        return f"it was ended by signal {signal.Signals(-ended.code).name}"
    if isinstance(found, Reports) and found.failed:
        return found.failed
    if ended.code:
        return f"it ended with exit code {ended.code}"
    return found.lacking if found.value is None else None


def _give_up(
    job: ObjectiveJob, store: Store, claim: Claim, reason: str, tail: Sequence[str]
) -> None:
    """Mark the cell failed, with the last lines of its log.

    Raises:
        TrainingError: the first cells of the study all failed.
    """
    log = f"{socket.gethostname()}:{cell_folder(job, claim) / LOG}"
    store.fail(claim, failure_words(reason, tail, log))
    failed = len(store.failures(job.study.name))
    if failed >= FIRST_FAILURES and not store.has_finished(job.study.name):
        _, said = failure_parts(failure_words(reason, tail))
        raise TrainingError(
            "\n    ".join([f"study '{job.study.name}': {reason}", *said])
            + f"\nthe first {failed} cells all failed; whole logs are in {job.folder}: mend that, "
            f"then\n  {retry_line(job.study, store.name)}"
        )
