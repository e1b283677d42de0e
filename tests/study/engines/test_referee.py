"""The referee gives what a plain loop gives, also of what no other engine can do."""

from functools import partial

import pytest
from torch import nn

from tests.study.chunks import assert_equals_plain_loop
from tests.study.networks import UNFUSABLE, RecurrentNetwork, mlp
from tests.study.test_agreement import branching_loss
from tests.study.trials import why_not

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
