"""Which engines can do a network, and why not: found before anything is trained."""

from __future__ import annotations

import random
import time
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from landscape_study.study.agreement import finding
from landscape_study.study.agreement.finding import Finding
from landscape_study.study.agreement.observation import (
    Seen,
    Subject,
    excerpt,
    first_difference,
    kept,
)
from landscape_study.study.errors import TaskError
from landscape_study.study.pairs.options import Options
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.networks.mlp import bn_mlp
from landscape_study.study.training.compiling import library
from landscape_study.study.training.engines.stacked import StackedEngine
from tests.study.agreement.trials import tried, why_not
from tests.study.conftest import CLASSES, tiny_data
from tests.study.networks import (
    NETWORKS,
    UNFUSABLE,
    Measuring,
    RecurrentNetwork,
    batch_norm_mlp,
    dropout_mlp,
    mlp,
)

pytestmark = pytest.mark.slow

COMPILER = pytest.mark.skipif(library.why_not() is not None, reason=str(library.why_not()))
SLOW = ("Shake-Shake", "attention")  # to trace
FUSED = [
    pytest.param(*row, id=name, marks=[pytest.mark.long] if name in SLOW else [])
    for name, row in NETWORKS.items()
]


@pytest.mark.long
@pytest.mark.parametrize(("network", "kind"), FUSED)
def test_what_fuses_can_be_captured_too(network, kind, make_task):
    task = make_task(network, kind)
    assert why_not("vmap", task) is None
    assert why_not("captured", task) is None


@pytest.mark.some(3)
@pytest.mark.parametrize("network", UNFUSABLE.values(), ids=UNFUSABLE)
@pytest.mark.parametrize("engine", ["vmap", "captured"])
def test_what_vmap_cannot_do_has_its_reason_in_one_line(network, engine, make_task):
    task = make_task(network)
    reason = why_not(engine, task)
    assert reason is not None
    assert reason.startswith("RuntimeError: ")
    assert "\n" not in reason
    assert why_not("referee", task) is None


def test_the_reason_is_what_torch_said(make_task):
    task = make_task(Measuring)
    assert "item()" in str(why_not("vmap", task))


def test_a_loss_that_vmap_cannot_do_is_a_reason_too(make_task):
    task = make_task(mlp, loss=branching_loss)
    assert why_not("vmap", task) is not None


def branching_loss(outputs, targets):
    weight = 1.0 if outputs.mean().item() > 0 else 0.5
    return weight * nn.functional.cross_entropy(outputs, targets)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_networks_are_refused_or_done(kind, make_task):
    """With torch 2.13 their gradients fuse and their evaluation does not."""
    task = make_task(partial(RecurrentNetwork, kind), "tokens")
    reason = why_not("vmap", task)
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


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (RandomDepth, "after step "),
        (Warming, "`steps` changes from step to step, which a captured graph would freeze"),
        (RandomFeatures, "after step 1 the training loss of cell 1 differs"),
    ],
)
def test_what_depends_on_more_than_its_inputs_is_not_captured_but_fused(
    network, reason, make_task
):
    """What the start draws is frozen for the seed whose chunk was traced, and others follow."""
    task = make_task(network)
    assert str(why_not("captured", task)).startswith(reason)
    assert why_not("vmap", task) is None


@pytest.mark.some(1)
@pytest.mark.arithmetic
@pytest.mark.parametrize("name", ["ConvNet 2D", "MLP"])
def test_rounded_to_bfloat16_it_is_captured_too(name, make_task):
    task = make_task(*NETWORKS[name])
    assert why_not("captured", task, Options(bf16=True)) is None


# ---- what is taken for a difference -------------------------------------------------------------


def seen(*values):
    """One moment, or several, of one cell."""
    numbers = (torch.tensor([v], dtype=torch.float64) for v in values)
    return [Seen("after step 1", "the loss", row) for row in numbers]


EXACT = finding.DOUBLE


@pytest.mark.parametrize(
    ("ours", "moved", "differs"),
    [
        (1.0 + 1e-12, 1.0, False),
        (1.0 + 1e-6, 1.0, True),
        (1.0 + 1e-6, 1.0 + 1e-8, False),  # rounding does as much to it
        (1.1, 2.0, True),  # nothing is known of what is as wild as that
        (float("inf"), 1.0, True),
        (float("nan"), 1.0, True),
    ],
)
def test_rounding_is_no_difference(ours, moved, differs):
    found = first_difference(seen([ours]), seen([1.0]), seen([moved]), EXACT)
    assert found == ("after step 1 the loss of cell 1 differs" if differs else None)


def test_what_is_not_finite_in_both_is_no_difference():
    nan = seen([float("nan"), 2.0])
    assert first_difference(nan, nan, nan, EXACT) is None
    assert first_difference(seen([float("nan"), 3.0]), nan, nan, EXACT) is not None


def test_another_number_of_buffers_is_a_difference():
    two = [*seen([1.0]), Seen("after step 1", "the buffer", torch.ones(1, 1))]
    assert "other parameters or buffers" in str(first_difference(two, seen([1.0]), two, EXACT))
    assert first_difference(two, two, two, EXACT) is None


def test_another_number_of_steps_is_a_difference():
    more = seen([1.0], [1.0])
    assert first_difference(more, seen([1.0]), more, EXACT) == "it does another number of steps"


def test_of_a_large_tensor_every_number_counts():
    large = torch.zeros(2, 30_011)
    for place in (0, 4096, 30_010):
        changed = large.clone()
        changed[1, place] = 1
        assert not torch.equal(kept(changed), kept(large))
        assert torch.equal(kept(changed)[0], kept(large)[0])
    assert kept(large).shape == (2, 4096)


# ---- the plain loop itself ----------------------------------------------------------------------


class Unseeded(nn.Module):
    """Draws from a generator that nobody can seed."""

    def __init__(self):
        super().__init__()
        self.network, self.generator = mlp(), np.random.default_rng()

    def forward(self, x):
        noise = torch.from_numpy(self.generator.standard_normal(x.shape[-1]))
        return self.network(x + noise.to(x) if self.training else x)


class AskingTheClock(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = mlp()

    def forward(self, x):
        return self.network(x) * (1 + time.perf_counter() % 1)


COUNTED = {"steps": 0}


class CountingOutside(nn.Module):
    """Counts in a global, so that a second training begins where the first one ended."""

    def __init__(self):
        super().__init__()
        self.network = mlp()

    def forward(self, x):
        COUNTED["steps"] += 1
        return self.network(x) / COUNTED["steps"]


@pytest.mark.parametrize("network", [Unseeded, AskingTheClock, CountingOutside])
def test_what_does_not_repeat_under_one_seed_is_refused_with_the_reason(network, make_task):
    with pytest.raises(TaskError) as refused:
        tried(make_task(network), "referee")
    message = str(refused.value)
    assert "gives other results when it is run again under the same seed: after step 1" in message
    assert "draw from torch, numpy.random or random, whose seeds the tool sets" in message


class OnlySingle(nn.Module):
    """Casts to single precision on its way."""

    def __init__(self):
        super().__init__()
        self.network = mlp()

    def forward(self, x):
        return self.network(x.float())


@pytest.mark.long
def test_what_runs_in_single_precision_only_is_tried_in_it(make_task):
    found = tried(make_task(OnlySingle), "captured", "vmap", "referee", options=Options())
    assert set(found.values()) == {Finding()}


def test_what_fails_in_training_is_refused(make_task):
    class Failing(nn.Module):
        def __init__(self):
            super().__init__()
            self.network, self.calls = mlp(), 0

        def forward(self, x):
            self.calls += 1
            if self.calls > 6:
                raise ValueError("no more")
            return self.network(x)

    with pytest.raises(TaskError, match="a plain loop over a few batches failed: ValueError: no"):
        tried(make_task(Failing), "referee")


@pytest.mark.long
def test_large_inputs_are_tried_at_a_learning_rate_at_which_nothing_diverges(make_task):
    data = tiny_data("vector")
    large = Data(1e4 * data.train_inputs, data.train_targets, data.test_inputs, data.test_targets)
    task = make_task(lambda: nn.Linear(6, CLASSES), data=lambda: large)
    subject = Subject(task, excerpt(large))
    reference = finding.Reference(subject, Options())
    assert all(
        s.values.isfinite().all() for s in reference.of("sgd", 0, reference.arithmetic).exact
    )
    assert why_not("captured", task) is None


@pytest.mark.parametrize("examples", [1, 2, 9, 17])
def test_few_examples_are_enough(examples, make_task):
    data = tiny_data("vector")
    few = Data(
        data.train_inputs[:examples],
        data.train_targets[:examples],
        data.test_inputs[:examples],
        data.test_targets[:examples],
    )
    task = make_task(mlp if examples == 1 else batch_norm_mlp, data=lambda: few, batch_size=8)
    subject = Subject(task, excerpt(few))
    reference = finding.Reference(subject, Options())
    assert finding.find("vmap", subject, ["adamw"], Options(), reference) == Finding()


@pytest.mark.parametrize("engine", ["vmap", "captured", "referee"])
def test_trying_leaves_the_callers_random_state_and_data_alone(engine, make_task):
    data = tiny_data("vector")
    task = make_task(dropout_mlp, data=lambda: data)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    tried(task, engine)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])
    assert torch.equal(data.train_inputs, tiny_data("vector").train_inputs)


@pytest.mark.some(2)
@pytest.mark.parametrize("pairs", [["adam"], ["lion-scaled"], ["adagrad-l2", "lion-l2"]], ids=str)
@pytest.mark.parametrize("engine", ["vmap", "captured", pytest.param("compiled", marks=COMPILER)])
def test_biases_that_batch_norm_cancels_are_no_reason(engine: str, pairs: list[str], make_task):
    """They begin at 0, and their gradients are rounding errors."""
    task = make_task(partial(bn_mlp, (6, 8, 8, CLASSES)))
    assert tried(task, engine, pairs=pairs)[engine].why_not is None


def test_biases_that_batch_norm_cancels_must_be_trained_all_the_same(make_task, monkeypatch):
    """What is small is not what is small beside the weights."""
    task = make_task(partial(bn_mlp, (6, 8, 8, CLASSES)))
    monkeypatch.setattr(StackedEngine, "step", _with_other_gradients(StackedEngine.step))
    assert "differs" in (tried(task, "vmap")["vmap"].why_not or "")


def _with_other_gradients(step):
    def stepped(self, *args):
        losses = step(self, *args)
        self.ensemble.theta += 1e-9
        return losses

    return stepped
