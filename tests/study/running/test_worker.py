"""One worker: what it trains, gives back and keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from examples.spirals import spirals

from landscape_study.study.errors import TrainingError
from landscape_study.study.pairs.options import Options
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.provenance import Worker, provenance
from landscape_study.study.running import job as job_module
from landscape_study.study.running import task_chunks
from landscape_study.study.running.job import TaskJob
from landscape_study.study.running.task_chunks import checkpoint_of, filled_up
from landscape_study.study.running.worker import work
from landscape_study.study.spec.study import Cell
from landscape_study.study.store import Store
from landscape_study.study.tasks.task import identify
from landscape_study.study.training.checkpoint import Label
from tests.conftest import SPIRALS, make_outcome, make_study
from tests.study.runs import results

pytestmark = pytest.mark.slow


def make_job(engine: str, width: int, store: str = "", run_id: int = 0) -> TaskJob:
    """Work for this process, which goes on though nobody waits for it.

    In float64, so that no error that is counted hangs on rounding.
    """
    options = Options(precision="float64")
    study = make_study(
        pairs=("adamw",), lambdas=(0.0, 0.001, 0.01, 0.1), epochs=2, options=options
    )
    return TaskJob(
        store=store,
        study=study,
        identity=identify(SPIRALS, spirals, spirals.data()),
        run_id=run_id,
        engine=engine,
        width=width,
        checkpoints="",
    )


@pytest.mark.parametrize(
    ("engine", "width", "cells", "filled"),
    [
        ("captured", 8, 6, 8),
        ("compiled", 8, 7, 7),  # serves any number of cells
        ("captured", 8, 8, 8),
        ("captured", 8, 5, 5),  # more than a quarter would be trained in vain
        ("captured", 3, 2, 2),
        ("captured", 4, 9, 9),  # as a store may hold that was made with another --chunk
        ("vmap", 8, 6, 6),  # nothing is traced
        ("referee", 8, 7, 7),
    ],
)
def test_a_chunk_that_lacks_few_cells_is_filled_up_where_another_size_would_be_traced_anew(
    engine: str, width: int, cells: int, filled: int
):
    claimed = [Cell(k + 1.0, 0.0) for k in range(cells)]
    trained = filled_up(claimed, make_job(engine, width))
    assert list(trained) == claimed + [claimed[-1]] * (filled - cells)


@pytest.mark.long
def test_of_a_chunk_that_was_filled_up_only_its_own_cells_are_recorded(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    """Eight cells in chunks of five and three: the second is trained as four."""
    sizes, train_chunk = [], task_chunks.train_chunk

    def train(task, data, panel, cells, **more):
        sizes.append((len(cells), more["engine"]))
        return train_chunk(task, data, panel, cells, **more)

    monkeypatch.setattr(task_chunks, "train_chunk", train)
    job = make_job("captured", 4)
    store.create(job.study, job.identity, lambda cells: [cells[:5], cells[5:]])
    run_id = store.start_run("small", provenance(["cpu"], "captured"))
    work(make_job("captured", 4, store.url, run_id), "cpu")
    assert sizes == [(5, "captured"), (4, "captured")]
    found = results(store)
    assert len(found) == 8
    assert {row["state"] for row in store.cells("small")} == {"finished"}
    monkeypatch.setattr(task_chunks, "FILL_UP", 100)
    other = store.study("small").change(name="other")
    store.create(other, job.identity, lambda cells: [cells[:5], cells[5:]])
    work(replace(make_job("captured", 4, store.url, run_id), study=other), "cpu")
    assert sizes[2:] == [(5, "captured"), (3, "captured")]
    assert results(store, "other") == found


# ---- memory -------------------------------------------------------------------------------------


def begun(store: Store, *, chunk: int = 8, engine: str = "vmap") -> TaskJob:
    """A job on a study whose cells are in the store in chunks of that size."""
    job = make_job(engine, chunk)
    chunking = partial(batched, n=chunk)
    store.create(job.study, job.identity, lambda cells: [list(some) for some in chunking(cells)])
    run_id = store.start_run("small", provenance(["cpu"], engine))
    return replace(job, store=store.url, run_id=run_id)


def batched(cells: Sequence[Cell], n: int) -> list[Sequence[Cell]]:
    return [cells[i : i + n] for i in range(0, len(cells), n)]


class Memory:
    """Trains no more than so many cells at once."""

    def __init__(self, room: int, error: Exception) -> None:
        self.room, self.error = room, error
        self.tried: list[int] = []

    def train_chunk(self, task, data, panel, cells, **more) -> Outcome:
        self.tried.append(len(cells))
        if len(cells) > self.room:
            raise self.error
        return make_outcome(len(cells), 2, start=10 * len(self.tried))


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["host", "CUDA", "PyTorch's of the host"])
def test_what_is_too_much_for_the_memory_is_trained_in_halves(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    memory = Memory(3, error)
    monkeypatch.setattr(task_chunks, "train_chunk", memory.train_chunk)
    assert work(begun(store), "cpu")
    assert sorted(memory.tried) == [2, 2, 2, 2, 4, 4, 8]
    cells = store.cells("small")
    assert {(row["state"], row["attempts"]) for row in cells} == {("finished", 1)}
    assert len({row["value"] for row in cells}) == 8


def test_one_cell_that_is_too_much_for_the_memory_fails_with_the_reason(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    memory = Memory(0, torch.OutOfMemoryError("CUDA out of memory.\nMore lines"))
    monkeypatch.setattr(task_chunks, "train_chunk", memory.train_chunk)
    assert work(begun(store, chunk=2), "cpu")
    assert sorted(memory.tried) == [1] * 8 + [2] * 4
    failures = store.failures("small")
    assert len(failures) == 8
    assert {f.reason for f in failures} == {"out of memory, alone: CUDA out of memory."}


def test_another_error_is_no_lack_of_memory(store: Store, monkeypatch: pytest.MonkeyPatch):
    memory = Memory(0, RuntimeError("size mismatch"))
    monkeypatch.setattr(task_chunks, "train_chunk", memory.train_chunk)
    with pytest.raises(TrainingError, match="size mismatch"):
        work(begun(store), "cpu")
    assert {row["state"] for row in store.cells("small")} == {"open"}


# ---- the run and its lease ----------------------------------------------------------------------


@pytest.mark.parametrize("over", [Store.end_run, lambda store, run: store.beat_run(run, -1)])
def test_when_the_run_is_over_nothing_is_claimed(store: Store, over):
    job = begun(store)
    over(store, job.run_id)
    assert not work(job, "cpu")
    assert {row["state"] for row in store.cells("small")} == {"open"}


def test_when_the_run_ends_in_the_middle_the_chunk_is_given_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    steps = []

    def train(task, data, panel, cells, **more) -> Outcome:
        store.end_run(job.run_id)
        for _ in range(5):
            steps.append(1)
            more["on_step"]()
        raise AssertionError("it went on")

    monkeypatch.setattr(task_chunks, "train_chunk", train)
    monkeypatch.setattr(job_module, "LOOK", 0.0)
    job = begun(store)
    assert not work(job, "cpu")
    assert len(steps) == 1
    assert {(row["state"], row["attempts"]) for row in store.cells("small")} == {("open", 0)}


def test_a_beat_follows_the_steps(store: Store, monkeypatch: pytest.MonkeyPatch):
    silent = []
    expire = "UPDATE landscape_chunk SET expires = expires - 1000, beaten = beaten - 1000"

    def train(task, data, panel, cells, **more) -> Outcome:
        for _ in range(2):
            store.database.write(lambda c: c.exec_driver_sql(expire))
            before = store.workers("small")
            more["on_step"]()
            silent.append([(w.alive, w.silent > 900) for w in (*before, *store.workers("small"))])
        return make_outcome(len(cells), 2)

    monkeypatch.setattr(task_chunks, "train_chunk", train)
    monkeypatch.setattr(job_module, "BEAT", 0.0)
    assert work(begun(store), "cpu")
    assert silent == [[(False, True), (True, False)]] * 2


# ---- checkpoints --------------------------------------------------------------------------------


def test_a_claimed_chunk_goes_on_from_its_checkpoint_which_is_removed_then(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = []

    def train(task, data, panel, cells, *, checkpoint, **more) -> Outcome:
        seen.append(checkpoint.recall())
        checkpoint.every = 0.0
        checkpoint.keep(lambda: {"epoch": len(seen)}, 1.0)
        if len(seen) == 1:
            raise RuntimeError("interrupted")
        return make_outcome(len(cells), 2)

    monkeypatch.setattr(task_chunks, "train_chunk", train)
    job = replace(begun(store), checkpoints=str(tmp_path / "kept"))
    with pytest.raises(TrainingError):
        work(job, "cpu")
    assert len(list((tmp_path / "kept").iterdir())) == 1
    assert work(job, "cpu")
    assert [kept and kept.state["epoch"] for kept in seen] == [None, 1]
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [{"engine": "captured"}, {"threads": 2}, {"width": 4}, {"identity": Identity("other")}],
    ids=lambda change: next(iter(change)),
)
def test_a_checkpoint_fits_only_who_would_train_alike(
    store: Store, tmp_path: Path, change: dict[str, object]
):
    job = replace(begun(store), checkpoints=str(tmp_path))
    claim = store.claim("small", Worker(), job.run_id)
    assert claim is not None

    def label(job: TaskJob, cells: Sequence[Cell] = claim.cells, device: str = "cpu") -> Label:
        kept = checkpoint_of(job, store, claim, cells, device)
        assert kept is not None
        return kept.label

    own = label(job)
    assert own.positions(label(job)) == list(range(8))
    assert own.positions(label(replace(job, **change))) is None  # type: ignore[arg-type]
    assert own.positions(label(job, device="cuda:0")) is None
    assert own.positions(label(job, claim.cells[2:4])) == [2, 3]
    assert label(job, claim.cells[2:4]).positions(own) is None
    grown = job.study.change_panels(design={"sampler": "tpe", "trials": 40})
    assert own.positions(label(replace(job, study=grown))) == list(range(8))


# ---- exceptions of the user's code --------------------------------------------------------------


class Raising:
    """Trains, but raises an exception for some cells, or for all after a while."""

    def __init__(self, bad: Callable[[Cell], bool], after: int = 10**9) -> None:
        self.bad, self.after, self.calls = bad, after, 0
        self.steps: list[int] = []

    def train_chunk(self, task, data, panel, cells, **more) -> Outcome:
        self.calls += 1
        self.steps.append(0)
        for step in range(50):
            if step == 3 and (self.calls > self.after or any(map(self.bad, cells))):
                raise ValueError("no more")
            self.steps[-1] += 1
            more["on_step"]()
        return make_outcome(len(cells), 2)


def test_cells_that_raise_are_told_from_the_others_within_a_few_steps(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    raising = Raising(lambda cell: cell.lambda_ == 0.1)
    monkeypatch.setattr(task_chunks, "train_chunk", raising.train_chunk)
    work(begun(store, chunk=4), "cpu")
    states = {(row["lambda"], row["state"]) for row in store.cells("small")}
    assert states == {*((el, "finished") for el in (0.0, 0.001, 0.01)), (0.1, "failed")}
    assert {steps for steps in raising.steps if steps < 50} <= {3, 4, 5, 6}


def test_what_raises_everywhere_after_a_while_ends_the_worker_soon(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    """A file that is gone, say: no cell is to blame."""
    raising = Raising(lambda cell: False, after=3)
    monkeypatch.setattr(task_chunks, "train_chunk", raising.train_chunk)
    with pytest.raises(TrainingError, match="ValueError: no more"):
        work(begun(store, chunk=1), "cpu")
    states = [row["state"] for row in store.cells("small")]
    assert states.count("finished") == 3
    assert states.count("failed") <= 1
    assert states.count("open") >= 4
