"""The JAX user trains what torch trains, and what it found is read as of other rows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks import jax_rows, jax_user
from benchmarks.jax_rows import read_results, write_inputs
from benchmarks.measure import REPOSITORY, BenchmarkError
from benchmarks.networks import NETWORKS
from benchmarks.tasks import mlp
from torch import nn

from landscape_study.study.pairs.schedules import Constant
from landscape_study.study.spec.grid import Axis, Grid
from landscape_study.study.spec.study import Study
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.networks.convnet import bn_convnet
from landscape_study.study.tasks.networks.mlp import bn_mlp
from landscape_study.study.tasks.task import Task

SHAPES = {"bn_mlp": (6,), "mlp": (6,), "signals": (1, 7), "images": (1, 5, 5)}
BUILD: dict[str, Callable[[], nn.Module]] = {
    "bn_mlp": lambda: bn_mlp((6, 5, 10)),
    "mlp": lambda: mlp((6, 5, 10)),
    "signals": lambda: bn_convnet(1, (1, 3), 10),
    "images": lambda: bn_convnet(2, (1, 3), 10),
}
RATES = {"sgd": (0.05, 0.2), "sgdw": (0.05, 0.2), "adam": (0.003, 0.01), "adamw": (0.003, 0.01)}


def small(name: str) -> Task:
    """A task of 20 examples to train on, 7 to test on."""
    random = torch.Generator().manual_seed(1)
    inputs = torch.randn(27, *SHAPES[name], generator=random)
    targets = torch.randint(10, (27,), generator=random)
    data = Data(inputs[:20], targets[:20], inputs[20:], targets[20:])
    return Task("small", BUILD[name], lambda: data, classes=10, batch_size=5, epochs=2)


def study_of(pairs: tuple[str, ...], batch_size: int) -> Study:
    study, panels = NETWORKS["digits"].study(), []
    for pair in pairs:
        grid = Grid(alpha=Axis(values=RATES[pair]), lambda_=Axis(values=(0.0, 0.05)))
        panels.append(study.panel(pair).model_copy(update={"grid": grid, "epochs": 2}))
    return study.change(panels=tuple(panels), batch_size=batch_size)


def by_torch(inputs: dict[str, Any], task: Task, cell: int) -> tuple[float, float]:
    """Test error and last train loss of a cell, in the order of batches that JAX has."""
    torch.manual_seed(int(inputs["seed"]))
    network, data = task.network(), task.data()
    pair, alpha, lambda_ = (inputs[k][cell] for k in ("pairs", "alphas", "lambdas"))
    adam = torch.optim.Adam(network.parameters(), weight_decay=lambda_ * (pair == "adam"))
    sgd = torch.optim.SGD(network.parameters(), lr=1.0, momentum=0.9)
    random, size = np.random.default_rng(int(inputs["seed"])), int(inputs["batch_size"])
    steps, total, epochs = -(-20 // size), 0.0, int(inputs["epochs"])
    for epoch in range(epochs):
        total = 0.0
        for step, indices in enumerate(torch.tensor(random.permutation(20)).split(size)):
            time = (epoch * steps + step) / (epochs * steps)
            eta = 0.5 * (1 + np.cos(np.pi * time))
            network.zero_grad()
            loss = task.loss(network(data.train_inputs[indices]), data.train_targets[indices])
            loss.backward()
            total += loss.item() * len(indices)
            with torch.no_grad():
                for p in network.parameters():
                    decayed = p * (eta * lambda_) if pair.endswith("w") else 0 * p
                    if pair == "sgd":
                        p.grad.add_(lambda_ * p)
                    if pair.startswith("sgd"):
                        p.grad.mul_(eta * alpha)
                    p.sub_(decayed)
            adam.param_groups[0]["lr"] = eta * alpha
            (sgd if pair.startswith("sgd") else adam).step()
    network.eval()
    wrong = network(data.test_inputs).argmax(dim=1) != data.test_targets
    return 100 * wrong.float().mean().item(), total / 20


@pytest.fixture
def _jax() -> None:
    pytest.importorskip("jax")


def trained(
    folder: Path, task: Task, study: Study, processes: int = 1, convolution: str = "slices"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs and what the JAX user made of them, in processes of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax_rows, "load_task", lambda name: task)
        write_inputs(study, folder / "study.toml")
    results = folder / "results.json"
    command = jax_rows.user(folder / "cache", processes, convolution)
    subprocess.run(command(folder / "study.toml", results, folder), cwd=REPOSITORY, check=True)
    with np.load(folder / "study.npz") as file:
        return dict(file), json.loads(results.read_text("utf-8"))


@pytest.mark.usefixtures("_jax")
@pytest.mark.arithmetic
@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "pairs", "convolution", "batch_size"),
    [
        ("bn_mlp", ("sgd", "sgdw"), "slices", 5),
        ("mlp", ("adam", "adamw"), "slices", 8),  # the last batch is not full
        ("signals", ("adam", "adamw"), "slices", 5),
        ("signals", ("sgd", "sgdw"), "lax", 5),
        ("images", ("sgd", "sgdw"), "slices", 5),
        ("images", ("adam", "adamw"), "lax", 5),
    ],
)
def test_it_trains_what_torch_trains(
    name: str,
    pairs: tuple[str, ...],
    convolution: str,
    batch_size: int,
    tmp_path: Path,
):
    task, study = small(name), study_of(pairs, batch_size)
    inputs, found = trained(tmp_path, task, study, convolution=convolution)
    assert len(found["cells"]) == 8
    for i, cell in enumerate(found["cells"]):
        assert cell["panel"].startswith(f"digits/{inputs['pairs'][i]}/")
        error, loss = by_torch(inputs, task, i)
        assert cell["train_loss"] == pytest.approx(loss, rel=1e-4)
        assert cell["test_error"] == pytest.approx(error, abs=1e-3)


@pytest.mark.usefixtures("_jax")
@pytest.mark.long
def test_two_processes_compile_one_program_each_and_the_next_find_them(tmp_path: Path):
    task, study = small("mlp"), study_of(("sgd", "adamw"), 10)
    found = [trained(tmp_path, task, study, processes=2)[1] for _ in range(2)]
    programs = [path for path in (tmp_path / "cache").iterdir() if path.name.endswith("-cache")]
    assert len(programs) == 2
    assert [len(own["processes"]) for own in found] == [2, 2]
    assert found[0]["cells"] == found[1]["cells"]
    assert len(found[0]["cells"]) == 8


def made_inputs(pairs: list[str], **others: Any) -> dict[str, Any]:
    return {"pairs": np.array(pairs), "train_inputs": np.zeros((4, 6)), **others}


def test_shares_are_all_cells_once_and_each_has_one_rule_where_there_are_two():
    inputs = made_inputs(["sgd", "sgdw", "adam", "adamw"] * 5)
    shares = [jax_user.divide(inputs, share, 2) for share in range(2)]
    assert [list(share) for share in shares] == [["adam"], ["sgd"]]
    for shares_count in (1, 2, 3, 7):
        parts = [jax_user.divide(inputs, share, shares_count) for share in range(shares_count)]
        cells = [i for part in parts for chunks in part.values() for c in chunks for i in set(c)]
        assert sorted(cells) == list(range(20))
    (chunks,) = shares[0].values()
    assert [len(chunk) for chunk in chunks] == [5, 5]


def test_a_last_chunk_is_filled_so_that_one_program_serves():
    (chunks,) = jax_user.divide(made_inputs(["sgd"] * 11), 0, 1).values()
    assert chunks == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 10]]


def test_a_batch_that_is_not_full_has_examples_of_no_class():
    inputs = made_inputs(
        [],
        train_inputs=np.arange(1.0, 6.0).reshape(5, 1),
        train_targets=np.array([0, 1, 2, 3, 4]),
        test_inputs=np.ones((3, 1)),
        test_targets=np.array([0, 0, 9]),
        **{"batch_size": 3, "epochs": 2, "seed": 0, "batch_norm": False},
    )
    (examples, targets, eta, *_), test = jax_user.arrange(inputs)
    assert examples.shape == (2, 2, 1, 3)
    assert targets.shape == (2, 2, 10, 3)
    for epoch in range(2):
        assert sorted(examples[epoch].ravel()) == [0, 1, 2, 3, 4, 5]
        shown = examples[epoch, :, 0], targets[epoch].argmax(axis=1)
        assert ((shown[0] == shown[1] + 1) | (shown[0] == 0)).all()
        assert targets[epoch].sum() == 5
    assert eta.ravel().tolist() == pytest.approx([1, 0.8536, 0.5, 0.1464], abs=1e-4)
    assert [part.shape for part in test] == [(1, 1, 3), (1, 10, 3)]
    with pytest.raises(SystemExit, match="5 examples make no whole batches of 3"):
        jax_user.arrange(inputs | {"batch_norm": True})


def test_what_it_does_not_train_is_refused(tmp_path: Path):
    study = NETWORKS["digits"].study().change_panels(schedule=Constant())
    with pytest.raises(BenchmarkError, match="not among what the JAX user trains"):
        write_inputs(study, tmp_path / "study.toml")


def written(tmp_path: Path, cells: list[dict[str, Any]]) -> Path:
    processes = [
        {"import_s": 1.0, "compile_s": 5.0, "training_s": 2.0, "began": 10.0, "ended": 12.0},
        {"import_s": 1.5, "compile_s": 2.0, "training_s": 4.0, "began": 7.0, "ended": 11.0},
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"processes": processes, "cells": cells}), encoding="utf-8")
    return path


def test_the_slowest_process_counts(tmp_path: Path):
    cell = {"panel": "digits/sgd/seed0", "alpha": 0.5, "lambda": 0.0, "test_error": 5.0}
    diverged = cell | {"alpha": 1.0, "train_loss": float("nan")}
    trials = read_results(written(tmp_path, [cell | {"train_loss": 0.1}, diverged]))
    assert trials.errors == {("digits/sgd/seed0", a, 0.0): 5.0 for a in (0.5, 1.0)}
    assert list(trials.losses.values()) == [0.1, float("inf")]
    assert (trials.first_start, trials.last_end) == (8.0, 12.0)
    assert trials.parts == {"import_s": 1.5, "compile_s": 5.0}
    with pytest.raises(BenchmarkError, match="trained twice"):
        read_results(written(tmp_path, [diverged, diverged]))


def test_its_rows_are_cold_or_have_a_cache(tmp_path: Path):
    rows = jax_rows.jax_rows(3, tmp_path / "kept", "lax")
    assert [row.name for row in rows] == ["jax-cold", "jax", "jax-parallel-cold", "jax-parallel"]
    for row in rows:
        command = row.command(tmp_path / "study.toml", tmp_path / "out", tmp_path)
        inputs, results, cache, *options = command[3:]
        assert (inputs, results) == (str(tmp_path / "study.npz"), str(tmp_path / "out"))
        assert cache == str(tmp_path / ("nothing-compiled" if "cold" in row.name else "kept"))
        processes = "3" if "parallel" in row.name else "1"
        assert options == ["--processes", processes, "--convolution", "lax"]


def test_the_faster_convolution_is_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    class Done:
        training_s = 2.0

    def train(command: Any, study: Study, **files: Any) -> Done:
        done = Done()
        if "lax" in command(tmp_path / "a.toml", tmp_path, tmp_path):
            done.training_s = 1.0
        return done

    monkeypatch.setattr(jax_rows, "train", train)
    of_vectors = jax_rows.faster_convolution(NETWORKS["digits"].study(), 2, tmp_path)
    of_images = jax_rows.faster_convolution(NETWORKS["mnist5k"].study(), 2, tmp_path)
    assert of_vectors is None
    assert of_images == {"training_s": {"slices": 2.0, "lax": 1.0}, "chosen": "lax"}
