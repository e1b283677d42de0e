"""Checkpoints: what goes on from one gives the bits of what was never interrupted."""

from __future__ import annotations

import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from study import checkpoint as module
from study.checkpoint import Checkpoint, checkpoint_path, remove_all_but
from study.engines import ENGINES
from study.spec import Cell, Options
from tests.study.chunks import CELLS, assert_same_outcome
from tests.study.networks import batch_norm_mlp, dropout_mlp
from tests.study.test_fused import noise

STEPS = 5  # in an epoch


class InterruptionError(Exception):
    """Ends a training in these tests."""


def interrupt_at(call: int) -> Callable[[], None]:
    """An `on_step` that raises at this call."""
    calls = []

    def on_step() -> None:
        calls.append(1)
        if len(calls) == call:
            raise InterruptionError

    return on_step


def make_checkpoint(folder: Path, key: str = "key", every: float = 0.0) -> Checkpoint:
    return Checkpoint(folder / "of" / "chunk-1.pt", key, every)


@pytest.mark.parametrize(
    ("engine", "pair", "network"),
    [
        ("vmap", "adamw", dropout_mlp),
        ("vmap", "sgd", batch_norm_mlp),
        ("captured", "adamw", batch_norm_mlp),
        pytest.param("captured", "sgdw", dropout_mlp, marks=pytest.mark.slow),
        ("referee", "adam", dropout_mlp),
        ("referee", "sgd", batch_norm_mlp),
    ],
)
# Each call is a step or a test batch: 5 and 1 an epoch.
@pytest.mark.parametrize("call", [3, 6, 7, 15], ids=["epoch 1", "test", "first", "epoch 3"])
def test_what_was_interrupted_goes_on_to_the_same_bits(
    engine, pair, network, call, make_task, make_panel, train, tmp_path
):
    task, options = make_task(network, augment=noise), Options()
    panel = make_panel(pair, {"kind": "restarts", "t_0": 1, "t_mult": 2})
    whole = train(task, panel, options=options, engine=engine)
    with pytest.raises(InterruptionError):
        train(
            task,
            panel,
            options=options,
            engine=engine,
            on_step=interrupt_at(call),
            checkpoint=make_checkpoint(tmp_path),
        )
    steps = []
    resumed = train(
        task,
        panel,
        options=options,
        engine=engine,
        on_step=lambda: steps.append(1),
        checkpoint=make_checkpoint(tmp_path),
    )
    done = (call - 1) - (call - 1) // (STEPS + 1)
    in_epoch_of_checkpoint = (done - 1) // STEPS
    parts = 1 if ENGINES[engine].together else len(CELLS)
    assert len(steps) == parts * 3 * (STEPS + 1) - done - in_epoch_of_checkpoint
    assert_same_outcome(resumed.outcome, whole.outcome)
    assert torch.equal(resumed.theta, whole.theta)
    for name, buffer in whole.buffers.items():
        assert torch.equal(resumed.buffers[name], buffer)


def test_cells_that_diverged_before_stay_diverged(make_task, make_panel, train, tmp_path):
    task, panel = make_task(batch_norm_mlp), make_panel("sgd")
    cells = [Cell(0.05, 0.0), Cell(1e30, 0.0)]
    whole = train(task, panel, cells, options=Options())
    kept = {"on_step": interrupt_at(16), "checkpoint": make_checkpoint(tmp_path)}
    with pytest.raises(InterruptionError):
        train(task, panel, cells, options=Options(), **kept)
    resumed = train(task, panel, cells, options=Options(), checkpoint=make_checkpoint(tmp_path))
    assert whole.outcome.diverged_epoch[1] > 0
    assert_same_outcome(resumed.outcome, whole.outcome)


@pytest.mark.slow
def test_the_compiled_engine_goes_on_to_the_same_bits(
    make_task, make_panel, train, tmp_path, own_cache
):
    task, panel, options = make_task(batch_norm_mlp), make_panel("adamw"), Options()
    settings = {"options": options, "engine": "compiled"}
    whole = train(task, panel, **settings)
    kept = {"on_step": interrupt_at(9), "checkpoint": make_checkpoint(tmp_path)}
    with pytest.raises(InterruptionError):
        train(task, panel, **settings, **kept)
    resumed = train(task, panel, **settings, checkpoint=make_checkpoint(tmp_path))
    assert_same_outcome(resumed.outcome, whole.outcome)
    assert torch.equal(resumed.theta, whole.theta)


STATE = {"epoch": 2, "theta": torch.arange(6.0).reshape(2, 3), "moments": [torch.ones(2)]}


def written(folder: Path, **more: object) -> Checkpoint:
    kept = make_checkpoint(folder, **more)  # type: ignore[arg-type]
    kept.keep(lambda: STATE)
    return kept


def test_what_was_kept_is_recalled_until_it_is_removed(tmp_path: Path):
    kept = written(tmp_path)
    state = make_checkpoint(tmp_path).recall()
    assert state is not None
    assert state["epoch"] == 2
    assert torch.equal(state["theta"], STATE["theta"])
    assert [path.name for path in kept.path.parent.iterdir()] == ["chunk-1.pt"]
    kept.remove()
    assert make_checkpoint(tmp_path).recall() is None
    kept.remove()  # there is none: nothing happens


def test_none_is_written_before_its_time(tmp_path: Path):
    kept = written(tmp_path, every=100.0)
    assert not kept.path.exists()
    assert kept.recall() is None


def test_a_checkpoint_of_something_else_is_reported_and_ignored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    written(tmp_path)
    assert make_checkpoint(tmp_path, key="other").recall() is None
    assert "of another chunk" in capsys.readouterr().err


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_damaged_checkpoint_is_reported_and_ignored(
    tmp_path: Path, keep: float, capsys: pytest.CaptureFixture[str]
):
    kept = written(tmp_path)
    content = kept.path.read_bytes()
    kept.path.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    assert make_checkpoint(tmp_path).recall() is None
    assert f"checkpoint {kept.path}: damaged" in capsys.readouterr().err


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (os.environ["LANDSCAPE_TEST_EVIL"],)


@pytest.mark.parametrize(
    "write", [torch.save, lambda evil, path: path.write_bytes(pickle.dumps(evil))]
)
def test_code_in_a_checkpoint_is_not_run(
    tmp_path: Path,
    write: Callable[[object, Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    mark = tmp_path / "run"
    monkeypatch.setenv("LANDSCAPE_TEST_EVIL", str(mark))
    kept = make_checkpoint(tmp_path)
    kept.path.parent.mkdir()
    write({"key": "key", "theta": Evil()}, kept.path)
    assert kept.recall() is None
    assert not mark.exists()
    assert "damaged" in capsys.readouterr().err


def test_a_disk_with_little_room_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=300))
    kept = written(tmp_path)
    assert list(kept.path.parent.iterdir()) == []
    assert "more than 10% of the free space): training goes on without" in capsys.readouterr().err


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 768 vs 662")]
)
def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
):
    kept = written(tmp_path)

    def fail(state: object, file: object) -> None:
        raise failure

    monkeypatch.setattr(torch, "save", fail)
    kept.keep(lambda: STATE | {"epoch": 3})
    assert re.search(r"\((No space left on device|unexpected pos .*)\)", capsys.readouterr().err)
    state = kept.recall()
    assert state is not None
    assert state["epoch"] == 2
    assert [path.name for path in kept.path.parent.iterdir()] == ["chunk-1.pt"]


def test_what_others_left_is_removed(tmp_path: Path):
    for chunk_id in (1, 2, 3):
        checkpoint_path(tmp_path, chunk_id).touch()
    old, new = tmp_path / "chunk-2.99.tmp", tmp_path / "chunk-1.98.tmp"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    remove_all_but(tmp_path, [2])
    assert {path.name for path in tmp_path.iterdir()} == {"chunk-2.pt", new.name}
    remove_all_but(tmp_path / "none", [])
    assert module.ABANDONED > 60
