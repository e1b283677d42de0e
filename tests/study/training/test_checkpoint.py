"""Checkpoints: what goes on from one gives the bits of what was never interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Cell
from landscape_study.study.training import checkpoint as module
from landscape_study.study.training.checkpoint import (
    MAGIC,
    Checkpoint,
    Group,
    checkpoint_path,
    label_of,
    remove_settled,
)
from landscape_study.study.training.engines import ENGINES
from tests.study.chunks import CELLS, assert_same_outcome
from tests.study.networks import batch_norm_mlp, dropout_mlp
from tests.study.training.test_chunk import noise

pytestmark = pytest.mark.slow

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


def make_checkpoint(
    folder: Path, key: str = "key", every: float = 0.0, cells: Sequence[Cell] = CELLS
) -> Checkpoint:
    path = checkpoint_path(folder / "of", 1, len(cells))
    return Checkpoint(path, key, every, Group("small", "sgd", 0, tuple(cells)))


@pytest.mark.long
@pytest.mark.parametrize(
    ("engine", "pair", "network"),
    [
        ("vmap", "adamw", dropout_mlp),
        ("vmap", "sgd", batch_norm_mlp),
        ("captured", "adamw", batch_norm_mlp),
        pytest.param("captured", "sgdw", dropout_mlp, marks=pytest.mark.long),
        ("referee", "adam", dropout_mlp),
        ("referee", "sgd", batch_norm_mlp),
        ("vmap", "schedulefree-adam-decoupled", batch_norm_mlp),
        ("captured", "schedulefree-sgd-scaled", batch_norm_mlp),
        ("referee", "schedulefree-sgd-scaled", dropout_mlp),
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
    kept = {"on_step": interrupt_at(16), "checkpoint": make_checkpoint(tmp_path, cells=cells)}
    with pytest.raises(InterruptionError):
        train(task, panel, cells, options=Options(), **kept)
    again = make_checkpoint(tmp_path, cells=cells)
    resumed = train(task, panel, cells, options=Options(), checkpoint=again)
    assert whole.outcome.diverged_epoch[1] > 0
    assert_same_outcome(resumed.outcome, whole.outcome)


@pytest.mark.long
def test_the_compiled_engine_goes_on_to_the_same_bits(make_task, make_panel, train, tmp_path):
    """Of the network that is compiled for the tests of pruning too."""
    task, panel, settings = make_task(batch_norm_mlp), make_panel("adamw"), {"engine": "compiled"}
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
    kept.keep(lambda: STATE, 2.0)
    return kept


def test_what_was_kept_is_recalled_until_it_is_removed(tmp_path: Path):
    kept = written(tmp_path)
    recalled = make_checkpoint(tmp_path).recall()
    assert recalled is not None
    assert recalled.positions == list(range(len(CELLS)))
    assert recalled.state["epoch"] == 2
    assert torch.equal(recalled.state["theta"], STATE["theta"])
    assert list(kept.path.parent.iterdir()) == [kept.path]
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


def test_whatever_byte_is_changed_there_is_no_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    kept = written(tmp_path)
    content = kept.path.read_bytes()
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        kept.path.write_bytes(changed)
        assert kept.recall() is None, place
    assert "of what was" not in capsys.readouterr().err
    kept.path.write_bytes(content)
    assert kept.recall() is not None


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
    write({"theta": Evil()}, kept.path)
    header = json.dumps(asdict(kept.label)).encode() + b"\n"
    content = header + kept.path.read_bytes()  # with a right digest, as whoever means harm has
    kept.path.write_bytes(MAGIC + hashlib.sha256(content).digest() + content)
    assert label_of(kept.path) == kept.label
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
    kept.keep(lambda: STATE | {"epoch": 3}, 3.0)
    assert re.search(r"\((No space left on device|unexpected pos .*)\)", capsys.readouterr().err)
    recalled = kept.recall()
    assert recalled is not None
    assert recalled.state["epoch"] == 2
    assert list(kept.path.parent.iterdir()) == [kept.path]


def test_checkpoints_of_which_no_cell_is_open_are_removed(tmp_path: Path):
    kept = written(tmp_path)
    old, new = kept.path.parent / "chunk-2.99.tmp", kept.path.parent / "chunk-1.98.tmp"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    others = {("small", "sgd", 1, CELLS[0]), ("small", "adam", 0, CELLS[0])}
    remove_settled(kept.path.parent, {("small", "sgd", 0, CELLS[-1]), *others})
    assert set(kept.path.parent.iterdir()) == {kept.path, new}
    remove_settled(kept.path.parent, others)
    assert list(kept.path.parent.iterdir()) == [new]
    remove_settled(tmp_path / "none", others)
    assert module.ABANDONED > 60


def test_what_is_none_is_left_for_whoever_trains_its_chunk_to_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    kept = written(tmp_path)
    kept.path.write_bytes(b"damaged")
    remove_settled(kept.path.parent, {("small", "sgd", 0, CELLS[0])})
    assert kept.recall() is None
    assert "damaged (no checkpoint of this version)" in capsys.readouterr().err
    remove_settled(kept.path.parent, set())
    assert not kept.path.exists()


@pytest.mark.long
@pytest.mark.parametrize("engine", ["vmap", "captured", "referee"])
@pytest.mark.parametrize("mine", [[0, 2], [1, 3], [3]], ids=str)
def test_what_is_split_goes_on_from_the_checkpoint_of_the_whole(
    engine, mine, make_task, make_panel, train, tmp_path
):
    task, options = make_task(batch_norm_mlp), Options(precision="float64")
    panel = make_panel("adamw", "cosine")
    settings = {"options": options, "engine": engine}
    whole = train(task, panel, **settings)
    at = 9 if engine != "referee" else 24  # in the second cell
    kept = make_checkpoint(tmp_path)
    with pytest.raises(InterruptionError):
        train(task, panel, **settings, on_step=interrupt_at(at), checkpoint=kept)
    cells, steps = [CELLS[k] for k in mine], []
    part = train(
        task,
        panel,
        cells,
        **settings,
        on_step=lambda: steps.append(1),
        checkpoint=make_checkpoint(tmp_path, cells=cells),
    )
    per_cell = 3 * (STEPS + 1)
    assert len(steps) < per_cell * (1 if engine != "referee" else len(cells)) or mine == [3]
    for name in ("curves", "mechanism"):
        parts, wholes = getattr(part.outcome, name), getattr(whole.outcome, name)
        for metric, curve in wholes.items():
            assert np.allclose(parts[metric], curve[mine], rtol=1e-6), metric


def training(kept: dict[str, Any]) -> dict[str, Any]:
    """The state of the only part of a chunk."""
    (part,) = kept["parts"]
    return part["state"]


WRONG = {
    "a state of fewer cells": lambda kept: training(kept)["engine"].update(
        theta=training(kept)["engine"]["theta"][:1]
    ),
    "no state": dict.clear,
    "a number for a tensor": lambda kept: training(kept).update(loss_sum=1.0),
    "another type": lambda kept: training(kept)["engine"].update(
        theta=training(kept)["engine"]["theta"].float()
    ),
    "no curves": lambda kept: training(kept)["recorder"].update(curves={}),
    "nothing of what is inside": lambda kept: training(kept)["recorder"].pop("mechanism"),
    "steps that nobody measured": lambda kept: training(kept)["engine"]["optimizer"].pop("meter"),
    "random numbers of nobody": lambda kept: training(kept)["random"].update(
        torch=torch.zeros(3, dtype=torch.uint8)
    ),
    "an epoch beyond its stop": lambda kept: training(kept).update(epoch=9),
    "an epoch that is none": lambda kept: training(kept).update(epoch="2"),
}


@pytest.mark.parametrize("way", WRONG)
def test_what_has_the_right_key_and_a_wrong_state_is_reported_and_ignored(
    way, make_task, make_panel, train, tmp_path, capsys
):
    task, panel, options = (
        make_task(batch_norm_mlp),
        make_panel("sgd"),
        Options(precision="float64"),
    )
    whole = train(task, panel, options=options)
    kept = make_checkpoint(tmp_path)
    with pytest.raises(InterruptionError):
        train(task, panel, options=options, on_step=interrupt_at(9), checkpoint=kept)
    recalled = kept.recall()
    assert recalled is not None
    WRONG[way](recalled.state)
    kept.keep(lambda: recalled.state, 1.0)
    last = make_checkpoint(tmp_path, every=100.0)
    resumed = train(task, panel, options=options, checkpoint=last)
    assert "does not fit" in capsys.readouterr().err
    assert_same_outcome(resumed.outcome, whole.outcome)
    assert not last.path.exists()


def test_a_pipe_in_the_folder_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "chunk-1-2.pt")
    kept = Checkpoint(tmp_path / "chunk-1-2.pt", "key")
    assert kept.recall() is None
    assert Checkpoint(tmp_path / "chunk-1-1.pt", "key").recall() is None
    remove_settled(tmp_path, [])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_searched_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    assert Checkpoint(tmp_path / "chunk-1-2.pt", "key").recall() is None
    assert "cannot be read (Permission denied)" in capsys.readouterr().err
