"""Whatever a network does: each engine that may train it gives what a plain loop gives."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from torch import nn

from landscape_study.study.errors import TaskError
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks.refusals import check_task
from landscape_study.study.training.engines import Assignment, Referee
from tests.study.agreement.trials import tried
from tests.study.chunks import assert_equals_plain_loop
from tests.study.conftest import CLASSES
from tests.study.networks import mlp
from tests.study.networks_of_users import REFUSED, TRAINED, Around

pytestmark = pytest.mark.slow

ENGINES = ("captured", "vmap", "referee")


def rows():
    """Of those that are traced one of each kind is quick enough for `make test-fast`."""
    soon = ("buffer in place", "features without a gradient", "dropout of what was transposed")
    for name, (_, fastest) in TRAINED.items():
        takes_long = fastest == "captured" and name not in soon
        yield pytest.param(name, marks=[pytest.mark.long] if takes_long else [])


@pytest.mark.some(8)
@pytest.mark.parametrize("name", list(rows()))
def test_every_engine_that_may_train_it_equals_a_plain_loop(name, make_task, make_panel, train):
    network, fastest = TRAINED[name]
    task = make_task(network)
    found = tried(task, *ENGINES)
    may = [engine for engine in ENGINES if found[engine].why_not is None]
    assert may == list(ENGINES[ENGINES.index(fastest) :])
    for engine in may:
        panel = make_panel("sgd" if engine == "captured" else "adamw")
        assert_equals_plain_loop(train(task, panel, engine=engine), task, panel)


def test_what_no_file_can_hold_is_trained_without_checkpoints(make_task):
    """A list of tensors that vmap has wrapped; the plain loop's own are kept."""
    found = tried(make_task(TRAINED["a list of tensors"][0]), "vmap", "referee")
    assert found["vmap"].no_checkpoint == "after step 6 the training loss of cell 1 differs"
    assert found["referee"].no_checkpoint is None


class Turning(Around):
    """Keeps its turn in an iterator, of which nothing can be written to a file."""

    def __init__(self, period):
        super().__init__()
        self.turn = itertools.cycle(range(period))

    def inner(self, h):
        return h / (1 + next(self.turn)) if self.training else h


@pytest.mark.parametrize("period", [2, 3, 4])
def test_what_comes_back_after_some_steps_is_missed_in_a_checkpoint_too(period, make_task):
    found = tried(make_task(partial(Turning, period)), "vmap", "referee")
    assert found["vmap"].why_not is None
    assert all(finding.no_checkpoint is not None for finding in found.values())


@pytest.mark.parametrize(
    ("name", "kept"), [("a counter in an object", "clock"), ("a counter in an array", "times")]
)
def test_what_changes_and_no_file_holds_is_told_before_it_shows(name, kept, make_task):
    found = tried(make_task(TRAINED[name][0]), "vmap", "referee")
    assert {f.no_checkpoint for f in found.values()} == {
        f"`{kept}` changes, which no file can hold"
    }


class LateThaw(nn.Sequential):
    """Its first layer is trained from the seventh step on."""

    def __init__(self):
        super().__init__(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, CLASSES))
        self[0].requires_grad_(False)
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        self[0].requires_grad_(self.steps > 6)
        return super().forward(x)


def test_a_thawed_layer_stays_so_in_a_checkpoint(make_task):
    task = make_task(LateThaw)
    found = tried(task, "vmap", "referee")
    assert found["referee"].no_checkpoint is None
    assert found["vmap"].why_not is not None
    engine = Referee(Assignment(task, "sgd", [Cell(0.1, 0.0)]))
    engine.network[0].requires_grad_(True)
    again = Referee(Assignment(task, "sgd", [Cell(0.1, 0.0)]))
    again.restore(engine.state())
    assert again.network[0].weight.requires_grad


def test_a_loss_and_an_augmentation_may_keep_state(make_task, make_panel, train):
    """Each cell has a loss of its own; batches are augmented once for all cells."""
    task = make_task(mlp, loss=Smoothing(), augment=Fading())
    assert tried(task, "referee")["referee"].no_checkpoint is None
    for _ in range(2):  # neither begins where an earlier chunk left it
        trained = train(task, make_panel("adamw"), engine="referee")
        assert_equals_plain_loop(trained, task, make_panel("adamw"))


class Smoothing(nn.Module):
    """Cross entropy with weights that follow how often a class was seen."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.ones(CLASSES))
        self.calls = 0

    def forward(self, outputs, targets):
        self.calls += 1
        self.seen = 0.9 * self.seen + torch.bincount(targets, minlength=CLASSES)
        loss = nn.functional.cross_entropy(outputs, targets, weight=1 / self.seen)
        return loss / self.calls


class Fading:
    """Less noise from batch to batch."""

    def __init__(self):
        self.size = 0.5

    def __call__(self, inputs, generator):
        self.size *= 0.9
        noise = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)
        return inputs + self.size * noise


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_mean_what_its_author_thinks_is_refused(name, make_task):
    changes, message, *precision = REFUSED[name]
    task = make_task(**{"network": mlp, **changes})
    with pytest.raises(TaskError) as refused:
        check_task(task, [(5, 1)], *precision)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
