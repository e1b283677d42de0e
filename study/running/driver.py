"""The driver: keeps workers at work until no cell of the study is open.

The database is the queue: driver and workers share nothing else, and any of them may die without
loss.
"""

from __future__ import annotations

import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from landscape_study.study.environment.interruption import interruptible
from landscape_study.study.errors import LandscapeError, StoreError, TrainingError
from landscape_study.study.planning.objective_plan import AnyPlan, ObjectivePlan
from landscape_study.study.planning.plan import AS_FAST_AS_POSSIBLE, Plan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.records.failure_words import failure_parts
from landscape_study.study.records.identity import require_same, require_same_code
from landscape_study.study.records.provenance import TRAINING_EXAMPLES, provenance
from landscape_study.study.running.asker import Asker
from landscape_study.study.running.job import BEAT, Job, ObjectiveJob, TaskJob
from landscape_study.study.running.pools import Pool
from landscape_study.study.running.processes import Processes
from landscape_study.study.spec.command_line import retry_line
from landscape_study.study.spec.study import Study
from landscape_study.study.store import LEASE, PanelProgress, Store
from landscape_study.study.store.presence import Presence
from landscape_study.study.store.prior_state import lacking
from landscape_study.study.training.checkpoint import remove_settled

POLL = 0.5  # seconds between looks at the progress
SELDOM = 10.0  # times as long as a look took, at least: of many cells it takes a while
LOADING = 10.0  # times as long as it took here may a worker take to load the task
CLAIMING = 3.0  # seconds within which a worker that waits claims what is free
DEATHS = 20  # in a row that may finish no cell: then it is not single cells that kill

OnProgress = Callable[[list[PanelProgress]], None]


def run(
    plan: AnyPlan,
    store: Store,
    on_progress: OnProgress = lambda progress: None,
    pool: Pool | None = None,
    *,
    stay: bool = True,
    cells: int | None = None,
    settings: RunSettings = AS_FAST_AS_POSSIBLE,
) -> None:
    """Train all open cells of the plan's study, as large as it is in the store by now.

    Returns when no cell is open. Interrupted (Ctrl-C, SIGTERM), it stops its workers, releases
    their claims and raises KeyboardInterrupt.

    Args:
        pool: where workers run; None for processes of this machine.
        stay: whether to stay while other runs hold all that is open: they may die.
        cells: after how many each worker leaves; None for any.
        settings: of the run; what the plan took from them is in the plan.

    Raises:
        TrainingError: a worker failed, workers keep dying, or every cell failed.
    """
    name = plan.study.name
    require_same(store.identity(name), plan.identity, plan.study, store.name)
    require_same_code(store.study(name), plan.study, store.name)
    store.release_dead(name)
    if not store.is_free(name):  # no worker begins only to find that no panel wants more
        Asker(store, name, _width(plan)).settle()
    if not store.is_open(name):
        return
    remove_settled(store.checkpoints, store.open_cells())
    threads = plan.layout.threads if pool is None else None
    facts = provenance(list(plan.layout.devices), plan.engine)
    facts |= {"threads": threads, "width": _width(plan)}
    if isinstance(plan, Plan):
        facts |= {TRAINING_EXAMPLES: plan.data.train.count}
    run_id = store.start_run(name, facts)
    presence = Presence(store, run_id)
    job = _job(plan, store, run_id, settings, stay=stay, cells=cells)
    crew = _Crew(job, pool or Processes(), plan.layout.devices)
    try:
        with interruptible(), crew:
            _supervise(crew, store, presence, on_progress)
        presence.require()
    except BaseException as e:
        with suppress(LandscapeError):  # what went wrong first is what is told
            _end(store, name, run_id, on_progress)
        if isinstance(e, StoreError):
            presence.require()  # it may be the reason
        raise
    remove_settled(store.checkpoints, store.open_cells())
    _end(store, name, run_id, on_progress)
    if stay:
        require_settled(store, job.study)
        require_any(store, job.study)


def _width(plan: AnyPlan) -> int:
    """How many cells are trained together."""
    return plan.width if isinstance(plan, Plan) else 1


def _job(
    plan: AnyPlan,
    store: Store,
    run_id: int,
    settings: RunSettings,
    *,
    stay: bool,
    cells: int | None,
) -> Job:
    """What the workers of a run are told."""
    name = plan.study.name
    common: dict[str, Any] = {
        "store": store.url,
        "study": store.study(name),
        "identity": plan.identity,
        "run_id": run_id,
        "threads": plan.layout.threads,
        "path": tuple(sys.path),
        "parent": os.getpid(),
        "stay": stay,
        "cells": cells,
    }
    if isinstance(plan, ObjectivePlan):
        return ObjectiveJob(
            **common,
            limits=settings.limits,
            folder=str((store.run_folders / name).absolute()),
            cwd=str(Path.cwd()),
            kept=settings.kept_bytes,
            function=plan.function,
        )
    return TaskJob(
        **common,
        patience=max(LEASE, LOADING * plan.loading),
        engine=plan.engine,
        width=plan.width,
        libraries=plan.libraries(),
        programs_name=plan.programs_name,
        checkpoints=None if plan.no_checkpoint else str(store.checkpoints.absolute()),
    )


def _end(store: Store, name: str, run_id: int, on_progress: OnProgress) -> None:
    store.end_run(run_id)
    on_progress(store.progress(name))


def require_settled(store: Store, study: Study) -> None:
    """Ask the database by its name, as a stranger would, for every cell of the study.

    Raises:
        TrainingError: some are neither finished nor given up, or not there.
        StoreError: there is no such database any more.
    """
    store.close()  # what others know of it must be in the file
    with closing(Store(store.url)) as stranger:
        lost = sum(map(sum, lacking(study, stranger.states(study.name)).values()))
        is_open = bool(stranger.unsettled(study.name))
    if is_open:
        raise TrainingError(
            f"{store.name}: cells of study '{study.name}' are still to be trained, though no "
            "worker is left: resume"
        )
    if lost:
        named = len(study.seeds) * sum(len(panel.cells()) for panel in study.panels)
        raise TrainingError(
            f"{store.name}: {lost} of the {named} cells of study '{study.name}' are not in it as "
            "finished, though no worker is left: `landscape check` says what is wrong; else resume"
        )


def require_any(store: Store, study: Study) -> None:
    """Check that some cell of the study has a result.

    Raises:
        TrainingError: all were given up.
    """
    failures, name = store.failures(study.name), study.name
    if failures and not store.has_finished(name):
        why, _ = failure_parts(failures[-1].reason)
        raise TrainingError(
            f"study '{name}': all {len(failures)} cells failed, the last since {why}; "
            f"`landscape status {shlex.quote(name)}` says more: mend that, then\n"
            f"  {retry_line(study, store.name)}"
        )


def _supervise(crew: _Crew, store: Store, presence: Presence, on_progress: OnProgress) -> None:
    """Keep the crew at work until no cell is open, and the run's lease alive."""
    job, beaten, hung = crew.job, time.time(), _Hung()
    while crew.any_left():
        presence.require()
        began = time.monotonic()
        progress = store.progress(job.study.name)
        looking = time.monotonic() - began
        on_progress(progress)
        settled = sum(p.ended for p in progress)
        if settled == sum(p.total for p in progress) and not store.unsettled(job.study.name):
            return  # whoever is still there does nothing of use: it hangs, say
        # By the wall clock, which goes on while the machine sleeps, but may be set.
        if abs(time.time() - beaten) > BEAT:
            beaten = time.time()
            store.beat_run(job.run_id)
        crew.pool.look_after(hung.among(store.leases(job.run_id)))
        crew.end_late(store)
        for device in crew.lost(timeout=max(POLL, SELDOM * looking)):
            store.release_dead(job.study.name)
            crew.replace(device, settled)


class _Hung:
    """Finds the workers that gave no sign of life until their claims expired.

    Where this process was stopped, or its machine slept, so did the workers: for the length of a
    lease nobody is taken for hung then.
    """

    def __init__(self) -> None:
        self.asked, self.woken = time.time(), -math.inf
        self.ends: dict[int, float] = {}  # when the living claims would expire, by process id

    def among(self, leases: dict[int, float]) -> set[int]:
        """Process ids, of those that hold claims and those whose claims others took.

        Args:
            leases: for how many seconds more each process's claim lives.
        """
        moment = time.time()
        if abs(moment - self.asked) > BEAT:
            self.woken = moment
        self.asked = moment
        living = {pid for pid, left in leases.items() if left > 0}
        # One that ended before its time was recorded or given back.
        taken = {pid for pid, end in self.ends.items() if end < moment} - living
        self.ends = {pid: moment + leases[pid] for pid in living}
        return set() if abs(moment - self.woken) < LEASE else taken | (leases.keys() - living)


class _Crew:
    """One worker per device; leaving ends those that still run."""

    def __init__(self, job: Job, pool: Pool, devices: Sequence[str]) -> None:
        self.job, self.pool, self.devices = job, pool, devices
        self.slots: dict[Future[bool], str] = {}
        self.began: dict[Future[bool], float] = {}  # when each was started, on the monotonic clock
        self.free_since: float | None = None  # something is free to be claimed
        self.died, self.settled = 0, -1

    def __enter__(self) -> _Crew:
        try:
            for device in self.devices:
                self._start(device)
        except BaseException:  # interrupted between two: those that run must not go on
            self.pool.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.close()

    def _start(self, device: str) -> None:
        future = self.pool.start(self.job, device)
        self.slots[future], self.began[future] = device, time.monotonic()

    def end_late(self, store: Store) -> None:
        """End the workers that hang before their first claim: in data(), say, or an import.

        Raises:
            TrainingError: none of the run's workers ever got so far.
        """
        late = {f for f, t in self.began.items() if time.monotonic() - t > self.job.patience}
        if not late or not self._is_long_free(store):
            return  # who has nothing to claim may wait
        if all(self.pool.process(future) is None for future in late):
            return  # on a cluster, which may be busy with something else
        ready = store.claimants(self.job.run_id)
        if not ready:
            raise TrainingError(
                f"study '{self.job.study.name}': no worker began to train within "
                f"{self.job.patience:.0f} s: the task's data(), network() or an import hangs "
                "there; mend that and resume"
            )
        for future in late:
            process = self.pool.process(future)
            if process is not None and process not in ready:
                self.pool.look_after({process})
            else:
                del self.began[future]  # it claimed, or is out of reach

    def _is_long_free(self, store: Store) -> bool:
        """Whether something has been free to be claimed for so long that a worker would have."""
        if not store.is_free(self.job.study.name):
            self.free_since = None
            return False
        self.free_since = self.free_since or time.monotonic()
        return time.monotonic() - self.free_since > CLAIMING

    def any_left(self) -> bool:
        """Whether any worker is still at work."""
        return bool(self.slots)

    def lost(self, timeout: float) -> list[str]:
        """Wait so long (seconds) for workers to end; the devices of those that ended too early.

        They were killed, or took this process for dead after it had been stopped for a while.

        Raises:
            LandscapeError: what a worker failed with.
        """
        devices = []
        for future in wait(self.slots, timeout, return_when=FIRST_COMPLETED).done:
            device = self.slots.pop(future)
            self.began.pop(future, None)
            self.pool.forget(future)
            if not self._is_done(future, device):
                devices.append(device)
        return devices

    def _is_done(self, future: Future[bool], device: str) -> bool:
        """Whether the worker ended since there was nothing left to claim."""
        try:
            return future.result()
        except self.pool.lost:
            return False
        except LandscapeError:
            raise
        except Exception as e:  # before the first chunk: loading the data, say
            raise TrainingError(
                f"study '{self.job.study.name}': a worker on {device} failed: "
                f"{type(e).__name__}: {e}: mend that and resume"
            ) from e

    def replace(self, device: str, settled: int) -> None:
        """Start another worker for one that was lost when so many cells were settled.

        Raises:
            TrainingError: workers keep dying and no cell gets settled.
        """
        self.died = self.died + 1 if settled == self.settled else 1
        self.settled = settled
        if self.died >= max(DEATHS, 3 * len(self.devices)):
            raise TrainingError(
                f"study '{self.job.study.name}': workers died {self.died} times in a row without "
                "finishing a cell (out of memory?): resume with fewer --workers, or start it anew "
                "under another --name with a smaller --chunk"
            )
        self._start(device)
