"""What a worker is told, and what keeps it and its claim alive while it works."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from landscape_study.study.errors import LeaseLostError
from landscape_study.study.objectives.process import Limits
from landscape_study.study.records.identity import Identity
from landscape_study.study.spec.study import Study
from landscape_study.study.store import LEASE, Claim, Store
from landscape_study.study.training.engines.base import Libraries

NO_LIMITS = Limits()
POLL = 0.5  # seconds between tries to claim, and between looks whether the parent lives
LOOK = 5.0  # seconds between looks whether the run goes on
BEAT = LEASE / 4  # seconds between signs of life
GRACE = 10.0  # seconds that a worker has to stop by itself when its parent is gone


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a worker needs to know, whatever it does; crosses the process boundary.

    Attributes:
        store: URL of the database.
        identity: of the study's task or objective, which must be this worker's too.
        path: sys.path of the parent, for code of the user.
        parent: process id of the parent on this machine, without which a worker stops; None for
            one that is elsewhere.
        patience: seconds within which a worker must be ready to train.
        stay: whether to stay while others hold all that is open: they may die.
        cells: after how many a worker leaves; None for any.
    """

    store: str
    study: Study
    identity: Identity
    run_id: int
    threads: int = 1
    path: tuple[str, ...] = ()
    parent: int | None = None
    patience: float = LEASE
    stay: bool = True
    cells: int | None = None

    def elsewhere(self) -> Self:
        """For a worker on another machine, where this process is not the parent."""
        return replace(self, parent=None, threads=1)


@dataclass(frozen=True, kw_only=True)
class TaskJob(Job):
    """Cells of a task to train, many at once.

    Attributes:
        libraries: what is compiled already.
        programs_name: under which name more of that is remembered; None for nowhere.
        width: cells of a whole chunk.
        checkpoints: their folder; None to keep none.
    """

    engine: str
    width: int
    libraries: Libraries = field(default_factory=dict)
    programs_name: str | None = None
    checkpoints: str | None = None

    def elsewhere(self) -> Self:
        """What is compiled here may not run there."""
        return replace(super().elsewhere(), libraries={}, programs_name=None)


@dataclass(frozen=True, kw_only=True)
class ObjectiveJob(Job):
    """Runs of an objective, a process for each cell.

    Attributes:
        limits: of each process.
        folder: where the runs have theirs.
        cwd: the folder where they run.
        kept: bytes of their folders that are kept; None for those of failed runs only.
        function: the objective itself, pickled, where no other process could import it.
    """

    limits: Limits = NO_LIMITS
    folder: str = ""
    cwd: str = ""
    kept: int | None = None
    function: bytes | None = None


class Pulse:
    """Called at each training step: keeps the lease alive, and notices when nobody waits for it.

    The beat follows the training, so that a worker that hangs loses its claim.
    """

    def __init__(self, job: Job, store: Store, claim: Claim) -> None:
        self.job, self.store, self.claim = job, store, claim
        self.steps = 0
        self.acts = (_Every(POLL, self._parent), _Every(LOOK, self._run), _Every(BEAT, self._beat))

    def __call__(self) -> None:  # noqa: D102
        self.steps += 1
        moment = time.time()
        for act in self.acts:
            act(moment)

    def _parent(self) -> None:
        stop_if_orphaned(self.job, lambda: self.store.release(self.claim))

    def _run(self) -> None:
        if not self.store.is_running(self.job.run_id):
            self.store.release(self.claim)
            raise LeaseLostError(f"run {self.job.run_id} is over")

    def _beat(self) -> None:
        self.store.beat(self.claim)


class _Every:
    """Does something every so many seconds of those at which it is called.

    By the wall clock, which goes on while the machine sleeps, but may be set.
    """

    def __init__(self, every: float, act: Callable[[], None]) -> None:
        self.every, self.act = every, act
        self.last = time.time()

    def __call__(self, moment: float) -> None:
        if abs(moment - self.last) > self.every:
            self.last = moment
            self.act()


def stop_if_orphaned(job: Job, last_act: Callable[[], None] = lambda: None) -> None:
    """End this process when the parent is gone: nobody would ever stop it."""
    if job.parent is not None and os.getppid() != job.parent:
        last_act()
        os._exit(1)


def outlive_no_parent(job: Job) -> None:
    """End this process soon after its parent, even where no training step comes to do so."""
    while os.getppid() == job.parent:
        time.sleep(POLL)
    time.sleep(GRACE)
    os._exit(1)
