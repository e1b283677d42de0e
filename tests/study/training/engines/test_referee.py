"""The referee gives what a plain loop gives, also of what no other engine can do."""

from functools import partial

import pytest
import torch
from torch import nn

from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks.task import Task
from landscape_study.study.training.engines import Assignment, Referee
from tests.study.agreement.test_finding import branching_loss
from tests.study.agreement.trials import why_not
from tests.study.chunks import DOUBLE, assert_equals_plain_loop
from tests.study.conftest import CLASSES
from tests.study.networks import UNFUSABLE, RecurrentNetwork, mlp

pytestmark = pytest.mark.arithmetic


@pytest.mark.parametrize("network", UNFUSABLE.values(), ids=UNFUSABLE)
def test_what_vmap_cannot_do_equals_plain_loops(network, make_task, make_panel, train):
    task, panel = make_task(network), make_panel("adamw")
    assert_equals_plain_loop(train(task, panel, engine="referee"), task, panel)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_networks_by_whatever_path_they_allow(kind, make_task, make_panel, train):
    task, panel = make_task(partial(RecurrentNetwork, kind), "tokens"), make_panel("adamw")
    engine = "vmap" if why_not("vmap", task) is None else "referee"
    assert_equals_plain_loop(train(task, panel, engine=engine), task, panel)


def test_a_loss_that_vmap_cannot_do_equals_plain_loops(make_task, make_panel, train):
    task, panel = make_task(mlp, loss=branching_loss), make_panel("sgdw")
    assert_equals_plain_loop(train(task, panel, engine="referee"), task, panel)


@pytest.mark.parametrize(
    "options", [Options(bf16=True), Options(channels_last=True), Options(tf32=True)]
)
def test_the_options_of_the_arithmetic_are_its_own_too(options, make_task, make_panel, train):
    task, panel = make_task(smooth_conv_net, "image"), make_panel("sgd")
    trained = train(task, panel, options=options, engine="referee")
    exact = train(task, panel, engine="referee")
    close = 2e-2 if options.bf16 else 1e-4
    torch.testing.assert_close(trained.theta.double(), exact.theta, rtol=0, atol=close)
    if options.bf16:
        plain = train(task, panel, options=Options(), engine="referee")
        assert not torch.equal(trained.theta, plain.theta)


def test_images_lie_as_the_options_say(make_task, make_panel, train):
    seen = []

    class Looking(nn.Sequential):
        def forward(self, x):
            seen.append(x.is_contiguous(memory_format=torch.channels_last))
            return super().forward(x)

    task, panel = make_task(lambda: Looking(*smooth_conv_net()), "image"), make_panel("sgd")
    for asked in (False, True):
        train(task, panel, options=Options(channels_last=asked), engine="referee")
        assert set(seen) == {asked}
        seen.clear()


def smooth_conv_net():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(100, CLASSES)
    )


def test_complex_parameters_are_moved_as_pairs_of_real_ones():
    """As torch.optim does; θ of the optimizer is a row of real numbers."""

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.full((3, CLASSES), 0.5 + 0.25j))

        def forward(self, x):
            return (x.to(self.weight.dtype) @ self.weight).abs()

    task = Task("turned", Turned, lambda: None, CLASSES, 4, 1)
    referee = Referee(Assignment(task, "adam", [Cell(0.1, 0.2)], DOUBLE))
    assert referee.optimizer.theta.shape == (1, 2 * 3 * CLASSES)
    plain = Turned()
    plain.weight.data = plain.weight.data.to(torch.complex128)
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.1, weight_decay=0.2, eps=DOUBLE.eps)
    inputs = torch.arange(12.0, dtype=torch.float64).view(4, 3)
    targets = torch.tensor([0, 1, 2, 0])
    for _ in range(5):
        referee.step(inputs, targets, 1.0, 1.0)
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(inputs), targets).backward()
        optimizer.step()
    torch.testing.assert_close(referee.parameters()["weight"][0], plain.weight.data)


def test_shaken_weights_are_moved_by_one_rounding_unit_each():
    task = Task("small", lambda: nn.Linear(3, CLASSES), lambda: None, CLASSES, 4, 1)
    referee = Referee(Assignment(task, "sgd", [Cell(0.1, 0.0)]))
    before = referee.parameters()["weight"].clone()
    referee.shake(2**-10)
    moved = (referee.parameters()["weight"] / before - 1).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 2**-10), rtol=1e-3, atol=0)
