"""Which engines can do a network, and why not: found before anything is trained."""

from __future__ import annotations

import random
from functools import partial

import pytest
import torch
from torch import nn

from study.engines import check, native
from study.engines.check import why_not
from study.spec import Options
from tests.study.conftest import CLASSES
from tests.study.networks import (
    NETWORKS,
    UNFUSABLE,
    Branching,
    Measuring,
    RecurrentNetwork,
    dropout_mlp,
    mlp,
)

FROZEN = "traced once and replayed it gives other results: it depends on more than its inputs"


SLOW = ("Shake-Shake", "attention")  # to trace
FUSED = [
    pytest.param(*row, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name, row in NETWORKS.items()
]


@pytest.mark.parametrize(("network", "kind"), FUSED)
def test_what_fuses_can_be_captured_too(network, kind, make_task):
    task = make_task(network, kind)
    assert why_not("vmap", task, task.data()) is None
    assert why_not("captured", task, task.data()) is None


@pytest.mark.parametrize("network", UNFUSABLE.values(), ids=UNFUSABLE)
@pytest.mark.parametrize("engine", ["vmap", "captured"])
def test_what_vmap_cannot_do_has_its_reason_in_one_line(network, engine, make_task):
    task = make_task(network)
    reason = why_not(engine, task, task.data())
    assert reason is not None
    assert reason.startswith("RuntimeError: ")
    assert "\n" not in reason
    assert why_not("one-by-one", task, task.data()) is None


def test_the_reason_is_what_torch_said(make_task):
    task = make_task(Measuring)
    assert "item()" in str(why_not("vmap", task, task.data()))


def test_a_loss_that_vmap_cannot_do_is_a_reason_too(make_task):
    task = make_task(mlp, loss=branching_loss)
    assert why_not("vmap", task, task.data()) is not None


def branching_loss(outputs, targets):
    weight = 1.0 if outputs.mean().item() > 0 else 0.5
    return weight * nn.functional.cross_entropy(outputs, targets)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_networks_are_refused_or_done(kind, make_task):
    """With torch 2.13 their gradients fuse and their evaluation does not."""
    task = make_task(partial(RecurrentNetwork, kind), "tokens")
    reason = why_not("vmap", task, task.data())
    assert reason is None or "\n" not in reason


# ---- what tracing would freeze, and nobody would be told ----------------------------------------


class RandomDepth(nn.Module):
    """Leaves out a layer in half of the steps, as Python's own random numbers say."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        if not self.training or random.random() < 0.5:
            h = h + self.second(h)
        return self.head(h)


class Warming(nn.Module):
    """Counts its steps in Python: the outputs grow with them."""

    def __init__(self):
        super().__init__()
        self.network, self.steps = mlp(), 0

    def forward(self, x):
        self.steps += self.training
        return self.network(x) * (1 - 0.5**self.steps)


class RandomFeatures(nn.Module):
    """Projects by a matrix that is neither parameter nor buffer: each network draws its own."""

    def __init__(self):
        super().__init__()
        self.matrix, self.head = torch.randn(6, 8), nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.head(torch.relu(x @ self.matrix.to(x)))


@pytest.mark.parametrize("network", [RandomDepth, Warming, RandomFeatures])
def test_what_depends_on_more_than_its_inputs_is_not_captured_but_fused(
    network, make_task, make_panel, train
):
    before = random.getstate()
    random.seed(0)
    task = make_task(network)
    assert why_not("captured", task, task.data()) == FROZEN
    assert why_not("vmap", task, task.data()) is None
    outcome = train(task, make_panel("sgd"), engine="vmap").outcome
    assert (outcome.diverged_epoch == 0).all()
    random.setstate(before)


def test_rounding_is_no_difference_and_another_dropout_mask_is_one():
    a = torch.randn(5, generator=torch.Generator().manual_seed(0))
    infinite, nothing = torch.tensor([torch.inf, 1.0]), torch.zeros(0)
    assert check._close(a, a * (1 + 1e-5), check.TOLERANCE)
    assert not check._close(a, a * (1 + 1e-2), check.TOLERANCE)
    assert check._close(a, a * (1 + 1e-2), check.BF16_TOLERANCE)
    assert not check._close(a, a * (torch.arange(5) > 0), check.BF16_TOLERANCE)
    assert check._close(infinite, infinite.clone(), check.TOLERANCE)
    assert check._close(nothing, nothing, check.TOLERANCE)
    assert check._close(torch.tensor([3, 4]), torch.tensor([3, 4]), check.TOLERANCE)
    assert not check._close(torch.tensor([3, 4]), torch.tensor([3, 5]), check.TOLERANCE)


def smooth_conv_net():
    """Without kinks and batch norm, which would make a rounding to 8 bits large."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(100, CLASSES)
    )


@pytest.mark.arithmetic
@pytest.mark.parametrize(("network", "kind"), [(smooth_conv_net, "image"), (mlp, "vector")])
def test_rounded_to_bfloat16_it_is_captured_too(network, kind, make_task):
    task = make_task(network, kind)
    assert why_not("captured", task, task.data(), Options(bf16=True)) is None


# ---- compiling ----------------------------------------------------------------------------------


def test_what_is_compiled_must_be_captured_first(make_task, monkeypatch):
    monkeypatch.setattr(native, "why_not", lambda: None)
    task = make_task(Branching)
    assert why_not("compiled", task, task.data()) == why_not("captured", task, task.data())
    task = make_task(mlp)
    assert why_not("compiled", task, task.data()) is None


def test_without_a_compiler_nothing_is_compiled(make_task, monkeypatch):
    monkeypatch.setattr(native, "why_not", lambda: "no C++ compiler here (g++)")
    task = make_task(mlp)
    assert why_not("compiled", task, task.data()) == "no C++ compiler here (g++)"
    assert why_not("captured", task, task.data()) is None


def test_on_a_gpu_nothing_is_compiled(make_task):
    task = make_task(mlp)
    found = why_not("compiled", task, task.data(), device="cuda:0")
    assert found == "a GPU replays recorded graphs instead"


@pytest.mark.parametrize("engine", ["vmap", "captured"])
def test_trying_leaves_the_callers_random_state_and_data_alone(engine, make_task):
    task = make_task(dropout_mlp)
    data = task.data()
    before, inputs = torch.get_rng_state(), data.train_inputs.clone()
    why_not(engine, task, data)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(data.train_inputs, inputs)
