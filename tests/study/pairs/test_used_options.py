"""Which options a rule makes use of: those that it says, and no others."""

from itertools import product

import pytest
import torch

from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.pairs.rules import RULES
from tests.study.pairs.stacked_networks import ALPHA, LAMBDA, deep_network, train_stacked

CHANGED = {
    "momentum": 0.5,
    "beta1": 0.5,
    "beta2": 0.9,
    "eps": 0.1,
    "rest_alpha": 0.5,
    "rest_lambda": 0.5,
}


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "option"), [*product(RULES, CHANGED)])
def test_a_rule_uses_the_options_that_it_says(rule: str, option: str):
    pair, usual = pair_called(f"{rule}-decoupled"), Options(eps=1e-3)
    how = {"steps": 8, "network": deep_network}
    one = train_stacked(pair, ALPHA, LAMBDA, options=usual, **how)
    changed = usual.model_copy(update={option: CHANGED[option]})
    other = train_stacked(pair, ALPHA, LAMBDA, options=changed, **how)
    assert torch.equal(one, other) is (option not in RULES[rule].uses)
