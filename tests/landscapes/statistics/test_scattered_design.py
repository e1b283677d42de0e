import numpy as np
import pytest

from landscape_study.landscapes.statistics.scattered_design import FEWEST_TRIALS, design_obstacle

ARM = np.arange(-4.0, 5.0)


def random(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.random.default_rng(seed).uniform(-5, 5, (2, count)))


def cross(off: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Nine trials along each axis, and some off both."""
    x, y = np.append(ARM, 0 * ARM), np.append(0 * ARM, ARM)
    more = np.linspace(1, 3, off)
    return np.append(x, more), np.append(y, 4 - more)


class TestObstacle:
    def test_random_trials_have_none(self):
        for seed in range(20):
            assert design_obstacle(*random(FEWEST_TRIALS, seed)) is None

    def test_too_few(self):
        told = design_obstacle(*random(FEWEST_TRIALS - 1))
        assert (
            told
            == f"{FEWEST_TRIALS - 1} cells of positive λ with a result, at least 12 are needed"
        )

    def test_none_at_all(self):
        assert design_obstacle(np.empty(0), np.empty(0)).startswith("0 values of α")

    def test_one_value(self):
        x, y = random(20)
        assert design_obstacle(0 * x, y).startswith("1 value of α with a result")
        assert design_obstacle(x, 1e-9 * y).startswith("1 value of positive λ")
        assert design_obstacle(x, np.sign(y)).startswith("2 values of positive λ")

    @pytest.mark.parametrize(("slope", "kept"), [(-1, "α·λ"), (1, "λ/α")])
    def test_a_diagonal(self, slope, kept):
        x, noise = random(20)
        told = design_obstacle(x, slope * x + 0.05 * noise)
        assert told == f"the trials lie on a diagonal ({kept} hardly changes): try others off it"
        assert design_obstacle(x, slope * x + 0.5 * noise) is None

    @pytest.mark.parametrize("off", [0, 3])
    def test_a_cross(self, off):
        assert "one at a time" in design_obstacle(*cross(off))

    def test_more_than_a_cross(self):
        assert design_obstacle(*cross(off=4)) is None

    def test_a_small_cross_is_one_before_it_is_too_few(self):
        x, y = np.append(ARM[2:7], 0 * ARM[2:7]), np.append(0 * ARM[2:7], ARM[2:7])
        assert "one at a time" in design_obstacle(x, y)
