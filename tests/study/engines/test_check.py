"""What fuses and what is trained one by one: either gives what a plain loop gives."""

from functools import partial

import pytest
import torch
from torch import nn

from study.engines.check import why_not
from tests.study.chunks import assert_equals_plain_loop
from tests.study.conftest import CLASSES
from tests.study.networks import (
    UNFUSABLE,
    Measuring,
    RecurrentNetwork,
    dropout_mlp,
    frozen_start,
    mlp,
)


@pytest.mark.parametrize("network", UNFUSABLE.values(), ids=UNFUSABLE)
def test_what_vmap_cannot_do_is_trained_one_by_one(network, make_task, make_panel, train):
    task, panel = make_task(network), make_panel("adamw")
    reason = why_not("vmap", task, task.data())
    assert reason is not None
    assert reason.startswith("RuntimeError: ")
    assert "\n" not in reason
    assert_equals_plain_loop(train(task, panel, engine="one-by-one"), task, panel)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_networks_are_trained_by_whatever_path_they_allow(
    kind, make_task, make_panel, train
):
    """With torch 2.13 their gradients fuse and their evaluation does not: one by one."""
    task, panel = make_task(partial(RecurrentNetwork, kind), "tokens"), make_panel("adamw")
    engine = "vmap" if why_not("vmap", task, task.data()) is None else "one-by-one"
    assert_equals_plain_loop(train(task, panel, engine=engine), task, panel)


def test_the_reason_for_training_one_by_one_is_what_torch_said(make_task):
    task = make_task(Measuring)
    assert "item()" in str(why_not("vmap", task, task.data()))


def test_a_loss_that_vmap_cannot_do_is_a_reason_too(make_task, make_panel, train):
    def loss(outputs, targets):
        weight = 1.0 if outputs.mean().item() > 0 else 0.5
        return weight * nn.functional.cross_entropy(outputs, targets)

    task, panel = make_task(mlp, loss=loss), make_panel("sgdw")
    assert why_not("vmap", task, task.data()) is not None
    assert_equals_plain_loop(train(task, panel, engine="one-by-one"), task, panel)


def test_frozen_parameters_stay_where_they_are(make_task, make_panel, train):
    trained = train(make_task(frozen_start), make_panel("sgdw"))
    torch.manual_seed(1)
    start = frozen_start()
    torch.testing.assert_close(trained.buffers["0.weight"][1], start[0].weight.double())
    assert trained.theta.shape[1] == 8 * CLASSES + CLASSES


def test_trying_whether_a_task_fuses_leaves_the_callers_random_state_alone(make_task):
    task = make_task(dropout_mlp)
    before = torch.get_rng_state()
    why_not("vmap", task, task.data())
    assert torch.equal(torch.get_rng_state(), before)
