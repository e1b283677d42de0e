"""Workers: each claims, trains and records chunk after chunk, until the study is done.

The database is the queue. Workers are processes of joblib's loky, one executor each: they share
nothing but the database, so that any of them may die without loss and without the others.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from study.arithmetic import worker_arithmetic
from study.checkpoint import Checkpoint
from study.engines import ENGINES, Programs
from study.engines.base import Libraries
from study.errors import LandscapeError, LeaseLostError, TrainingError
from study.fused import train_chunk
from study.outcome import Outcome
from study.plan import Plan
from study.provenance import Worker, provenance
from study.spec import Cell, Study
from study.store import LEASE, Claim, PanelProgress, Store
from study.tasks import load_task

POLL = 0.5  # seconds between looks at the progress, and between tries to claim
BEAT = LEASE / 4  # seconds between signs of life
GRACE = 10.0  # seconds that a worker has to stop by itself when its parent is gone
FILL_UP = 4  # a chunk that lacks no more than one cell in so many is filled up
DEATHS = 20  # in a row that may finish no cell: then it is not single cells that kill

OnProgress = Callable[[list[PanelProgress]], None]
Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


@dataclass(frozen=True)
class Job:
    """What a worker needs to know; crosses the process boundary."""

    store: str  # URL
    study: Study
    run_id: int
    engine: str
    libraries: Libraries  # compiled already
    threads: int
    width: int  # cells of a whole chunk
    checkpoints: str  # folder
    parent: int  # process id
    path: tuple[str, ...]  # sys.path of the parent, for user tasks


def run(plan: Plan, store: Store, on_progress: OnProgress = lambda progress: None) -> None:
    """Train all open cells of the plan's study, as large as it is in the store by now.

    Returns when no cell is open. Interrupted (Ctrl-C, SIGTERM), it stops its workers, releases
    their claims and raises KeyboardInterrupt.

    Raises:
        TrainingError: a worker failed, or workers keep dying.
    """
    name = plan.study.name
    store.release_dead(name)
    if not store.is_open(name):
        return
    run_id = store.start_run(name, provenance(list(plan.layout.devices), plan.choice.engine))
    job = Job(
        store=store.url,
        study=store.study(name),
        run_id=run_id,
        engine=plan.choice.engine,
        libraries=plan.libraries(),
        threads=plan.layout.threads,
        width=plan.choice.width,
        checkpoints=str(store.checkpoints),
        parent=os.getpid(),
        path=tuple(sys.path),
    )
    try:
        with _terminated_like_interrupted(), _Workers(job, plan.layout.devices) as workers:
            _see_through(workers, store, on_progress)
    finally:
        store.end_run(run_id)
        on_progress(store.progress(name))


def _see_through(workers: _Workers, store: Store, on_progress: OnProgress) -> None:
    """Keep workers at work until no cell is open, and the run's lease alive."""
    name, beaten = workers.job.study.name, time.monotonic()
    while workers.any_left():
        progress = store.progress(name)
        on_progress(progress)
        if time.monotonic() - beaten > BEAT:
            beaten = time.monotonic()
            store.beat_run(workers.job.run_id)
        for device in workers.ended(timeout=POLL):
            store.release_dead(name)
            if store.is_open(name):  # killed, or it took this process for dead
                done = sum(p.finished + p.failed for p in store.progress(name))
                workers.replace(device, done)


class _Workers:
    """One process per device, each in an executor of its own; leaving kills what still runs."""

    def __init__(self, job: Job, devices: tuple[str, ...]) -> None:
        self.job = job
        self.slots: dict[Future[None], tuple[ProcessPoolExecutor, str]] = {}
        self.devices = devices
        self.died, self.done = 0, -1

    def __enter__(self) -> _Workers:
        try:
            for device in self.devices:
                self._start(device)
        except BaseException:  # interrupted between two: those that run must not go on
            self._kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def _kill(self) -> None:
        for executor, _device in self.slots.values():
            executor.shutdown(wait=False, kill_workers=True)

    def _start(self, device: str) -> None:
        executor = ProcessPoolExecutor(max_workers=1)
        with _ignoring_ctrl_c():  # the worker inherits that: the parent decides what it means
            self.slots[executor.submit(work, self.job, device)] = executor, device

    def any_left(self) -> bool:
        """Whether any worker is still at work."""
        return bool(self.slots)

    def ended(self, timeout: float) -> list[str]:
        """Wait so long (seconds) for workers to end; the devices of those that did.

        Raises:
            LandscapeError: what a worker failed with.
        """
        devices = []
        for future in wait(self.slots, timeout, return_when=FIRST_COMPLETED).done:
            executor, device = self.slots.pop(future)
            # All that it did is recorded: no need to wait for an orderly end of its interpreter.
            executor.shutdown(wait=False, kill_workers=True)
            devices.append(device)
            try:
                future.result()
            except TerminatedWorkerError:
                continue
            except LandscapeError:
                raise
            except Exception as e:  # before the first chunk: loading the data, say
                name = self.job.study.name
                raise TrainingError(
                    f"study '{name}': a worker on {device} failed: {type(e).__name__}: {e}: mend "
                    "that and resume"
                ) from e
        return devices

    def replace(self, device: str, done: int) -> None:
        """Start another worker for one that ended too early; `done` cells are settled by now.

        Raises:
            TrainingError: workers keep dying and no cell gets settled.
        """
        self.died = self.died + 1 if done == self.done else 1
        self.done = done
        if self.died == DEATHS:
            raise TrainingError(
                f"study '{self.job.study.name}': workers died {DEATHS} times in a row without "
                "finishing a cell (out of memory?): resume with fewer --workers, or start it anew "
                "under another --name with a smaller --chunk"
            )
        self._start(device)


def work(job: Job, device: str) -> None:
    """One worker: claim, train and record until no chunk of the study is open."""
    sys.path[:] = job.path
    threading.Thread(target=_outlive_no_parent, args=(job,), daemon=True).start()
    with worker_arithmetic(device, job.threads, tf32=job.study.options.tf32):
        _work(job, device)


def _work(job: Job, device: str) -> None:
    store = Store(job.store)
    task = load_task(job.study.task)
    data = task.data().to(device, getattr(torch, job.study.options.precision))
    train = partial(
        train_chunk,
        task,
        data,
        batch_size=job.study.batch_size or task.batch_size,
        options=job.study.options,
        device=device,
        error=job.study.error,
        engine=job.engine,
        programs=Programs(job.libraries),
    )
    while store.is_running(job.run_id):
        worker = Worker(device)  # a new token for each claim
        claim = store.claim(job.study.name, worker, job.run_id)
        if claim is not None:
            _train(job, store, claim, train)
        elif store.is_open(job.study.name):  # others hold what is left; they may die
            _stop_if_orphaned(job)
            time.sleep(POLL)
            store.release_dead(job.study.name)
        else:
            return


def _train(job: Job, store: Store, claim: Claim, train: Callable[..., Outcome]) -> None:
    """Train one claimed chunk and record it, unless the claim is lost on the way."""
    panel, cells = job.study.panel(claim.panel), _filled_up(claim.cells, job)
    checkpoint = _checkpoint(job, store, claim)
    pulse = _Pulse(job, store, claim)
    try:
        outcome = train(panel, cells, seed=claim.seed, on_step=pulse, checkpoint=checkpoint)
        store.record(claim, outcome.first(len(claim.cells)))
        checkpoint.remove()
    except LeaseLostError:
        return  # another worker has the chunk, or the run is over; look what is next
    except LandscapeError:
        raise  # the database fails, and says so itself; the lease will expire
    except Exception as e:
        if is_out_of_memory(e):
            _give_back_smaller(store, claim, e)
            return
        store.release(claim)
        raise TrainingError(f"study '{job.study.name}', {_what_failed(claim, e)}") from e


def _checkpoint(job: Job, store: Store, claim: Claim) -> Checkpoint:
    """Of the claimed chunk; it fits whoever would train the same cells in the same way."""
    panel = job.study.panel(claim.panel)
    facts = (
        *(job.study.task, store.fingerprint(job.study.name), job.study.batch_size),
        *(job.study.options, panel.model_dump_json(exclude={"grid"}), claim.seed, claim.cells),
        *(job.engine, job.threads, job.width, torch.__version__),
    )
    key = hashlib.sha256(repr(facts).encode()).hexdigest()
    return Checkpoint(Path(job.checkpoints) / f"chunk-{claim.chunk_id}.pt", key)


def _give_back_smaller(store: Store, claim: Claim, e: Exception) -> None:
    """What was too much for the memory is trained in halves; one cell that is, never."""
    if len(claim.cells) > 1:
        store.halve(claim)
    else:
        store.fail(claim, f"out of memory, alone: {str(e).strip().splitlines()[0]}")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_out_of_memory(e: Exception) -> bool:
    """Whether the exception says that memory was not enough, of a GPU or of the host."""
    told = "can't allocate memory" in str(e) or "not enough memory" in str(e)  # PyTorch's words
    return isinstance(e, MemoryError | torch.OutOfMemoryError) or told


def _filled_up(cells: Sequence[Cell], job: Job) -> Sequence[Cell]:
    """The cells, with some of them twice if that spares tracing a chunk of another size."""
    lacking = job.width - len(cells)
    if ENGINES[job.engine].traced and 0 < lacking <= job.width // FILL_UP:
        return [*cells, *[cells[-1]] * lacking]
    return cells


def _what_failed(claim: Claim, e: Exception) -> str:
    """Which chunk failed with what, and where in the code."""
    frame = traceback.extract_tb(e.__traceback__)[-1]
    return (
        f"panel '{claim.panel}', seed {claim.seed}: {type(e).__name__}: {e} "
        f"({frame.filename}, line {frame.lineno}): mend that and resume"
    )


class _Pulse:
    """Called at each training step: keeps the lease alive, and notices a dead parent."""

    def __init__(self, job: Job, store: Store, claim: Claim) -> None:
        self.job, self.store, self.claim = job, store, claim
        self.looked = self.beaten = time.monotonic()

    def __call__(self) -> None:
        moment = time.monotonic()
        if moment - self.looked > POLL:
            self.looked = moment
            _stop_if_orphaned(self.job, lambda: self.store.release(self.claim))
        if moment - self.beaten > BEAT:
            self.beaten = moment
            self.store.beat(self.claim)
            if not self.store.is_running(self.job.run_id):
                self.store.release(self.claim)
                raise LeaseLostError(f"run {self.job.run_id} is over")


def _stop_if_orphaned(job: Job, last_act: Callable[[], None] = lambda: None) -> None:
    """End this process when the parent is gone: nobody would ever stop it."""
    if os.getppid() != job.parent:
        last_act()
        os._exit(1)


def _outlive_no_parent(job: Job) -> None:
    """End this process soon after its parent, even where no training step comes to do so."""
    while os.getppid() == job.parent:
        time.sleep(POLL)
    time.sleep(GRACE)
    os._exit(1)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handling(signal.SIGTERM, interrupt):
        yield


def _ignoring_ctrl_c() -> AbstractContextManager[None]:
    return _handling(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _handling(number: signal.Signals, handler: Handler) -> Iterator[None]:
    """Handle a signal otherwise for a while; Python allows that in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
