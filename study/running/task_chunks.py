"""The cells of a study that trains a task: many at once in a chunk, and what became of them."""

from __future__ import annotations

import hashlib
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch

from landscape_study.study.errors import (
    DataError,
    LandscapeError,
    LeaseLostError,
    TrainingError,
    first_line,
)
from landscape_study.study.planning.known_programs import keep
from landscape_study.study.planning.own_pairs import with_own_pairs
from landscape_study.study.records.identity import require_same, require_same_code
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.running.job import Pulse, TaskJob
from landscape_study.study.running.panel_pruners import Pruners
from landscape_study.study.spec.study import Cell, Panel
from landscape_study.study.store import Claim, Store
from landscape_study.study.tasks import is_user_task, load_task
from landscape_study.study.tasks.task import identify, load_data
from landscape_study.study.training.checkpoint import FORMAT, Checkpoint, Group, checkpoint_path
from landscape_study.study.training.chunk import train_chunk
from landscape_study.study.training.engines import ENGINES, Programs
from landscape_study.study.training.engines.base import Libraries

HARDLY = 1e-9  # of the lowest α: steps that move nothing
FILL_UP = 4  # a chunk that lacks no more than one cell in so many is filled up


class _FarEnoughError(Exception):
    """A training got further than the one that raised an exception."""


class TaskChunks:
    """Trains chunk after chunk of a job's study.

    Raises:
        StudyMismatchError: the task or a rule here is not the study's.
        TaskError, PairError: it cannot be loaded.
    """

    def __init__(self, job: TaskJob, store: Store, device: str) -> None:
        self.job, self.store, self.device = job, store, device
        self.programs = Programs(job.libraries, do_without=partial(print, file=sys.stderr))
        self.remembered: Libraries = {}
        self.raised = 0  # claims in a row whose training raised an exception
        self.pruners = Pruners(job, store)
        task = load_task(job.study.task)
        data = load_data(task)
        found = identify(job.study.task, task, data)
        require_same(job.identity, found, job.study, store.name, socket.gethostname())
        here = with_own_pairs(job.study)
        require_same_code(job.study, here, store.name, socket.gethostname())
        self.training: Callable[..., Outcome] = partial(
            train_chunk,
            task,
            data.to(device, getattr(torch, job.study.options.precision)),
            device=device,
            metric=job.study.metric,
            engine=job.engine,
            programs=self.programs,
        )

    def train(self, claim: Claim) -> None:
        """Train the cells of a claim, and record what became of them.

        Raises:
            TrainingError: the user's code raises an exception whatever the cell.
            DataError: what is trained on cannot be read to the end.
        """
        job, store = self.job, self.store
        panel, cells = job.study.panel(claim.panel), filled_up(claim.cells, job)
        checkpoint = checkpoint_of(job, store, claim, cells, self.device)
        pulse = Pulse(job, store, claim)
        try:
            outcome = self._trained(panel, cells, claim.seed, pulse, checkpoint)
            store.record(claim, outcome.first(len(claim.cells)))
            if checkpoint is not None:
                checkpoint.remove()
            self._remember_programs()
        except LeaseLostError:
            pass  # another worker has the chunk, or the run is over; look what is next
        except DataError:
            store.release(claim)  # no cell is to blame: all of them are trained on the same data
            raise
        except LandscapeError:
            raise  # the database fails, and says so itself; the lease will expire
        except (Exception, SystemExit, KeyboardInterrupt) as e:  # Ctrl-C does not reach a worker
            if not is_out_of_memory(e):
                self._set_aside(claim, panel, cells, pulse, e)
                self.raised += 1
                return
            _give_back_smaller(store, claim, e)
        self.raised = 0

    def _remember_programs(self) -> None:
        """Spare the next run the tracing of what was compiled now."""
        if self.job.programs_name and self.programs.libraries != self.remembered:
            keep(self.job.programs_name, self.programs.libraries)
            self.remembered = dict(self.programs.libraries)

    def _trained(
        self,
        panel: Panel,
        cells: Sequence[Cell],
        seed: int,
        on_step: Callable[[], None],
        checkpoint: Checkpoint | None = None,
    ) -> Outcome:
        study, own = self.job.study, cells[0].own
        return self.training(
            panel,
            cells,
            pruner=self.pruners.of(panel),
            seed=seed,
            batch_size=study.batch_size_of(panel, own),
            options=study.options_of(panel, own),
            on_step=on_step,
            checkpoint=checkpoint,
        )

    def _set_aside(
        self, claim: Claim, panel: Panel, cells: Sequence[Cell], pulse: Pulse, e: BaseException
    ) -> None:
        """Set aside a claim whose training raised an exception, unless no cell is to blame.

        Raises:
            TrainingError: none is.
        """
        store, name = self.store, self.job.study.name
        doubted = self.raised > 0 or not store.has_finished(name)
        try:
            all_raise = doubted and self._raises_always(panel, cells, claim, pulse)
        except LeaseLostError:
            return
        if all_raise:
            store.release(claim)
            raise TrainingError(f"study '{name}', {_what_failed(claim, e, self.job)}") from e
        store.set_aside(claim, f"raised {told(e)}")

    def _raises_always(
        self, panel: Panel, cells: Sequence[Cell], claim: Claim, pulse: Pulse
    ) -> bool:
        """Whether the training raises one even where it hardly moves: no cell is to blame.

        Args:
            pulse: of the training that raised one.
        """
        still = Cell(min(panel.grid.alpha.values) * HARDLY, 0.0, cells[0].own)
        last = pulse.steps + 2  # what raises after a step does so before the next but one

        def on_step() -> None:
            pulse()
            nonlocal last
            last -= 1
            if last < 0:
                raise _FarEnoughError

        try:
            self._trained(panel, [still] * len(cells), claim.seed, on_step)
        except _FarEnoughError:
            return False
        except LandscapeError:
            raise
        except (Exception, SystemExit, KeyboardInterrupt):
            return True
        return False


def checkpoint_of(
    job: TaskJob, store: Store, claim: Claim, cells: Sequence[Cell], device: str
) -> Checkpoint | None:
    """Of the claimed chunk; it fits whoever would train the same cells in the same way."""
    if job.checkpoints is None:
        return None
    study, panel, own = job.study, job.study.panel(claim.panel), cells[0].own
    facts = (
        *(study.task, job.identity.fingerprint, study.metric.name),
        *(study.batch_size_of(panel, own), study.options_of(panel, own)),
        *(panel.model_dump_json(exclude={"grid", "design"}), claim.seed),
        *(job.engine, job.width, device.partition(":")[0], job.threads),
        *(torch.__version__, version("landscape-study"), FORMAT),
    )
    key = hashlib.sha256(repr(facts).encode()).hexdigest()
    path = checkpoint_path(Path(job.checkpoints), claim.chunk_id, len(cells))
    group = Group(study.name, claim.panel, claim.seed, tuple(cells))
    return Checkpoint(path, key, group=group, on_written=partial(store.went_on, claim))


def _give_back_smaller(store: Store, claim: Claim, e: BaseException) -> None:
    """What was too much for the memory is trained in halves; one cell that is, never."""
    if len(claim.cells) > 1:
        store.halve(claim)
    else:
        store.fail(claim, f"out of memory, alone: {first_line(e)}")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_out_of_memory(e: BaseException) -> bool:
    """Whether the exception says that memory was not enough, of a GPU or of the host."""
    told = "can't allocate memory" in str(e) or "not enough memory" in str(e)  # PyTorch's words
    return isinstance(e, MemoryError | torch.OutOfMemoryError) or told


def filled_up(cells: Sequence[Cell], job: TaskJob) -> Sequence[Cell]:
    """The cells, with some of them twice if that spares tracing a chunk of another size."""
    lacking = job.width - len(cells)
    if ENGINES[job.engine].fixed and 0 < lacking <= job.width // FILL_UP:
        return [*cells, *[cells[-1]] * lacking]
    return cells


def _what_failed(claim: Claim, e: BaseException, job: TaskJob) -> str:
    """Which chunk failed with what, and where in the code."""
    together = is_user_task(job.study.task) and ENGINES[job.engine].together
    else_ = ", or try --engine referee, a plain loop" if together else ""
    where = f"panel '{claim.panel}', seed {claim.seed}"
    return f"{where}: {told(e)}: mend that and resume{else_}"


def told(e: BaseException) -> str:
    """What was raised, and where."""
    frame = traceback.extract_tb(e.__traceback__)[-1]
    return f"{type(e).__name__}: {e} ({frame.filename}, line {frame.lineno})"
