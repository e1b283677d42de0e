import math
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from landscape_study.landscapes.statistics import separability as module
from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.separability import (
    STATISTICS,
    Separability,
    samples,
    separability,
)
from landscape_study.landscapes.statistics.surface import surface
from landscape_study.study.errors import UsageError
from tests.landscapes.surfaces import (
    OCTAVES,
    frame_of,
    inf,
    nan,
    plain_drift,
    plain_interaction,
    plain_regrets,
    plain_tilt,
    valley,
)

SMALL = np.arange(4.0)


def noisy(error, seeds: int = 3, sd: float = 0.1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(error) + sd * rng.normal(size=(seeds, *np.shape(error)))


def bowl(x=OCTAVES, y=OCTAVES, off=(0.0, 0.0)) -> np.ndarray:
    return valley(0, long=0.3, steep=0.3, x=x, y=y, off=off)


def spike(cells: int = 1) -> np.ndarray:
    """Good cells side by side in one row, all others bad."""
    error = np.full((11, 11), 30.0)
    error[5, 5 : 5 + cells] = 5
    return error


class TestNumbers:
    @pytest.mark.parametrize("degrees", [0, 20, 45, 80])
    def test_are_those_of_the_mean_over_seeds(self, degrees):
        runs = noisy(valley(degrees), 3, 0.2)
        found, error = separability(frame_of(runs)), runs.mean(axis=0).tolist()
        axes = OCTAVES.tolist(), OCTAVES.tolist()
        assert found.tau == 0.25
        assert found.tilt.value == pytest.approx(plain_tilt(error, *axes, 3, 0.25))
        assert found.drift.value == pytest.approx(plain_drift(error, *axes, 3, 0.25), nan_ok=True)
        assert found.interaction.value == pytest.approx(plain_interaction(error, 3), abs=1e-6)
        assert found.regret.value == pytest.approx(np.mean(plain_regrets(error)))
        assert found.worst_regret.value == pytest.approx(max(plain_regrets(error)))
        assert found.best == pytest.approx(np.min(error))
        assert (found.cells, found.seeds) == (121, 3)
        assert found.noise == pytest.approx(0.2 / math.sqrt(3), rel=0.3)

    def test_span_and_tau_are_those_asked_for(self):
        error = noisy(valley(20), 3, 0.01)
        found = separability(frame_of(error), span=1.0, tau=0.5)
        axes = OCTAVES.tolist(), OCTAVES.tolist()
        mean = error.mean(axis=0).tolist()
        assert found.tilt.value == pytest.approx(plain_tilt(mean, *axes, 1.0, 0.5))
        assert found.drift.value == pytest.approx(plain_drift(mean, *axes, 1.0, 0.5))
        assert found.interaction.value == pytest.approx(plain_interaction(mean, 1.0), abs=1e-6)

    def test_cells_beyond_the_span_tell_nothing_about_the_noise(self):
        frame = frame_of(noisy(valley(45, steep=0.2), 1))
        assert separability(frame, span=3.0).noise > 0
        assert math.isnan(separability(frame, span=0.3).noise)

    def test_tau_is_at_least_the_noise_and_the_span_grows_with_it(self):
        runs = noisy(valley(45), 2, 0.6)
        found = separability(frame_of(runs))
        assert found.tau == found.noise > 0.28
        span = 3 * found.noise / 0.25
        expected = plain_tilt(runs.mean(axis=0), OCTAVES, OCTAVES, span, found.noise)
        assert found.tilt.value == pytest.approx(expected)

    def test_lambda_zero_and_unfinished_rows_are_left_out(self):
        frame = frame_of(noisy(valley(45)), state="finished", diverged=False)
        more = frame.head(3).assign(**{"lambda": 0.0}, test_error=0.1)
        running = frame.head(1).assign(seed=9, state="running", test_error=0.2)
        found = separability(pd.concat([frame, more, running]), replicates=9)
        assert found == separability(frame, replicates=9)

    @pytest.mark.parametrize("seeds", [1, 2, 5])
    def test_the_same_seed_gives_the_same_intervals(self, seeds):
        frame = frame_of(noisy(valley(20), seeds))
        once, twice = (separability(frame, replicates=50, seed=3) for _ in range(2))
        assert once == twice
        assert once.tilt != separability(frame, replicates=50, seed=4).tilt

    def test_more_seeds_narrow_the_intervals(self):
        wide, narrow = (
            separability(frame_of(noisy(valley(20), n, 0.3)), replicates=300).tilt for n in (2, 18)
        )
        assert narrow.high - narrow.low == pytest.approx((wide.high - wide.low) / 3, rel=0.5)

    def test_swapping_the_axes(self):
        runs = noisy(valley(20))
        here, there = (
            separability(frame_of(one), replicates=200) for one in (runs, runs.swapaxes(1, 2))
        )
        assert here.tilt.value == pytest.approx(there.tilt.value)
        assert here.interaction.value == pytest.approx(there.interaction.value, abs=1e-6)
        assert here.verdict == there.verdict == "coupled"

    @given(st.integers(-64, 1000))
    @settings(max_examples=10)
    def test_shifting_the_error_shifts_the_best_alone(self, sixteenths):
        runs = np.round(noisy(valley(20), 2) * 64) / 64
        here = separability(frame_of(runs), replicates=20)
        there = separability(frame_of(runs + sixteenths / 16), replicates=20)
        for field in fields(Separability):
            one, other = getattr(here, field.name), getattr(there, field.name)
            if field.name == "best":
                assert other == one + sixteenths / 16
            elif isinstance(one, Estimate):
                assert other.value == pytest.approx(one.value, abs=1e-6, nan_ok=True)
                # Replicates have ties, which the last digits of a float decide.
                assert vars(other) == pytest.approx(vars(one), abs=0.05, nan_ok=True)
            else:
                assert other == pytest.approx(one)

    def test_samples_hold_all_replicates(self):
        seen = surface(frame_of(noisy(valley(20))), span=3.0)
        drawn = samples(seen, 3.0, 0.25, 30, 0)
        assert list(drawn) == list(STATISTICS)
        assert all(one.draws.shape == (30,) for one in drawn.values())
        assert {name: one.bounds for name, one in drawn.items()} == STATISTICS
        assert (
            drawn["tilt"].estimate()
            == separability(frame_of(noisy(valley(20))), replicates=30).tilt
        )


class TestVerdict:
    @pytest.mark.parametrize(
        ("degrees", "verdict", "reason"),
        [
            (-45, "coupled", "the good cells lie on a rising diagonal"),
            (0, "separable", "in the basin the best λ hardly depends on α"),
            (3, "separable", "in the basin the best λ hardly depends on α"),
            (20, "coupled", "the good cells lie on a falling diagonal"),
            (45, "coupled", "the good cells lie on a falling diagonal"),
            (90, "separable", "in the basin the best λ hardly depends on α"),
        ],
    )
    @pytest.mark.parametrize("seeds", [1, 3])
    def test_of_valleys(self, degrees, verdict, reason, seeds):
        found = separability(frame_of(noisy(valley(degrees), seeds)))
        assert (found.verdict, found.reason) == (verdict, reason)
        assert str(found) == f"{verdict}: {reason}"

    def test_of_a_bowl_with_plateaus_and_diverged_cells(self):
        error = np.where(OCTAVES > 3, inf, np.minimum(bowl(), 90))
        assert separability(frame_of(noisy(error))).verdict == "separable"

    def test_of_a_basin_that_bends(self):
        """No diagonal on the whole, but the λ that suits one α is dear at another."""
        x, y = OCTAVES[:, None], OCTAVES[None, :]
        bent = 5 + 0.6 * (y + 2 - 0.2 * x**2) ** 2 + 0.06 * x**2
        found = separability(frame_of(noisy(bent)))
        assert abs(found.tilt.value) < 0.2
        assert found.verdict == "coupled"
        assert found.reason == "tuning one at a time costs more than 0.25 points on average"
        assert found.regret.low > 0.25

    @pytest.mark.parametrize(
        ("runs", "reason"),
        [
            (np.full((3, 3), nan), "no cell with λ > 0 has finished"),
            (np.full((3, 3), inf), "every finished cell diverged"),
            (np.full((3, 3), inf) * [1, 1, nan], "every finished cell diverged"),
            (noisy(np.where(OCTAVES, inf, bowl())), "1 value of positive λ with a result, at"),
            (noisy(bowl()[:1]), "1 value of α with a result, at least 3 are needed"),
            (noisy(bowl()[:2]), "2 values of α with a result, at least 3 are needed"),
            (noisy(bowl()[:, :1]), "1 value of positive λ with a result, at least 3 are needed"),
            (noisy(np.where(np.eye(4), bowl(SMALL, SMALL), inf)), "4 cells with a result, at"),
            (np.where(bowl() < 5.7, bowl(), 30), "one seed and too few good cells to know the"),
            (bowl()[::5, ::5], "the basin is no wider than a step of the grid"),
            (spike(), "the basin is no wider than a step of the grid: refine it around the"),
            (noisy(spike(2)), "the basin is no wider than a step of the grid"),
            (spike()[5:], "most of the basin lies on the border of what was trained: extend"),
            (noisy(spike(5), sd=0.0), "the basin is a single line of cells: refine the grid"),
            (
                noisy(np.full((11, 11), 9.0)),
                "the test error does not change over the grid by",
            ),
            (np.full((11, 11), 9.0), "all cells have the same error, 9.00 %, which tells nothing"),
            (
                noisy(np.tile(bowl()[:, 5:6], (1, 11))),
                "in the basin λ changes nothing: extend its values",
            ),
            (
                noisy(np.tile(bowl()[5:6], (11, 1))),
                "in the basin α changes nothing: extend its values",
            ),
            (noisy(bowl(off=(-5, 0))), "most of the basin lies on the border of what was"),
            (noisy(bowl(off=(0, 5))), "most of the basin lies on the border of what was"),
            (
                noisy(valley(10), 1, 0.3),
                "the noise allows a diagonal as well as none: more seeds would tell",
            ),
        ],
    )
    def test_cannot_tell(self, runs, reason):
        rows, cols = runs.shape[-2:]
        found = separability(frame_of(runs, OCTAVES[:rows], OCTAVES[:cols]))
        assert found.verdict == "cannot tell"
        assert found.reason.startswith(reason)

    @pytest.mark.parametrize(("columns", "verdict"), [(5, "cannot tell"), (6, "coupled")])
    def test_a_study_is_unfinished_if_half_of_it_is_open(self, columns, verdict):
        frame = frame_of(noisy(valley(45, off=(2.5, -2.5))), state="finished")
        frame.loc[frame["lambda"] >= 2.0 ** OCTAVES[columns], "state"] = "open"
        found = separability(frame)
        assert found.verdict == verdict
        assert (found.reason == "66 of 121 cells have not finished") is (columns == 5)

    def test_cells_at_the_span_are_no_border(self):
        """A basin around the middle, and nothing trained beyond it on one side."""
        error = np.where(OCTAVES[:, None] < -1, nan, bowl())
        assert separability(frame_of(noisy(error))).verdict == "separable"

    def test_diverged_neighbours_are_no_border(self):
        error = np.where((OCTAVES < 0) | (OCTAVES > 2), inf, bowl().T).T
        assert separability(frame_of(noisy(error))).verdict == "separable"

    def test_a_bend_is_coupled_though_it_has_no_tilt(self):
        """Two arms of opposite tilt: the best λ falls with α, then rises."""
        x, y = np.meshgrid(OCTAVES, OCTAVES, indexing="ij")
        found = separability(frame_of(noisy(3 + 0.03 * x**2 + 0.25 * (y - abs(x) + 2) ** 2)))
        assert found.tilt.lies_within(0.3)
        assert found.regret.low < found.tau
        assert found.verdict == "coupled"
        assert found.reason == "the best λ changes with α, though along no straight line"

    def test_factors_are_separable_whatever_their_interaction(self):
        """f(α)·g(λ): not additive, but the best λ is the same at every α."""
        x, y = np.meshgrid(OCTAVES, OCTAVES, indexing="ij")
        found = separability(frame_of(noisy(2 + 0.01 * (3 + x**2) * (3 + y**2), sd=0.02)))
        assert found.interaction.value > 0.1
        assert found.verdict == "separable"

    @pytest.mark.parametrize("along", [0, 1])
    def test_a_hyperparameter_that_matters_nowhere_is_not_separable(self, along):
        """Where its values reach too low, λ changes nothing, to the last bit."""
        line = np.min(bowl(), axis=along, keepdims=True)
        found = separability(frame_of(np.broadcast_to(line, (11, 11))[None]))
        assert found.verdict == "cannot tell"
        assert f"{'αλ'[along]} changes nothing" in found.reason

    @pytest.mark.slow
    @pytest.mark.parametrize("seeds", [1, 2, 3])
    @pytest.mark.parametrize("sd", [0.3, 1.0, 3.0])
    def test_noise_alone_is_never_separable(self, seeds, sd):
        for seed in range(20):
            runs = noisy(np.full((11, 11), 40.0), seeds, sd, seed)
            assert separability(frame_of(runs), replicates=100).verdict == "cannot tell"

    @pytest.mark.parametrize("seeds", [1, 2, 3])
    def test_a_noisy_diagonal_is_never_separable(self, seeds):
        """Under a τ raised by the noise the many bad cells once outweighed the basin."""
        for seed in range(20):
            runs = noisy(valley(45), seeds, 1.35, seed)
            assert separability(frame_of(runs), replicates=100).verdict != "separable"


EMPTY = frame_of([[1.0]], [0], [0]).head(0)


class TestAnyFrame:
    @pytest.mark.parametrize(
        "frame",
        [
            EMPTY,
            EMPTY.astype(object),
            frame_of(bowl()).assign(**{"lambda": 0.0, "seed": range(121)}),
            frame_of(bowl()).assign(state="open"),
            frame_of(bowl()).assign(test_error=nan),
            frame_of(bowl()).assign(state=None, diverged=None),
        ],
    )
    def test_frames_without_a_result(self, frame):
        found = separability(frame)
        assert str(found) == "cannot tell: no cell with λ > 0 has finished"
        assert (found.cells, found.seeds) == (0, 0)
        assert all(math.isnan(getattr(found, name).value) for name in STATISTICS)
        assert math.isnan(found.best)
        assert found.tau == 0.25

    @pytest.mark.slow
    @given(st.data(), st.integers(0, 6), st.integers(0, 6), st.integers(1, 3))
    @settings(max_examples=150)
    def test_give_an_honest_answer(self, data, rows, cols, seeds):
        error = st.one_of(st.integers(0, 40).map(lambda n: 4 + n / 8), st.floats(0, 100))
        cell = st.tuples(
            st.one_of(error, error, st.sampled_from([nan, inf, -inf, 90.0])),
            st.sampled_from([False, False, False, True, None]),
            st.sampled_from(["finished", "finished", "finished", "open", "failed", None]),
        )
        count = rows * cols * seeds
        runs = data.draw(st.lists(cell, min_size=count, max_size=count))
        frame = frame_of(np.zeros((seeds, rows, cols)), range(rows), range(cols))
        frame[["test_error", "diverged", "state"]] = pd.DataFrame(
            runs, columns=["test_error", "diverged", "state"], dtype=object
        )
        frame.loc[frame["lambda"] == 1, "lambda"] = data.draw(st.sampled_from([0.0, 1.0]))
        keep = data.draw(st.integers(0, count))
        check(separability(frame.sample(frac=1, random_state=1).head(keep), replicates=40))

    @given(st.integers(0, 10_000), st.integers(3, 6), st.integers(3, 6), st.integers(1, 3))
    @example(462, 6, 6, 1)  # told by the order of the best λ
    @settings(max_examples=150)
    def test_surfaces_with_holes(self, seed, rows, cols, seeds):
        rng = np.random.default_rng(seed)
        x, y = np.arange(rows) - rows // 2, np.arange(cols) - cols // 2
        runs = noisy(valley(rng.uniform(-90, 90), x=x, y=y), seeds, rng.choice([0, 0.3]), seed)
        runs[rng.random(runs.shape) < rng.choice([0, 0.2, 0.6])] = inf
        runs[rng.random(runs.shape) < rng.choice([0, 0.2, 0.6])] = nan
        check(separability(frame_of(runs, x, y), replicates=40))


def check(found: Separability) -> None:
    """The numbers agree with each other, and the verdict with them, as its rule states it."""
    tilt, regret = found.tilt, found.regret
    for name, (least, most) in STATISTICS.items():
        one = getattr(found, name)
        assert math.isnan(one.low) == math.isnan(one.high)
        if one.has_interval:
            assert least <= one.low <= one.value <= one.high <= most
    assert found.reason
    assert found.tau >= 0.25
    diagonal = tilt.low >= 0.5 or tilt.high <= -0.5
    if found.verdict == "coupled":
        bend = found.interaction.low > 0.5 and regret.low > 0
        held = {"tilt": diagonal, "regret": regret.low > found.tau, "interaction": bend}
        held["order"] = abs(found.slope or 0) >= 0.5  # see `steady_move`
        assert held[found.rule]
    elif found.verdict == "separable":
        assert -0.5 < tilt.low <= tilt.high < 0.5
        assert not regret.low > found.tau
        assert found.rule == "tilt"
    else:
        assert found.rule is None
    assert (found.slope is None) == (found.rule != "order")
    if found.cells < 9:
        assert found.verdict == "cannot tell"
        assert math.isnan(tilt.value)


class TestErrors:
    @pytest.mark.parametrize("name", ["span", "tau"])
    @pytest.mark.parametrize("value", [0, -1, nan, inf])
    def test_impossible_numbers(self, name, value):
        with pytest.raises(
            UsageError, match=f"{name} = {value}: give a positive number of points"
        ):
            separability(EMPTY, **{name: value})

    def test_a_frame_of_two_panels(self):
        frame = frame_of(bowl()).assign(panel=["sgd", "adam"] * 60 + ["sgd"])
        with pytest.raises(UsageError, match="the panels adam, sgd, expected one"):
            separability(frame)


def test_the_rule_in_words_holds_its_numbers():
    assert f"±{module.TILTED}" in module.__doc__
