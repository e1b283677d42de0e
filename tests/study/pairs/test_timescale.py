"""How long weights remember: the formula against the decay of steps without a gradient."""

import math

import pytest
import torch

from landscape_study.study.pairs.optimizer import PairOptimizer
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.placements import PLACEMENTS
from landscape_study.study.pairs.registry import PAIRS
from landscape_study.study.pairs.rules import RULES
from landscape_study.study.pairs.timescale import timescale

ALPHA, LAMBDA, STEPS = 0.02, 0.003, 40
OPTIONS = Options(momentum=0.8)


def left_after(pair: str, steps: int, lambda_scale: float = 1.0) -> float:
    """What is left of a weight of 1 after steps without a gradient, at the peak of a schedule."""
    theta, alpha, lambda_ = (torch.tensor([x], dtype=torch.float64) for x in (1.0, ALPHA, LAMBDA))
    optimizer = PairOptimizer(PAIRS[pair], theta[:, None], alpha, lambda_, OPTIONS)
    for _ in range(steps):
        optimizer.step(torch.zeros(1, 1, dtype=torch.float64), 1.0, lambda_scale)
    return optimizer.theta.item()


@pytest.mark.parametrize("pair", [p for p in PAIRS if PAIRS[p].placement != "l2"])
def test_a_step_takes_the_part_of_theta_that_the_timescale_says(pair):
    epochs = timescale(PAIRS[pair], OPTIONS, STEPS).epochs(ALPHA, LAMBDA)
    assert 1 / (1 - left_after(pair, 1)) == pytest.approx(epochs * STEPS, rel=1e-9)


def test_of_sgd_with_l2_a_weight_has_faded_to_an_eth_after_it():
    """Its momentum, 5 steps long, is short beside it: 3333 steps."""
    epochs = timescale(PAIRS["sgd"], OPTIONS, STEPS).epochs(ALPHA, LAMBDA)
    assert epochs * STEPS == pytest.approx((1 - 0.8) / (ALPHA * LAMBDA))
    assert left_after("sgd", round(epochs * STEPS)) == pytest.approx(math.exp(-1), rel=0.01)


def test_of_adam_with_l2_it_is_that_of_torchs_adamw():
    own, decoupled = (timescale(PAIRS[pair], OPTIONS, STEPS) for pair in ("adam", "adamw-torch"))
    assert own == decoupled


@pytest.mark.parametrize("pair", PAIRS)
def test_each_pair_says_whether_alpha_counts(pair):
    found = timescale(PAIRS[pair], OPTIONS, STEPS)
    assert found.power == {"decoupled": 0, "unscheduled": 0, "squared": 2}.get(
        PAIRS[pair].placement, 1
    )
    halved = found.epochs(ALPHA, LAMBDA) / 2
    assert found.epochs(ALPHA, 2 * LAMBDA) == pytest.approx(halved)
    assert timescale(PAIRS[pair], OPTIONS, 2 * STEPS).epochs(ALPHA, LAMBDA) == halved
    assert math.isinf(found.epochs(ALPHA, 0.0))


def test_a_normalized_lambda_stands_for_that_of_the_steps():
    scale = 0.25
    epochs = timescale(PAIRS["adamw"], OPTIONS, STEPS, scale).epochs(ALPHA, LAMBDA)
    assert 1 / (1 - left_after("adamw", 1, scale)) == pytest.approx(epochs * STEPS, rel=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_gain_is_what_becomes_of_one_gradient(rule):
    """Of sgd, of all later steps together; of means, whose weights add up to 1."""
    made = RULES[rule](OPTIONS)
    weights = {
        "sgd": [0.8**k for k in range(200)],
        "nesterov": [1.0, *(0.8**k for k in range(1, 200))],
    }.get(rule, [0.1 * 0.9**k for k in range(400)])
    assert made.gain == pytest.approx(sum(weights))


def test_every_placement_has_a_timescale():
    named = {PAIRS[pair].placement for pair in PAIRS}
    assert named == set(PLACEMENTS)
