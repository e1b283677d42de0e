import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape_study.landscapes.statistics.surface import Surface, row_costs, surface
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import TEST_ERROR
from tests.landscapes.surfaces import OCTAVES, frame_of, inf, nan, quadratic, valley

THREE = np.arange(3.0)
BOWL = quadratic(0.3, 0, 0.3, THREE, THREE, off=(1, 1))


def read(runs, x=OCTAVES, y=OCTAVES, span=3.0, **columns) -> Surface:
    return surface(frame_of(runs, x, y, **columns), span=span)


class TestReading:
    def test_means_over_seeds_on_the_log2_grid(self):
        runs = np.array([BOWL, BOWL + 1, BOWL + 5])
        runs[2, 0] = nan
        found = read(runs, THREE - 4, THREE)
        np.testing.assert_array_equal(found.rows, [-4, -3, -2])
        np.testing.assert_array_equal(found.columns, [0, 1, 2])
        np.testing.assert_array_equal(found.n, [[2, 2, 2], [3, 3, 3], [3, 3, 3]])
        np.testing.assert_allclose(found.error - BOWL, [[0.5] * 3, [2] * 3, [2] * 3])
        assert found.best == pytest.approx(BOWL[0, 1] + 0.5)

    @given(st.randoms(use_true_random=False))
    def test_order_of_rows_and_index_do_not_matter(self, random):
        frame = frame_of(np.array([BOWL, BOWL + 1]), THREE, THREE)
        order = random.sample(range(len(frame)), len(frame))
        shuffled = frame.iloc[order].set_axis([0] * len(frame))
        np.testing.assert_array_equal(
            surface(shuffled, span=3).error, surface(frame, span=3).error
        )

    def test_missing_diverged_clipped_masked_unfinished(self):
        frame = frame_of(BOWL, THREE, THREE, diverged=False, clipped=False, state="finished")
        frame.loc[0, "diverged"] = True
        frame.loc[1, "clipped"] = True
        frame.loc[2, "test_error"] = nan
        frame.loc[3, "state"] = "running"
        frame.loc[4, ["diverged", "test_error"]] = True, nan  # its error was never measured
        frame.loc[5, ["diverged", "state"]] = True, "failed"
        frame.loc[6, "test_error"] = -inf
        found = surface(frame.drop(index=7), span=3)
        expected = [[inf, inf, nan], [nan, inf, nan], [inf, nan, BOWL[2, 2]]]
        np.testing.assert_array_equal(found.error, expected)
        np.testing.assert_array_equal(found.n, [[1, 1, 0], [0, 1, 0], [1, 0, 1]])

    def test_a_cell_of_which_one_seed_diverged_has_diverged(self):
        runs = np.array([BOWL, BOWL])
        runs[1, 0, 0] = inf
        assert read(runs, THREE, THREE).error[0, 0] == inf

    def test_what_log2_has_no_place_for_is_left_out(self):
        frame = frame_of(BOWL, THREE, THREE)
        extra = pd.DataFrame(
            {
                "alpha": [1.0, 0.0, nan, inf, 1.0, -1.0],
                "lambda": [0.0, 1.0, 1.0, 1.0, nan, 1.0],
                "seed": 0,
                "test_error": 1.0,
            }
        )
        found = surface(pd.concat([frame, extra]), span=3)
        np.testing.assert_array_equal(found.error, BOWL)

    @pytest.mark.parametrize("value", [0.1, 2.0**-15, 0.1 * 2.0**-15, 1e-300, 3.0])
    def test_last_digits_of_a_float_make_no_new_value(self, value):
        frame = frame_of([[1.0, 2.0]] * 2, [0, 1], [0, 1])
        frame["alpha"] = [value, math.nextafter(value, 9), 2 * value, 2 * math.nextafter(value, 0)]
        found = surface(frame, span=3)
        np.testing.assert_array_equal(found.error, [[1, 2], [1, 2]])
        np.testing.assert_allclose(found.rows, [math.log2(value), math.log2(value) + 1])

    @pytest.mark.parametrize(
        ("column", "values"),
        [
            ("diverged", pd.Series([True, None, False, pd.NA] + [nan] * 5, dtype=object)),
            ("diverged", pd.Series([True] + [None] * 8, dtype="boolean")),
            ("diverged", pd.Series([1] + [0] * 8)),
            ("clipped", pd.Series([1.0] + [nan] * 8)),
            ("test_error", pd.Series([inf, *BOWL.flat[1:]], dtype="Float64")),
            ("test_error", pd.Series([inf, *BOWL.flat[1:]], dtype=object)),
            ("alpha", frame_of(BOWL, THREE, THREE)["alpha"].astype(object)),
        ],
    )
    def test_columns_of_any_dtype(self, column, values):
        frame = frame_of(BOWL, THREE, THREE).assign(**{column: values})
        corner = BOWL[0, 0] if column == "alpha" else inf
        expected = [corner, *BOWL.flat[1:]]
        np.testing.assert_array_equal(surface(frame, span=3).error.ravel(), expected)

    @pytest.mark.parametrize("state", ["object", "string", "category"])
    def test_states_that_are_missing_are_not_finished(self, state):
        states = pd.Series(["finished"] * 4 + ["open"] * 4 + [None], dtype=state)
        frame = frame_of(BOWL, THREE, THREE).assign(state=states)
        assert surface(frame, span=3).n.ravel().tolist() == [1] * 4 + [0] * 5

    @pytest.mark.parametrize("seeds", [["a", "b"], [7, None], [0.5, 3]])
    def test_any_seeds(self, seeds):
        frame = frame_of(np.array([BOWL, BOWL]), THREE, THREE)
        frame["seed"] = pd.Series(seeds, dtype=object).loc[frame["seed"]].to_numpy()
        assert (surface(frame, span=3).n == 2).all()

    def test_without_seeds_every_row_is_a_cell(self):
        frame = frame_of(BOWL, THREE, THREE).drop(columns="seed")
        assert (surface(frame, span=3).n == 1).all()

    def test_arrays_cannot_be_changed(self):
        with pytest.raises(ValueError, match="read-only"):
            read(BOWL, THREE, THREE).error[0, 0] = 1

    @pytest.mark.parametrize("drop", [slice(None), slice(1, None)])
    def test_empty_frames(self, drop):
        frame = frame_of([[1.0]], [0], [0])
        frame["lambda"] = 0.0
        found = surface(frame.drop(index=frame.index[drop]), span=3)
        assert found.error.shape == (0, 0)
        assert math.isnan(found.best)
        assert math.isnan(found.noise)


class TestErrors:
    def test_lacking_columns(self):
        with pytest.raises(UsageError, match="no column lambda, test_error: give the cells of"):
            surface(pd.DataFrame({"alpha": [1.0]}), span=3)

    @pytest.mark.parametrize("column", ["panel", "study"])
    def test_several_panels_or_studies(self, column):
        frame = frame_of(BOWL, THREE, THREE)
        frame[column] = ["one"] * 4 + ["other"] * 5
        with pytest.raises(UsageError, match="one, other, expected one: select its rows first"):
            surface(frame, span=3)

    def test_text(self):
        frame = frame_of(BOWL, THREE, THREE).assign(alpha="large")
        with pytest.raises(UsageError, match="column alpha of the frame: expected numbers"):
            surface(frame, span=3)

    @pytest.mark.parametrize("factor", [1, 1 + 1e-12])
    def test_a_cell_twice(self, factor):
        frame = frame_of(BOWL, THREE, THREE)
        again = frame.head(1).assign(alpha=frame["alpha"][0] * factor)
        with pytest.raises(UsageError, match="alpha = 1, lambda = 1 twice with one seed: select"):
            surface(pd.concat([frame, again]), span=3)


def noisy(error, seeds: int, sd: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return error + sd * rng.normal(size=(seeds, *error.shape))


class TestNoise:
    @pytest.mark.parametrize("seeds", [2, 3, 5])
    def test_between_seeds_is_unbiased(self, seeds):
        found = [read(noisy(valley(0), seeds, 0.3, s)) for s in range(40)]
        variance = np.mean([np.mean(one.residuals**2) for one in found])
        assert variance == pytest.approx(0.09, rel=0.06)
        noise = np.mean([one.noise for one in found])
        assert noise == pytest.approx(0.3 / math.sqrt(seeds), rel=0.06)

    @pytest.mark.parametrize("degrees", [0, 20, 45])
    def test_one_seed_off_the_roughness(self, degrees):
        gentle = valley(degrees, long=0.01, steep=0.05)
        found = [read(noisy(gentle, 1, 0.3, s)).noise for s in range(40)]
        assert np.mean(np.square(found)) == pytest.approx(0.09, rel=0.15)

    @given(st.integers(0, 9))
    def test_roughness_of_a_quadratic_surface_is_none(self, seed):
        """On steps of any width."""
        rng = np.random.default_rng(seed)
        x, y = np.cumsum(rng.uniform(0.3, 2, (2, 6)), axis=1)
        found = read(quadratic(0.01, 0.02, 0.05, x, y), x, y, span=50)
        assert found.residuals.size == 32
        assert np.abs(found.residuals).max() == pytest.approx(0, abs=1e-9)

    def test_roughness_keeps_the_variance_on_uneven_steps(self):
        x = np.array([0, 1, 1.5, 3, 3.25, 5])
        found = [read(noisy(np.ones((6, 6)), 1, 0.3, s), x, x).noise for s in range(200)]
        assert np.mean(np.square(found)) == pytest.approx(0.09, rel=0.1)

    @pytest.mark.parametrize("bad", [6.5, 60.0])
    def test_only_good_cells_tell(self, bad):
        """What is worse is noisier."""
        good = valley(0) < 5.5
        apart = np.where(good, 0.1, 0.4)
        error = np.where(good, valley(0), bad)
        found = read(np.stack([error - apart, error + apart]))
        assert found.residuals.size == 2 * good.sum()
        assert found.noise == pytest.approx(0.1)

    def test_good_cells_first_then_those_within_the_span(self):
        error = np.full((4, 4), 7.0)
        error[0, 0] = 5
        runs = np.stack([error, error])
        runs[:, 0, 0] = 4.9, 5.1
        assert read(runs, np.arange(4.0), np.arange(4.0)).residuals.size == 32
        assert read(runs, np.arange(4.0), np.arange(4.0), span=1.5).residuals.size == 0

    @pytest.mark.parametrize(("cells", "known"), [(1, False), (2, True)])
    def test_four_residuals_make_a_noise(self, cells, known):
        error = np.full((3, 3), 20.0)
        error[0, :cells] = 5
        runs = np.stack([error, error + 0.1])
        assert (read(runs, THREE, THREE).residuals.size == 4) is known

    @pytest.mark.parametrize("holes", [nan, inf])
    def test_blocks_with_holes_are_left_out(self, holes):
        """Of the four blocks of a 4 × 4 grid, the one without the corner cells."""
        error = np.ones((4, 5))
        error[3, 0] = holes
        found = read(error, np.arange(4.0), np.arange(5.0)).residuals
        assert found.tolist() == pytest.approx([0] * 10)

    @pytest.mark.parametrize("shape", [(1, 9), (2, 9), (9, 2), (3, 3)])
    def test_too_few_cells_for_the_roughness(self, shape):
        found = read(np.ones(shape), np.arange(shape[0]), np.arange(shape[1]))
        assert math.isnan(found.noise)

    def test_roughness_where_few_cells_have_two_seeds(self):
        """Residuals are of single runs, so that the noise of a mean is that of the means."""
        runs = noisy(np.full((11, 11), 5.0), 2, 0.3)
        single = read(runs.mean(axis=0))
        one = runs.copy()
        one[1] = nan
        one[1, 0, 0] = one[0, 0, 0] = runs[:, 0, 0].mean()
        found = read(one)
        assert found.n.max() == 2
        assert found.residuals.std() == pytest.approx(math.sqrt(2) * read(one[0]).residuals.std())
        assert single.noise == pytest.approx(0.3 / math.sqrt(2), rel=0.2)

    def test_noise_of_unequal_seeds_is_the_root_mean_square(self):
        runs = noisy(np.full((6, 6), 5.0), 4, 0.3)
        runs[1:, :3] = nan
        found = read(runs, np.arange(6.0), np.arange(6.0))
        assert found.noise == pytest.approx(found.residuals.std() * math.sqrt((1 + 1 / 4) / 2))


class TestReplicates:
    def test_holes_stay_and_variance_is_that_of_the_mean(self):
        runs = noisy(np.full((4, 4), 5.0), 4, 0.3)
        runs[1:, 0] = runs[2:, 1] = nan  # 1, 2, 4 and 4 seeds
        runs[:, 3, 0], runs[:, 3, 1] = nan, inf
        found = read(runs, np.arange(4.0), np.arange(4.0))
        drawn = found.replicates(4000, np.random.default_rng(0))
        assert drawn.shape == (4000, 4, 4)
        assert np.isnan(drawn[:, 3, 0]).all()
        assert (drawn[:, 3, 1] == inf).all()
        rest = np.ones((4, 4), dtype=bool)
        rest[3, :2] = False
        expected = np.mean(found.residuals**2) / np.array([1, 2, 4, 4])[:, None]
        variance = drawn[:, rest].var(axis=0)
        np.testing.assert_allclose(variance, np.broadcast_to(expected, (4, 4))[rest], rtol=0.12)
        np.testing.assert_allclose(drawn[:, rest].mean(axis=0), found.error[rest], atol=0.03)

    def test_cells_share_no_noise(self):
        drawn = read(noisy(valley(0), 3, 0.3)).replicates(2000, np.random.default_rng(1))
        noise = (drawn - drawn.mean(axis=0)).reshape(2000, -1)[:, :30]
        shared = np.corrcoef(noise.T) - np.eye(30)
        assert np.abs(shared).max() < 0.12


def test_what_was_pruned_before_anything_was_measured_is_as_bad_as_can_be():
    frame = pd.DataFrame(
        {"alpha": [0.1, 0.2], "lambda": 0.1, "test_error": [np.nan, 5.0], "clipped": [True, False]}
    )
    np.testing.assert_array_equal(row_costs(frame, TEST_ERROR), [np.inf, 5.0])
    np.testing.assert_array_equal(row_costs(frame, TEST_ERROR, bounds=True), [np.nan, 5.0])
