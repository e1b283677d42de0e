"""One worker: claims, trains and records chunk after chunk, until the study is done.

It shares nothing but the database with others, so that any of them may die without loss.
"""

from __future__ import annotations

import hashlib
import math
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch

from landscape_study.study.errors import LandscapeError, LeaseLostError, TrainingError, first_line
from landscape_study.study.records.identity import require_same
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.provenance import Worker
from landscape_study.study.running.job import POLL, Job, Pulse, outlive_no_parent, stop_if_orphaned
from landscape_study.study.running.objective_runs import ObjectiveRuns, StopAskedError
from landscape_study.study.spec.study import Cell, Panel
from landscape_study.study.store import Claim, Store
from landscape_study.study.tasks import is_user_task, load_task
from landscape_study.study.tasks.task import identify, load_data
from landscape_study.study.training.arithmetic import worker_arithmetic
from landscape_study.study.training.checkpoint import FORMAT, Checkpoint, Group, checkpoint_path
from landscape_study.study.training.chunk import train_chunk
from landscape_study.study.training.engines import ENGINES, Programs

HARDLY = 1e-9  # of the lowest α: steps that move nothing
FILL_UP = 4  # a chunk that lacks no more than one cell in so many is filled up


def work(job: Job, device: str) -> bool:
    """Train until there is nothing left to claim; whether there was: False if the run is over.

    Args:
        device: "cpu", "cuda:1", or "auto" for CUDA where this machine has some.
    """
    if job.parent is None:  # on a machine whose own path is other
        sys.path += [folder for folder in job.path if folder not in sys.path]
    else:
        sys.path[:] = job.path
        threading.Thread(target=outlive_no_parent, args=(job,), daemon=True).start()
    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        with worker_arithmetic(device, job.threads, tf32=job.study.options.tf32):
            return _work(job, device)
    except LandscapeError:
        raise
    except BaseException as e:  # the user's code may call sys.exit; and not every error travels
        where = f"study '{job.study.name}': a worker on {device}"
        raise TrainingError(f"{where} failed: {told(e)}: mend that and resume") from e


def _work(job: Job, device: str) -> bool:
    store = Store(job.store)
    try:
        if not job.study.has_objective:
            return _train_task(job, store, device)
        with ObjectiveRuns(job, store, device) as runs:
            return _claim_all(job, store, device, runs.train)
    except StopAskedError:
        return False
    finally:
        store.close()


def _train_task(job: Job, store: Store, device: str) -> bool:
    """Load the task, and train chunks of its cells."""
    task = load_task(job.study.task)
    data = load_data(task)
    here = f"{store.name}: a worker on {socket.gethostname()}"
    found = identify(job.study.task, task, data)
    require_same(job.identity, found, job.study.name, job.study.task, here)
    train = partial(
        train_chunk,
        task,
        data.to(device, getattr(torch, job.study.options.precision)),
        batch_size=job.study.batch_size or task.batch_size,
        options=job.study.options,
        device=device,
        metric=job.study.metric,
        engine=job.engine,
        programs=Programs(job.libraries, do_without=partial(print, file=sys.stderr)),
    )
    raised = 0  # claims in a row

    def do(claim: Claim) -> None:
        nonlocal raised
        did = _train(job, store, claim, device, train, suspicious=raised > 0)
        raised = 0 if did else raised + 1

    return _claim_all(job, store, device, do)


def _claim_all(job: Job, store: Store, device: str, do: Callable[[Claim], None]) -> bool:
    """Claim chunk after chunk until there is no more to do; False if the run is over before."""
    name, left = job.study.name, math.inf if job.cells is None else job.cells
    while store.is_running(job.run_id):
        claim = store.claim(name, Worker(device), job.run_id)  # a new token for each claim
        if claim is not None:
            do(claim)
            left -= len(claim.cells)
            if left <= 0:
                return True
        elif job.stay and store.is_open(name):  # others hold what is left; they may die
            stop_if_orphaned(job)
            time.sleep(POLL)
            store.release_dead(name)
        else:
            return True
    return False


def _train(
    job: Job,
    store: Store,
    claim: Claim,
    device: str,
    train: Callable[..., Outcome],
    *,
    suspicious: bool,
) -> bool:
    """Train one claimed chunk and record it, unless the claim is lost on the way.

    Args:
        suspicious: whether what this worker trained before raised an exception too.

    Returns:
        False if the user's code raised an exception.
    """
    panel, cells = job.study.panel(claim.panel), _filled_up(claim.cells, job)
    checkpoint = _checkpoint(job, store, claim, cells, device)
    pulse = Pulse(job, store, claim)
    try:
        outcome = train(panel, cells, seed=claim.seed, on_step=pulse, checkpoint=checkpoint)
        store.record(claim, outcome.first(len(claim.cells)))
        if checkpoint is not None:
            checkpoint.remove()
    except LeaseLostError:
        pass  # another worker has the chunk, or the run is over; look what is next
    except LandscapeError:
        raise  # the database fails, and says so itself; the lease will expire
    except (Exception, SystemExit, KeyboardInterrupt) as e:  # Ctrl-C does not reach a worker
        if is_out_of_memory(e):
            _give_back_smaller(store, claim, e)
            return True
        doubted = suspicious or not store.has_finished(job.study.name)
        try:
            all_raise = doubted and _raises_always(panel, cells, claim, train, pulse)
        except LeaseLostError:
            return False
        if all_raise:
            store.release(claim)
            raise TrainingError(f"study '{job.study.name}', {_what_failed(claim, e, job)}") from e
        store.set_aside(claim, f"raised {told(e)}")
        return False
    return True


class _FarEnoughError(Exception):
    """A training got further than the one that raised an exception."""


def _raises_always(
    panel: Panel,
    cells: Sequence[Cell],
    claim: Claim,
    train: Callable[..., Outcome],
    pulse: Pulse,
) -> bool:
    """Whether the training raises an exception even where it hardly moves: no cell is to blame.

    Args:
        pulse: of the training that raised one.
    """
    still = Cell(min(panel.grid.alpha.values) * HARDLY, 0.0)
    last = pulse.steps + 2  # what raises after a step does so before the next but one

    def on_step() -> None:
        pulse()
        nonlocal last
        last -= 1
        if last < 0:
            raise _FarEnoughError

    try:
        train(panel, [still] * len(cells), seed=claim.seed, on_step=on_step)
    except _FarEnoughError:
        return False
    except LandscapeError:
        raise
    except (Exception, SystemExit, KeyboardInterrupt):
        return True
    return False


def _checkpoint(
    job: Job, store: Store, claim: Claim, cells: Sequence[Cell], device: str
) -> Checkpoint | None:
    """Of the claimed chunk; it fits whoever would train the same cells in the same way."""
    if job.checkpoints is None:
        return None
    study, panel = job.study, job.study.panel(claim.panel)
    facts = (
        *(
            study.task,
            job.identity.fingerprint,
            study.batch_size,
            study.metric.name,
            study.options,
        ),
        *(panel.model_dump_json(exclude={"grid"}), claim.seed),
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


def _filled_up(cells: Sequence[Cell], job: Job) -> Sequence[Cell]:
    """The cells, with some of them twice if that spares tracing a chunk of another size."""
    lacking = job.width - len(cells)
    if ENGINES[job.engine].traced and 0 < lacking <= job.width // FILL_UP:
        return [*cells, *[cells[-1]] * lacking]
    return cells


def _what_failed(claim: Claim, e: BaseException, job: Job) -> str:
    """Which chunk failed with what, and where in the code."""
    together = is_user_task(job.study.task) and ENGINES[job.engine].together
    else_ = ", or try --engine referee, a plain loop" if together else ""
    where = f"panel '{claim.panel}', seed {claim.seed}"
    return f"{where}: {told(e)}: mend that and resume{else_}"


def told(e: BaseException) -> str:
    """What was raised, and where."""
    frame = traceback.extract_tb(e.__traceback__)[-1]
    return f"{type(e).__name__}: {e} ({frame.filename}, line {frame.lineno})"
