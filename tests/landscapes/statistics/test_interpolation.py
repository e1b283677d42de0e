import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import RegularGridInterpolator

from landscape_study.landscapes.reading.landscape import are_scattered
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.comparison import compare
from landscape_study.landscapes.statistics.defaults import Default, default_cost
from landscape_study.landscapes.statistics.edges import edges
from landscape_study.landscapes.statistics.interpolation import (
    MOST_TRIALS,
    Interpolation,
    interpolated,
    panel_surface,
)
from landscape_study.landscapes.statistics.recommendation import recommend, tuning_paths
from landscape_study.landscapes.statistics.separability import (
    panel_separability,
    separability,
)
from landscape_study.landscapes.statistics.surface import surface
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import SPAN, Metric
from tests.landscapes.scattered import scattered_landscape
from tests.landscapes.statistics.scattered_coverage import (
    LOSS,
    Design,
    bowl,
    frame_of_design,
    true_values,
)
from tests.landscapes.surfaces import frame_of, valley

pytestmark = pytest.mark.slow

DIAGONAL, UPRIGHT = Design(60, slope=-1.0), Design(80, slope=0.0)


def seen(frame: pd.DataFrame, metric: Metric = LOSS) -> Interpolation:
    found = panel_surface(frame, span=SPAN, metric=metric)
    assert isinstance(found, Interpolation)
    return found


def place_of(found: Interpolation, trial: pd.Series) -> tuple[int, int]:
    """Where on the grid a trial lies nearest."""
    row = np.abs(found.rows - np.log2(trial["alpha"])).argmin()
    return int(row), int(np.abs(found.columns - np.log2(trial["lambda"])).argmin())


class TestMatters:
    @pytest.mark.parametrize("slope", [0.0, -0.35])
    def test_what_the_user_says_counts_as_the_verdict_said_it_would(self, slope):
        """Fitted within a narrow span only, an upright valley was called coupled."""
        frame = frame_of_design(Design(60, slope=slope))
        found = separability(frame, LOSS, replicates=400)
        said = {
            factor: separability(
                frame, replace(LOSS, matters=factor * found.units.matters), replicates=400
            ).verdict
            for factor in (0.5, 2.0)
        }
        told = {matters / found.units.matters: verdict for matters, verdict in found.otherwise}
        assert said == {factor: told.get(factor, found.verdict) for factor in said}
        assert slope or "coupled" not in said.values()


class TestAt:
    def test_is_bilinear_between_the_places_of_the_grid(self):
        found = seen(frame_of_design(DIAGONAL))
        error = np.where(np.isfinite(found.error), found.error, np.nan)
        worst = np.nanmax(error)
        plain = RegularGridInterpolator(
            (found.rows, found.columns), np.where(np.isnan(error), worst, error)
        )
        rng = np.random.default_rng(0)
        ends = np.array([found.rows[[0, -1]], found.columns[[0, -1]]])
        places = np.vstack([rng.uniform(ends[:, 0], ends[:, 1], (50, 2)), ends.T])
        np.testing.assert_allclose(found.at(places), plain(places))
        beyond = ends[:, 1] + 1e-7  # by rounding
        assert found.at(beyond[None]) == pytest.approx(plain(ends[:, 1]))


class TestAreScattered:
    def test_random_trials(self):
        frame = frame_of_design(DIAGONAL)
        assert are_scattered(frame["alpha"], frame["lambda"])

    def test_a_grid_is_not_whatever_came_of_its_cells(self):
        frame = frame_of(valley(0))
        assert not are_scattered(frame["alpha"], frame["lambda"])
        few = frame.assign(state=["finished"] * 15 + ["open"] * (len(frame) - 15))
        assert type(panel_surface(few, span=SPAN)) is type(surface(few, span=SPAN))

    def test_half_of_a_grid_is_one(self):
        cells = [(a, b) for a in (1, 2, 4, 8) for b in (1, 2, 4, 8)]
        assert not are_scattered(*zip(*cells[::2], strict=True))
        assert are_scattered(*zip(*[cells[i] for i in (0, 5, 10, 15, 1, 6, 11)], strict=True))

    def test_without_regularization_does_not_count(self):
        assert not are_scattered([1, 2, 3, 4], [0, 0, 0, 1])
        assert not are_scattered([], [])


class TestSurface:
    def test_is_the_bowl_where_trials_are(self):
        found = seen(frame_of_design(UPRIGHT))
        places = np.stack(np.meshgrid(found.rows, found.columns, indexing="ij"), axis=-1)
        true = found.units.points(bowl(places, 0.0))
        good = true < true.min() + 1
        assert good.sum() > 10
        assert np.abs(found.error - true)[good].mean() < 0.3
        low, high = np.quantile(found.draws[:, good], [0.025, 0.975], axis=0)
        assert np.mean((low <= true[good]) & (true[good] <= high)) > 0.6  # they err together

    def test_draws_are_as_many_as_wanted(self):
        found = seen(frame_of_design(DIAGONAL))
        rng = np.random.default_rng(0)
        for count in (10, 5000):
            assert found.replicates(count, rng).shape == (count, *found.error.shape)

    def test_noise_and_trials_are_told(self):
        found = seen(frame_of_design(UPRIGHT))
        assert found.noise * found.units.size == pytest.approx(UPRIGHT.noise, rel=0.6)
        frame = frame_of_design(UPRIGHT)
        assert found.observed[:2] == (80, 1)
        assert found.units.value(found.lowest) == pytest.approx(frame["loss"].min())

    def test_many_trials_are_bounded(self):
        frame = frame_of_design(Design(3 * MOST_TRIALS))
        assert seen(frame).observed[0] == 3 * MOST_TRIALS
        found = separability(frame, LOSS)
        true = true_values(Design(3 * MOST_TRIALS), frame, found)
        assert found.verdict == "coupled"
        assert found.tilt.low <= true["tilt"] <= found.tilt.high

    def test_what_diverged_is_bad(self):
        frame = frame_of_design(UPRIGHT)
        worst = frame["loss"] > frame["loss"].quantile(0.8)
        found = seen(frame.assign(diverged=worst, loss=frame["loss"].mask(worst, 0.1)))
        assert found.observed[0] == (~worst).sum()
        assert found.units.value(found.lowest) == pytest.approx(frame["loss"].min())
        assert found.error[place_of(found, frame.loc[frame["loss"].idxmax()])] > found.lowest + 1

    @pytest.mark.long
    def test_what_was_pruned_is_no_better_than_its_value(self):
        frame = frame_of_design(UPRIGHT)
        # Pruned at a value that is no news; and one that was bad where the bowl is best.
        news = frame["loss"].idxmin()
        pruned = (frame.index % 3 == 0) & (frame.index != news)
        some = frame.assign(clipped=pruned, loss=frame["loss"].mask(pruned, 0.05))
        plain, found = separability(frame[~pruned], LOSS), separability(some, LOSS)
        assert found.best == plain.best == frame.loc[news, "loss"]
        assert found.cells == plain.cells == (~pruned).sum()
        assert found.tilt.value == pytest.approx(plain.tilt.value, abs=0.05)
        assert found.verdict == plain.verdict
        bad = frame.assign(clipped=frame.index == news)
        bad.loc[news, "loss"] = 1.1
        place = place_of(seen(frame), frame.loc[news])
        assert seen(bad).error[place] > seen(frame).error[place] + 0.1

    def test_what_was_pruned_tells_nothing_where_another_seed_finished(self):
        frame = frame_of_design(UPRIGHT).assign(seed=0, clipped=False)
        early = frame.head(20).assign(seed=1, clipped=True, loss=1.1)
        both = seen(pd.concat([frame, early], ignore_index=True))
        np.testing.assert_array_equal(both.error, seen(frame).error)
        assert both.observed == seen(frame).observed

    def test_seeds_are_runs_of_one_trial(self):
        frame = frame_of_design(UPRIGHT)
        again = pd.concat([frame.assign(seed=seed) for seed in range(3)])
        assert seen(again).observed[:2] == (80, 3)

    def test_a_trial_twice_with_one_seed_is_refused(self):
        frame = frame_of_design(UPRIGHT)
        twice = pd.concat([frame, frame.head(1)])
        with pytest.raises(UsageError, match=r"twice with one seed: select the rows of one study"):
            panel_surface(twice, span=SPAN, metric=LOSS)


class TestVerdict:
    def test_is_that_of_the_bowl(self):
        for design, verdict in ((DIAGONAL, "coupled"), (UPRIGHT, "separable")):
            frame = frame_of_design(design)
            found = separability(frame, LOSS)
            assert found.verdict == verdict
            for name, true in true_values(design, frame, found).items():
                estimate = getattr(found, name)
                assert estimate.low <= true <= estimate.high

    @pytest.mark.parametrize(("factor", "shift"), [(1e-3, 0), (1e6, 0), (1, 50)])
    def test_in_another_unit_is_the_same(self, factor, shift):
        frame = frame_of_design(UPRIGHT)
        one = separability(frame, LOSS)
        other = separability(frame.assign(loss=factor * frame["loss"] + shift), LOSS)
        assert other.verdict == one.verdict
        for name in ("tilt", "drift", "interaction"):
            assert getattr(other, name).value == pytest.approx(getattr(one, name).value, abs=1e-6)
            assert getattr(other, name).high == pytest.approx(getattr(one, name).high, abs=1e-6)
        assert other.regret.value == pytest.approx(factor * one.regret.value, rel=1e-4)

    def test_turned_around_is_the_same(self):
        frame = frame_of_design(DIAGONAL)
        score = Metric("score", "score", goal="maximize")
        turned = separability(frame.assign(score=1 - frame["loss"]), score)
        one = separability(frame, LOSS)
        assert turned.verdict == one.verdict
        assert turned.tilt.value == pytest.approx(one.tilt.value, abs=1e-6)
        assert turned.best == pytest.approx(1 - one.best)

    def test_cross_cannot_tell(self):
        octaves = np.arange(-6.0, 7.0)
        places = np.concatenate(
            [np.stack([octaves, 0 * octaves], 1), np.stack([0 * octaves, octaves + 0.5], 1)]
        )
        frame = pd.DataFrame(2.0**places, columns=["alpha", "lambda"])
        found = separability(frame.assign(loss=bowl(places, -1.0)), LOSS)
        assert found.verdict == "cannot tell"
        assert "one at a time" in found.reason
        assert math.isnan(found.tilt.value)

    def test_best_trials_on_the_border_cannot_tell(self):
        frame = frame_of_design(Design(80, slope=0.0))
        found = separability(frame[frame["alpha"] < 0.1], LOSS)
        assert found.verdict == "cannot tell"

    def test_noise_alone_cannot_tell(self):
        frame = frame_of_design(Design(40))
        noise = 1 + 0.1 * np.random.default_rng(0).normal(size=len(frame))
        found = separability(frame.assign(loss=noise), LOSS)
        assert found.verdict == "cannot tell"

    def test_few_trials_allow_both(self):
        found = separability(frame_of_design(Design(14, slope=0.0)), LOSS)
        assert found.verdict == "cannot tell"
        assert found.tilt.high - found.tilt.low > 0.5


class TestOtherNumbers:
    def test_default_costs_what_the_surface_says(self):
        frame = frame_of_design(UPRIGHT)
        best, bad = (default_cost(frame, Default("", value), LOSS) for value in (1.0, 2.0**5))
        assert best.value < 0.1 < 0.6 < bad.value < 1.1  # the bowl ends at 1
        assert bad.low > 0.3
        assert math.isnan(default_cost(frame, Default("λ = 0", 0.0), LOSS).value)

    def test_compared_with_a_grid(self):
        grid = frame_of(0.3 * valley(45), np.arange(-5.0, 6.0), np.arange(-5.0, 6.0))
        grid = grid.rename(columns={"test_error": "loss"})
        found = compare(frame_of_design(UPRIGHT), grid, LOSS)
        assert found.common == 0
        assert found.tilt.high < 0  # the grid's is a diagonal
        assert math.isnan(found.rank.value)

    def test_recommended_is_a_trial(self):
        drawn, frame = scattered_landscape(UPRIGHT)
        found = separability(frame, LOSS)
        one = recommend(drawn, found.noise, found.units)
        assert drawn.n[one.cell] == 1
        assert one.neighbours == 0
        assert one.above <= found.noise
        places = np.log2([drawn.alpha.values[one.cell[0]], drawn.lambda_.values[one.cell[1]]])
        assert bowl(places, 0.0) < 0.2 + 0.1

    def test_no_paths_and_no_edges(self):
        drawn, _ = scattered_landscape(UPRIGHT)
        assert tuning_paths(drawn) == ()
        assert edges(drawn) == ()

    def test_landscape_and_frame_have_one_surface(self):
        drawn, frame = scattered_landscape(UPRIGHT)
        assert interpolated(drawn) is seen(frame)
        panel = PanelData("x", drawn, frame)
        assert panel_separability(panel).verdict == "separable"
