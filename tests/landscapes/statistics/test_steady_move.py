"""Verdicts by the order of the best λ, where the basin is narrower than a step of the grid."""

import math

import numpy as np
import pytest

from landscape_study.landscapes.statistics.separability import separability
from landscape_study.landscapes.statistics.steady_move import CHANCE, steady_move
from landscape_study.landscapes.statistics.surface import Surface
from landscape_study.study.spec.metric import Metric
from tests.landscapes.surfaces import frame_of

nan, inf = math.nan, math.inf
LOSS = Metric("test_error", "loss")


def coarse(
    slope: float,
    count: int = 5,
    *,
    along: float = 3.0,
    across: float = 0.8,
    off: float = -0.2,
    seeds: int = 3,
    seed: int = 0,
    step: float = 2.0,
):
    """A frame of losses on a grid of steps of two octaves, a bowl narrower than these."""
    x = step * (np.arange(count) - (count - 1) / 2)
    depth = np.exp(
        -0.5 * (x[:, None] / along) ** 2 - 0.5 * ((x - off - slope * x[:, None]) / across) ** 2
    )
    noise = 0.025 * np.random.default_rng(seed).normal(size=(seeds, count, count))
    return frame_of(1.2 - depth + noise, x, x)


def seen(error, y=None) -> Surface:
    error = np.array(error, dtype=float)
    x, y = np.arange(float(len(error))), np.arange(float(error.shape[1])) if y is None else y
    return Surface(x, y, error, np.ones(error.shape, dtype=int), np.empty(0))


def with_best(*columns: int, count: int = 5) -> Surface:
    error = np.ones((len(columns), count))
    error[np.arange(len(columns)), columns] = 0
    return seen(error)


class TestVerdict:
    @pytest.mark.parametrize("count", [4, 5, 6])
    @pytest.mark.parametrize("seeds", [1, 3])
    @pytest.mark.parametrize(("slope", "way"), [(-1.0, "falls"), (1.0, "rises")])
    def test_of_diagonals_of_whole_steps(self, count, seeds, slope, way):
        for seed in range(5):
            found = separability(coarse(slope, count, seeds=seeds, seed=seed), LOSS, replicates=50)
            assert (found.verdict, found.reason) == (
                "coupled",
                f"as α grows, the best λ {way} and never moves back",
            )
            assert found.rule == "order"
            assert (found.slope or 0) * slope > 0

    @pytest.mark.parametrize("along", [3.0, 12.0])
    def test_upright_valleys_are_never_coupled(self, along):
        for seed in range(10):
            found = separability(coarse(0.0, along=along, seed=seed), LOSS, replicates=50)
            assert found.verdict != "coupled"

    @pytest.mark.parametrize(
        ("slope", "along", "truth"), [(0.0, 3.33, "separable"), (-0.1, 6.0, "coupled")]
    )
    def test_one_best_lambda_at_every_alpha_shows_nothing(self, slope, along, truth):
        """On wide steps the two valleys look the same."""
        valley = {"slope": slope, "along": along, "across": 0.4, "off": 0.0}
        wide = coarse(count=5, **valley)
        best = wide.groupby(["alpha", "lambda"])["test_error"].mean().unstack().idxmin(axis=1)
        assert best.nunique() == 1
        assert separability(wide, LOSS, replicates=50).verdict == "cannot tell"
        fine = coarse(count=41, step=0.25, **valley)
        assert separability(fine, LOSS, replicates=50).verdict == truth

    def test_a_lucky_cell_makes_no_diagonal(self):
        frame = coarse(0.0, seeds=1)
        frame.loc[[0, 24], "test_error"] = 0.0
        assert separability(frame, LOSS).verdict == "cannot tell"

    def test_a_slope_of_fine_steps_is_none(self):
        """A sixteenth of an octave of λ an octave of α: it moves steadily, but hardly."""
        x = np.arange(5.0)
        error = 1 - 0.5 * np.eye(5) + 0.1 * np.abs(x[:, None] - x)
        assert separability(frame_of(error, x, x / 16), LOSS).verdict == "cannot tell"
        assert separability(frame_of(error, x, x), LOSS).verdict == "coupled"


class TestSteadyMove:
    @pytest.mark.parametrize(
        ("columns", "slope"),
        [
            ((4, 3, 2, 1, 0), -1.0),
            ((0, 1, 2, 3), 1.0),
            ((4, 4, 4, 3, 2, 1, 0, 0), -1.0),  # it leaves the grid on both sides
            ((0, 1, 1, 2, 3, 3), 0.63),
            ((4, 3, 2, 3, 0), nan),
            ((4, 3, 3, 2), nan),  # so many orders are chance
            ((2, 2, 2, 2, 2, 2), nan),
            ((1, 2, 3), nan),
            ((1, 1, 1, 1, 2, 2, 2, 2), nan),  # two λ only
            ((0, 0, 0, 4, 4, 4), nan),
        ],
    )
    def test_of_best_columns(self, columns, slope):
        assert steady_move(with_best(*columns)) == pytest.approx(slope, nan_ok=True, abs=0.005)

    def test_rows_that_say_nothing_are_left_out(self):
        plain = with_best(4, 3, 2, 1, 0).error
        error = np.insert(plain, 2, [[nan, 0, 1, 1, 1], [inf] * 5], axis=0)
        assert steady_move(seen(error)) == pytest.approx(-16 / 26.8)  # rows 0, 1, 4, 5, 6
        assert math.isnan(steady_move(seen(np.full((5, 5), nan))))

    @pytest.mark.parametrize(("rows", "columns"), [(4, 4), (4, 5), (5, 5), (6, 12), (8, 3)])
    def test_noise_gives_it_by_chance_at_most(self, rows, columns):
        rng = np.random.default_rng(0)
        surfaces = [seen(rng.normal(size=(rows, columns))) for _ in range(1000)]
        share = np.mean([not math.isnan(steady_move(one)) for one in surfaces])
        assert share <= CHANCE + 3 * math.sqrt(CHANCE / 1000)
