"""How often the 95 % intervals hold the truth, and how often a verdict is false: simulations.

Valleys of 11 × 11 cells under independent noise of 0.27 points, what a seed changes in the
error of the task digits. The truth is the statistic of the surface without noise.
"""

import numpy as np
import pytest

from landscape_study.landscapes.statistics import coupling
from landscape_study.landscapes.statistics.separability import (
    TILTED,
    Separability,
    separability,
)
from landscape_study.study.spec.metric import SPAN
from tests.landscapes.statistics.coverage import SETTINGS, held, oblique
from tests.landscapes.statistics.coverage import simulate as simulate_setting
from tests.landscapes.surfaces import OCTAVES, frame_of, valley

SD = 0.27  # points
OFF = (0.3, -0.2)  # octaves; minima lie between the cells
REPEATS = 60

pytestmark = pytest.mark.long


def simulate(degrees: float, seeds: int) -> list[Separability]:
    rng = np.random.default_rng([int(degrees), seeds])
    runs = valley(degrees, off=OFF) + SD * rng.normal(size=(REPEATS, seeds, 11, 11))
    return [separability(frame_of(one), replicates=250) for one in runs]


def truth(degrees: float, tau: float) -> dict[str, float]:
    error = valley(degrees, off=OFF)
    axes = {"x": OCTAVES, "y": OCTAVES, "span": SPAN, "tau": tau}
    return {
        "tilt": float(coupling.tilt(error, **axes)),
        "drift": float(coupling.drift(error, **axes)),
        "interaction": float(coupling.interaction(error, span=SPAN)),
        "regret": float(coupling.regret(error)),
        "worst_regret": float(coupling.worst_regret(error)),
    }


HELD = {  # least share of intervals that hold the truth; 300 repeats gave about 0.08 more
    1: {"tilt": 0.86, "drift": 0.88, "interaction": 0.82, "regret": 0.78, "worst_regret": 0.75},
    2: {"tilt": 0.86, "drift": 0.88, "interaction": 0.86, "regret": 0.86, "worst_regret": 0.8},
    3: {"tilt": 0.86, "drift": 0.9, "interaction": 0.88, "regret": 0.88, "worst_regret": 0.88},
    5: {"tilt": 0.86, "drift": 0.88, "interaction": 0.9, "regret": 0.9, "worst_regret": 0.9},
}
NARROW = {1: 0.35, 2: 0.45, 3: 0.5, 5: 0.6}  # of interaction in the diagonal valley: few cells


@pytest.mark.parametrize("seeds", HELD)
@pytest.mark.parametrize("degrees", [0, 20, 45])
def test_intervals_hold_the_truth_and_verdicts_are_right(degrees, seeds):
    found = simulate(degrees, seeds)
    least = HELD[seeds] | ({"interaction": NARROW[seeds]} if degrees == 45 else {})
    held = dict.fromkeys(least, 0)
    for one in found:
        for name, value in truth(degrees, one.tau).items():
            estimate = getattr(one, name)
            held[name] += estimate.low - 1e-9 <= value <= estimate.high + 1e-9
    short = {name: n / REPEATS for name, n in held.items() if n / REPEATS < least[name]}
    assert not short
    verdicts = [one.verdict for one in found]
    right, wrong = ("separable", "coupled") if degrees == 0 else ("coupled", "separable")
    assert verdicts.count(wrong) == 0
    assert verdicts.count(right) >= (0.65 if seeds == 1 else 0.85) * REPEATS


@pytest.mark.parametrize("name", ["of size 0.001", "of size 1e6", "upright", "5 × 5, 5 seeds"])
def test_intervals_hold_whatever_the_metric(name):
    found = simulate_setting(SETTINGS[name], 30, replicates=200)
    shares = held(SETTINGS[name], found)  # 0.90 to 1 of 120 repeats
    assert {statistic: share for statistic, share in shares.items() if share < 0.8} == {}


@pytest.mark.parametrize(("slope", "verdict"), [(0.0, "coupled"), (-0.5, "separable")])
def test_no_verdict_is_the_opposite_of_the_truth(slope: float, verdict: str):
    assert oblique(slope, 20).verdicts[verdict] == 0


def test_coupled_is_said_from_where_tuning_one_at_a_time_costs_what_matters():
    below, beyond = oblique(-0.2, 20), oblique(-0.5, 20)
    assert below.cost < 1 < beyond.cost
    assert abs(below.tilt) < TILTED < abs(beyond.tilt)
    assert below.verdicts["coupled"] == 0
    assert beyond.verdicts["coupled"] >= 0.9
