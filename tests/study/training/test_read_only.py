"""Nothing that is trained changes the task's data: batches are copies, and belong to the task."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.refusals import check_task
from landscape_study.study.tasks.task import Task, fingerprint, load_data
from landscape_study.study.training.chunk import train_chunk
from tests.study.agreement.trials import tried
from tests.study.chunks import BATCH, CELLS, DOUBLE
from tests.study.conftest import CLASSES, tiny_data
from tests.study.networks import mlp

pytestmark = pytest.mark.slow

ENGINES = ("captured", "vmap", "referee")


class Spoils(nn.Module):
    """Writes into the tensor that it is given."""

    def __init__(self, spoil: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.network, self.spoil = mlp(), spoil

    def forward(self, x):
        self.spoil(x)
        return self.network(x)


def spoiling_loss(outputs, targets):
    loss = nn.functional.cross_entropy(outputs, targets.clone())
    targets.zero_()
    return loss


WAYS = {
    "network": {"network": lambda: Spoils(lambda x: x.zero_())},
    "network, by slices": {"network": lambda: Spoils(lambda x: x[:, 0].fill_(7))},
    "network, by .data": {"network": lambda: Spoils(lambda x: x.data.zero_())},
    "normalize": {"normalize": lambda inputs: inputs.mul_(0)},
    "augment": {"augment": lambda inputs, generator: inputs.mul_(0)},
    "loss": {"loss": spoiling_loss},
}


def everything(data: Data) -> list[Tensor]:
    """Copies of all tensors."""
    tensors = (data.train_inputs, data.train_targets, data.test_inputs, data.test_targets)
    return [tensor.clone() for tensor in tensors]


def assert_unchanged(data: Data, before: list[Tensor]) -> None:
    for tensor, old in zip(everything(data), before, strict=True):
        assert torch.equal(tensor, old)


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("way", WAYS)
def test_training_leaves_the_stored_data_as_they_are(way, engine, make_task, make_panel):
    changes = {"network": mlp, **WAYS[way]}
    task = make_task(**changes)
    if engine != "referee" and tried(task, engine)[engine].why_not is not None:
        pytest.skip("trained by the referee only")
    data = tiny_data("vector").to("cpu", torch.float64)
    before = everything(data)
    how = {"seed": 1, "batch_size": BATCH, "options": DOUBLE, "engine": engine}
    train_chunk(task, data, make_panel("sgd"), CELLS, **how)
    assert_unchanged(data, before)


@pytest.mark.some(3)
@pytest.mark.parametrize("way", WAYS)
def test_checking_and_trying_leave_the_tasks_own_data_as_they_are(way, make_task):
    data = tiny_data("vector")
    before = everything(data)
    task = make_task(**{"network": mlp, "data": lambda: data, **WAYS[way]})
    fingerprint(task, check_task(task, [(5, 1)]))
    tried(task, "referee", "vmap")
    assert_unchanged(data, before)


def test_what_is_trained_on_is_a_copy_of_what_the_task_gave():
    data = tiny_data("vector")
    moved = data.to("cpu", torch.float32)
    for name in ("train_inputs", "train_targets", "test_inputs", "test_targets"):
        assert getattr(moved, name).data_ptr() != getattr(data, name).data_ptr()


# ---- random numbers, whoever draws them ---------------------------------------------------------


def drawn_data() -> Data:
    """Data that ask all generators, and are the same in every process all the same."""
    inputs = torch.randn(30, 6) + torch.from_numpy(np.random.randn(30, 6)).float()
    inputs += random.random()
    targets = torch.arange(30) % CLASSES
    return Data(inputs[:20], targets[:20], inputs[20:], targets[20:])


def test_data_that_are_drawn_are_the_same_at_every_call(make_task):
    task = make_task(mlp, data=drawn_data)
    np.random.seed(5)
    first = load_data(task)
    np.random.seed(6)
    random.seed(6)
    torch.manual_seed(6)
    assert_unchanged(load_data(task), everything(first))


def numpys_noise(inputs, generator):
    noise = np.random.randn(*inputs.shape) + random.random()
    return inputs + torch.from_numpy(noise).to(inputs.dtype) + torch.randn(inputs.shape)


class LayerDrop(nn.Module):
    def __init__(self):
        super().__init__()
        self.extra, self.last = nn.Linear(6, 6), nn.Linear(6, CLASSES)

    def forward(self, x):
        if not self.training or random.random() < 0.7:
            x = x + torch.tanh(self.extra(x)) * (1 + 0.1 * np.random.randn())
        return self.last(x)


@pytest.mark.parametrize("engine", ["vmap", "referee"])
@pytest.mark.parametrize(
    "changes", [{"network": mlp, "augment": numpys_noise}, {"network": LayerDrop}]
)
def test_equal_cells_are_equal_in_whatever_chunk_and_order(engine, changes, make_task, make_panel):
    task: Task = make_task(**changes)
    data, found = task.data().to("cpu", torch.float64), []
    how = {"batch_size": BATCH, "options": DOUBLE, "engine": engine}
    for cells, seed in ((4, 1), (1, 2), (1, 1), (2, 1)):
        same = [Cell(0.05, 10.0**-k * 1e-30) for k in range(cells)]
        outcome = train_chunk(task, data, make_panel("sgd"), same, seed=seed, **how)
        found.append(outcome.curves["train_loss"])
    for curves in (found[2], found[3]):
        np.testing.assert_allclose(curves, found[0][: len(curves)], rtol=1e-6)
    np.testing.assert_allclose(found[0], np.broadcast_to(found[0][:1], found[0].shape), rtol=1e-6)
    assert not np.allclose(found[1], found[0][:1])  # another seed


@pytest.mark.parametrize("engine", ["vmap", "referee"])
def test_scores_do_not_depend_on_the_chunk(engine, make_task, make_panel):
    """Of a network that compares its examples with each other, and a loss that weighs them."""

    class Compares(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = mlp()

        def forward(self, x):
            return self.network(x - x.mean(0))

    weights = torch.tensor([1.0, 2.0, 3.0])
    many = tiny_data("vector")
    many = Data(
        many.train_inputs,
        many.train_targets,
        many.test_inputs.repeat(13, 1) + torch.linspace(0, 1, 221)[:, None],
        many.test_targets.repeat(13),
    )
    task = make_task(Compares, data=lambda: many, loss=nn.CrossEntropyLoss(weights))
    how = {"seed": 1, "batch_size": 5, "options": Options(), "engine": engine}
    data = many.to("cpu", torch.float32)
    cells = [Cell(0.05, 0.0)] * 30
    alone = train_chunk(task, data, make_panel("sgd"), cells[:1], **how).curves
    together = train_chunk(task, data, make_panel("sgd"), cells, **how).curves
    for metric, curve in alone.items():
        np.testing.assert_allclose(together[metric], np.repeat(curve, 30, axis=0), rtol=1e-5)
