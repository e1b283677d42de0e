"""Where one name means several things: Optax's, and how each differs from ours and torch's.

What docs/pairs.md says of them is written down here as a formula, and held against Optax in
float64. Gradients are given, so that all do steps at the same ones.
"""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from landscape_study.study.pairs.optimizer import PairOptimizer
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import Pair
from landscape_study.study.pairs.rules import RULES
from tests.study.pairs.given_gradients import ALPHA, BETA1, BETA2, EPS, GRADIENTS, MATRICES

pytestmark = [pytest.mark.arithmetic, pytest.mark.slow]

EXACT = 1e-12
ROOT = Path(__file__).parents[3]

Steps = Callable[[np.ndarray, int], np.ndarray]  # what θ loses by gradient g in step t, over α


@pytest.fixture(scope="module")
def optax() -> dict[str, np.ndarray]:
    """What θ loses by each of Optax's optimizers."""
    program = [sys.executable, "-m", "tests.study.pairs.optax_steps"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name: np.array(lost) for name, lost in json.loads(done.stdout).items()}


def ours(rule: str) -> np.ndarray:
    """What θ loses in all steps by our rule."""
    theta = torch.zeros(1, GRADIENTS.shape[1], dtype=torch.float64)
    options = Options(beta1=BETA1, beta2=BETA2, eps=EPS, momentum=BETA1)
    one = theta.new_tensor([ALPHA])
    optimizer = PairOptimizer(Pair("", rule, "l2", ""), theta, one, 0 * one, options)
    for g in GRADIENTS:
        optimizer.step(torch.from_numpy(g)[None], eta=1.0)
    return -theta[0].numpy()


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


OTHERWISE = {
    "amsgrad": amsgrad,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "nadam": nadam,
    "radam": radam,
}
SAME = {name: name for name in ("sgd", "nesterov", "adam", "lion")}
SAME["rmsprop"] = "rmsprop as torch"


@pytest.mark.parametrize("rule", OTHERWISE)
def test_it_differs_as_the_docs_say(rule: str, optax: dict[str, np.ndarray]):
    np.testing.assert_allclose(optax[rule], by_formula(OTHERWISE[rule]()), rtol=0, atol=EXACT)
    assert abs(optax[rule] - ours(rule)).max() > 1e-5


@pytest.mark.parametrize("rule", SAME)
def test_it_is_the_same(rule: str, optax: dict[str, np.ndarray]):
    np.testing.assert_allclose(optax[SAME[rule]], ours(rule), rtol=0, atol=EXACT)


def test_momentum_that_holds_gradients_is_the_same_while_the_rate_is():
    np.testing.assert_allclose(by_formula(sgd()), ours("sgd"), rtol=0, atol=EXACT)


@pytest.mark.parametrize("g", MATRICES, ids=lambda g: f"{g.shape}")
def test_muons_step_is_as_large_as_an_adams_and_in_optax_as_a_matrix(
    g: np.ndarray, optax: dict[str, np.ndarray]
):
    """0.2·√max(m, n) here, √max(1, outputs/inputs) there; in the first step of one direction."""
    rule = RULES["muon"](Options(momentum=BETA1))
    mean = torch.zeros(1, *g.shape, dtype=torch.float64)
    rate = torch.full((1, 1, 1), ALPHA, dtype=torch.float64)
    lost = rule.update_matrices(torch.from_numpy(g)[None], rate, [mean])[0].numpy()
    inputs, outputs = g.shape
    theirs = 0.2 * math.sqrt(max(g.shape)) / math.sqrt(max(1, outputs / inputs))
    np.testing.assert_allclose(lost, optax[f"muon {g.shape}"] * theirs, rtol=1e-6)
