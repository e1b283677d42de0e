"""Where one name means several things: Optax's, and how each differs from ours and torch's.

What docs/pairs.md says of them is written down here as a formula, and held against Optax in
float64. Gradients are given, so that all do steps at the same ones.
"""

import math
from collections.abc import Callable

import jax
import numpy as np
import optax
import pytest
import torch

from landscape_study.study.pairs.optimizer import PairOptimizer
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import Pair
from landscape_study.study.pairs.rules import RULES

pytestmark = [pytest.mark.arithmetic, pytest.mark.slow]

ALPHA, BETA1, BETA2, EPS = 0.01, 0.9, 0.99, 1e-3  # a large ε: where it stands shows
GRADIENTS = np.random.default_rng(0).normal(size=(60, 5)) * np.linspace(0.02, 1, 60)[::-1, None]
EXACT = 1e-12

Steps = Callable[[np.ndarray, int], np.ndarray]  # what θ loses by gradient g in step t, over α


def ours(rule: str) -> np.ndarray:
    """What θ loses in all steps by our rule."""
    theta = torch.zeros(1, GRADIENTS.shape[1], dtype=torch.float64)
    options = Options(beta1=BETA1, beta2=BETA2, eps=EPS, momentum=BETA1)
    one = theta.new_tensor([ALPHA])
    optimizer = PairOptimizer(Pair("", rule, "l2", ""), theta, one, 0 * one, options)
    for g in GRADIENTS:
        optimizer.step(torch.from_numpy(g)[None], eta=1.0)
    return -theta[0].numpy()


def of_optax(transformation: optax.GradientTransformation) -> np.ndarray:
    """The same by one of Optax's."""
    with jax.enable_x64(True):
        theta = jax.numpy.zeros(GRADIENTS.shape[1])
        state = transformation.init(theta)
        for g in GRADIENTS:
            change, state = transformation.update(jax.numpy.asarray(g), state, theta)
            theta = optax.apply_updates(theta, change)
        return -np.asarray(theta)


def by_formula(steps: Steps) -> np.ndarray:
    return ALPHA * sum(steps(g, t) for t, g in enumerate(GRADIENTS, start=1))


class Moments:
    """m and v, which a formula asks for."""

    def __init__(self) -> None:
        self.m, self.v = np.zeros(5), np.zeros(5)

    def after(self, g: np.ndarray) -> "Moments":
        self.m = BETA1 * self.m + (1 - BETA1) * g
        self.v = BETA2 * self.v + (1 - BETA2) * g**2
        return self


def amsgrad() -> Steps:
    """Of the corrected v̂ the largest, not the largest v, corrected."""
    moments, largest = Moments(), np.zeros(5)

    def step(g: np.ndarray, t: int) -> np.ndarray:
        moments.after(g)
        np.maximum(largest, moments.v / (1 - BETA2**t), out=largest)
        return moments.m / (1 - BETA1**t) / (np.sqrt(largest) + EPS)

    return step


def rmsprop() -> Steps:
    """ε under the root."""
    moments = Moments()
    return lambda g, t: g / np.sqrt(moments.after(g).v + EPS)


def adagrad() -> Steps:
    """The sum begins with 0.1, and ε stands under the root."""
    squares = np.full(5, 0.1)

    def step(g: np.ndarray, t: int) -> np.ndarray:
        squares[:] += g**2
        return g / np.sqrt(squares + EPS)

    return step


def nadam() -> Steps:
    """β1 stays as it is."""
    moments = Moments()

    def step(g: np.ndarray, t: int) -> np.ndarray:
        m, v = moments.after(g).m, moments.v / (1 - BETA2**t)
        ahead = BETA1 * m / (1 - BETA1 ** (t + 1)) + (1 - BETA1) * g / (1 - BETA1**t)
        return ahead / (np.sqrt(v) + EPS)

    return step


def radam() -> Steps:
    """ε beside √v̂, not beside √v."""
    moments, most = Moments(), 2 / (1 - BETA2) - 1

    def step(g: np.ndarray, t: int) -> np.ndarray:
        m, v = moments.after(g).m / (1 - BETA1**t), moments.v / (1 - BETA2**t)
        length = most - 2 * t * BETA2**t / (1 - BETA2**t)
        if length < 5:
            return m
        shares = (length - 4) * (length - 2) * most, (most - 4) * (most - 2) * length
        return m * math.sqrt(shares[0] / shares[1]) / (np.sqrt(v) + EPS)

    return step


def sgd() -> Steps:
    """The buffer holds gradients: the same while η stays as it is."""
    buffer = np.zeros(5)

    def step(g: np.ndarray, t: int) -> np.ndarray:
        buffer[:] = BETA1 * buffer + g
        return buffer.copy()

    return step


BETAS = {"b1": BETA1, "b2": BETA2}
OTHERWISE = {
    "amsgrad": (optax.amsgrad(ALPHA, **BETAS, eps=EPS), amsgrad),
    "rmsprop": (optax.rmsprop(ALPHA, decay=BETA2, eps=EPS), rmsprop),
    "adagrad": (optax.adagrad(ALPHA, eps=EPS), adagrad),
    "nadam": (optax.nadam(ALPHA, **BETAS, eps=EPS), nadam),
    "radam": (optax.radam(ALPHA, **BETAS, eps=EPS), radam),
}
SAME = {
    "sgd": optax.sgd(ALPHA, momentum=BETA1),
    "nesterov": optax.sgd(ALPHA, momentum=BETA1, nesterov=True),
    "adam": optax.adam(ALPHA, **BETAS, eps=EPS),
    "lion": optax.lion(ALPHA, **BETAS, weight_decay=0.0),
    "rmsprop": optax.rmsprop(ALPHA, decay=BETA2, eps=EPS, eps_in_sqrt=False),
}


@pytest.mark.parametrize("rule", OTHERWISE)
def test_it_differs_as_the_docs_say(rule: str):
    transformation, formula = OTHERWISE[rule]
    theirs = of_optax(transformation)
    np.testing.assert_allclose(theirs, by_formula(formula()), rtol=0, atol=EXACT)
    assert abs(theirs - ours(rule)).max() > 1e-5


@pytest.mark.parametrize("rule", SAME)
def test_it_is_the_same(rule: str):
    np.testing.assert_allclose(of_optax(SAME[rule]), ours(rule), rtol=0, atol=EXACT)


def test_momentum_that_holds_gradients_is_the_same_while_the_rate_is():
    np.testing.assert_allclose(by_formula(sgd()), ours("sgd"), rtol=0, atol=EXACT)


@pytest.mark.parametrize("shape", [(6, 2), (2, 6)])
def test_muons_step_is_as_large_as_an_adams_and_in_optax_as_a_matrix(shape: tuple[int, int]):
    """0.2·√max(m, n) here, √max(1, outputs/inputs) there; in the first step of one direction.

    Matrices are [inputs, outputs] there.
    """
    g = np.random.default_rng(1).normal(size=shape)
    with jax.enable_x64(True):
        muon = optax.contrib.muon(ALPHA, beta=BETA1, weight_decay=0.0)
        theta = jax.numpy.zeros(shape)
        change, _ = muon.update(jax.numpy.asarray(g), muon.init(theta), theta)
    rule = RULES["muon"](Options(momentum=BETA1))
    mean = torch.zeros(1, *shape, dtype=torch.float64)
    rate = torch.full((1, 1, 1), ALPHA, dtype=torch.float64)
    lost = rule.update_matrices(torch.from_numpy(g)[None], rate, [mean])[0].numpy()
    theirs = 0.2 * math.sqrt(max(shape)) / math.sqrt(max(1, shape[1] / shape[0]))
    np.testing.assert_allclose(lost, -np.asarray(change) * theirs, rtol=1e-6)
