import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from landscape_study.landscapes.reading.landscape import Landscape, landscape, title, top_cells
from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.schedules import WarmRestarts
from landscape_study.study.spec.metric import METRICS, TEST_ERROR
from landscape_study.study.spec.study import Axis, Grid, Panel

nan, inf = math.nan, math.inf


def landscape_of(error: np.ndarray, diverged: np.ndarray) -> Landscape:
    rows, columns = error.shape
    n = np.isfinite(error).astype(int)
    axes = Axis.log2(1.0, 1 - rows, 0), Axis.log2(1.0, 1 - columns, 0)
    return Landscape("", "sgd", *axes, error, np.full(error.shape, nan), n, diverged)


@st.composite
def landscapes(draw: st.DrawFn) -> Landscape:
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=5))
    errors = st.one_of(st.integers(0, 5).map(float), st.just(nan), st.just(inf))
    error = draw(arrays(float, shape, elements=errors))
    diverged = draw(arrays(int, shape, elements=st.integers(0, 2)))
    return landscape_of(error, diverged)


class TestLandscape:
    def test_averages_the_finished_seeds_of_each_cell(self, frame, panel):
        cells = frame(
            (0.05, 0.0, 0, 10.0),
            (0.05, 0.0, 1, 14.0),
            (0.1, 0.001, 0, 7.0),
            (0.1, 0.001, 1, nan, False, "running"),
            (0.1, 0.0005, 0, nan, False, "failed"),
        )
        found = landscape(cells, panel)
        np.testing.assert_array_equal(found.error, [[12, nan, nan], [nan, nan, 7]])
        np.testing.assert_array_equal(found.stderr, [[2, nan, nan], [nan, nan, nan]])
        np.testing.assert_array_equal(found.n, [[2, 0, 0], [0, 0, 1]])
        assert (found.alpha, found.lambda_) == (panel.grid.alpha, panel.grid.lambda_)

    def test_counts_diverged_seeds_and_their_errors(self, frame, panel):
        cells = frame((0.1, 0.001, 0, 5.0), (0.1, 0.001, 1, 90.0, True), (0.1, 0.0, 0, inf, True))
        found = landscape(cells, panel)
        assert found.diverged.tolist() == [[0, 0, 0], [1, 0, 1]]
        assert found.error[1, 2] == 47.5
        assert found.error[1, 0] == inf

    def test_ignores_other_panels_and_cells_off_the_grid(self, frame, panel):
        other = frame((0.1, 0.001, 0, 1.0), panel="sgd", study="yours")
        cells = pd.concat([frame((0.3, 0.001, 0, 2.0), (0.1, 0.0011, 0, 3.0)), other])
        assert landscape(cells, panel).n.sum() == 0

    @pytest.mark.parametrize(
        "design", [{"sampler": "tpe", "trials": 9}, {"best_of": "cheap"}], ids=["tpe", "best"]
    )
    def test_cells_that_were_asked_for_between_the_values_of_the_axes_are_there(
        self, frame, panel, design
    ):
        asked = Panel(**panel.changed({"design": design}))
        cells = frame(
            (0.07, 0.0007, 0, 5.0), (0.08, 0.0, 0, 3.0), (0.1, 0.0007, 0, nan, False, "x")
        )
        found = landscape(cells, asked)
        assert set(found.alpha.values) == {*panel.grid.alpha.values, 0.07, 0.08, 0.1}
        assert set(found.lambda_.values) == {*panel.grid.lambda_.values, 0.0, 0.0007}
        errors = found.error[np.isfinite(found.error)]
        assert sorted(errors) == [3, 5]

    def test_finds_cells_whose_last_digit_a_database_rounded(self, frame, panel):
        cells = frame((math.nextafter(0.1, 1), math.nextafter(0.001, 0), 0, 4.0))
        assert landscape(cells, panel).error[1, 2] == 4

    def test_an_empty_frame_gives_missing_cells(self, frame, panel):
        found = landscape(frame(), panel)
        assert np.isnan(found.error).all()
        assert found.n.sum() == found.diverged.sum() == 0

    def test_nullable_divergence(self, frame, panel):
        cells = frame((0.1, 0.0, 0, 5.0, None), (0.1, 0.001, 0, 90.0, True))
        cells["diverged"] = cells["diverged"].astype("boolean")
        assert landscape(cells, panel).diverged.sum() == 1

    def test_cells_of_two_studies_are_refused(self, frame, panel):
        cells = pd.concat([frame((0.1, 0.0, 0, 5.0), study=name) for name in "ab"])
        with pytest.raises(UsageError, match=r"panel 'adamw'.* a, b.*select"):
            landscape(cells, panel)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_round_trip_through_the_frame(self, data, frame):
        error = data.draw(arrays(float, (3, 4), elements=st.floats(0, 100) | st.just(nan)))
        diverged = data.draw(arrays(bool, (3, 4)))
        grid = Grid(alpha=Axis.log2(0.1, -2, 0), lambda_=Axis.log2(0.001, -2, 0, zero=True))
        rows = [
            (cell.alpha, cell.lambda_, 0, e, bool(d), "open" if math.isnan(e) else "finished")
            for cell, e, d in zip(grid.cells(), error.flat, diverged.flat, strict=True)
        ]
        rows = data.draw(st.permutations(rows))
        found = landscape(frame(*rows), Panel(pair="adamw", name="adamw", grid=grid))
        finished = ~np.isnan(error)
        np.testing.assert_array_equal(found.error, error)
        np.testing.assert_array_equal(found.n, finished)
        np.testing.assert_array_equal(found.diverged, finished & diverged)


class TestRecord:
    def test_equality_looks_into_the_arrays(self, make):
        one = make([[1, nan], [3, 4]])
        assert one == make([[1, nan], [3, 4]])
        assert one != make([[1, 2], [3, 4]])
        assert one != replace(one, title="other")
        assert one != "one"

    def test_is_frozen(self, make):
        with pytest.raises(ValueError, match="read-only"):
            make([[1, 2]]).error[0, 0] = 5

    def test_shapes_must_agree(self, make):
        with pytest.raises(ValueError, match=r"error has shape \(1, 2\), the grid has \(1, 3\)"):
            make([[1, 2]], lambda_=Axis(values=(1, 2, 3)))

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("adamw", "AdamW"), ("adamw-step", "AdamW, step"), ("fig1", "AdamW, fig1")],
    )
    def test_title_tells_panels_of_one_pair_apart(self, panel, name, expected):
        assert title(panel.model_copy(update={"name": name})) == expected

    @pytest.mark.parametrize(
        ("pair", "name", "expected"),
        [
            ("adamw", "adamw", "AdamWR"),
            ("adamw", "adamwr", "AdamWR"),
            ("sgdw", "sgdwr", "SGDWR"),
            ("adamw", "adamwr-long", "AdamWR, long"),
            ("adamw", "adamw-long", "AdamWR, long"),
            ("adamw", "adamw-restarts", "AdamWR, restarts"),
            ("adamw", "adamwraw", "AdamWR, raw"),
            ("adam", "adam-restarts", "Adam + L2, restarts"),
            ("adamw-torch", "adamw-torch", "AdamW (torch: λ scaled by α)"),
        ],
    )
    def test_restarts_with_normalized_decay_are_the_papers_r(self, panel, pair, name, expected):
        restarts = {"schedule": WarmRestarts(t_0=10), "normalized": True}
        changed = panel.model_copy(update={"pair": pair, "name": name} | restarts)
        assert title(changed) == expected

    @pytest.mark.parametrize(
        "changes", [{"normalized": True}, {"schedule": WarmRestarts(t_0=10)}], ids=["λ", "η"]
    )
    def test_only_both_together_make_it_so(self, panel, changes):
        assert title(panel.model_copy(update=changes)) == "AdamW"

    @pytest.mark.parametrize("metric", ["test_error", "top5_error"])
    def test_it_knows_which_error_it_holds(self, frame, panel, metric):
        cells = frame((0.1, 0.001, 0, 5.0)).rename(columns={"test_error": metric})
        field = landscape(cells, panel, METRICS[metric])
        assert field.metric == METRICS[metric]
        assert np.nanmin(field.error) == 5.0
        assert landscape(frame(), panel).metric == TEST_ERROR


class TestTopCells:
    def test_best_first_and_ties_to_the_smaller_alpha_then_lambda(self, make):
        assert top_cells(make([[3, 2, 2], [2, 1, 9]]), 4) == [(1, 1), (0, 1), (0, 2), (1, 0)]

    def test_neither_missing_nor_diverged_cells(self, make):
        field = make([[1, nan, 5]], diverged=[[1, 0, 0]])
        assert top_cells(field) == [(0, 2)]

    @given(landscapes(), st.integers(0, 30))
    def test_invariants(self, field, count):
        cells = top_cells(field, count)
        candidates = np.isfinite(field.error) & (field.diverged == 0)
        assert len(cells) == len(set(cells)) == min(count, candidates.sum())
        assert all(candidates[cell] for cell in cells)
        errors = [field.error[cell] for cell in cells]
        assert errors == sorted(errors)
        rest = [field.error[i] for i in np.ndindex(field.error.shape) if candidates[i]]
        assert sorted(errors) == sorted(rest)[: len(cells)]
        assert top_cells(field, count + 1)[:count] == cells
