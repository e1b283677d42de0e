"""The axes of landscapes whose cells are other than those of a grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from landscape_study.landscapes.figures.heatmaps.heatmap_record import heatmap_record
from landscape_study.landscapes.reading.cube import cube, read_own_cube, write_cube
from landscape_study.landscapes.reading.foreign.file_results import store_results
from landscape_study.landscapes.reading.frames import cells_frame
from landscape_study.landscapes.reading.landscape import landscape, top_cells
from landscape_study.landscapes.reading.panel_axes import MOST_LINES, STEPS
from landscape_study.landscapes.reading.panels import study_landscapes
from landscape_study.study.spec.extension import refined_study
from landscape_study.study.spec.grid import Cell
from landscape_study.study.spec.study import Panel
from landscape_study.study.store import Store
from tests.landscapes.refined import (
    GRID,
    refined_frame,
    refined_grid,
    refined_landscape,
    refined_panel,
)
from tests.valleys import fill, valley_study

TPE = {"sampler": "tpe", "trials": 40}


class TestRefined:
    def test_its_axes_have_the_values_of_all_cells(self):
        field = refined_landscape()
        assert field.error.shape == (7, 8)
        assert field.alpha.base == 0.1
        assert int(field.is_cell.sum()) == np.isfinite(field.error).sum() == 30 + 8
        assert field.on_grid.sum() == 30
        assert field.is_complete
        assert not field.is_scattered
        assert field.grid == GRID

    def test_however_fine_it_is_no_scattered_one(self):
        grid = GRID
        for step in (0.5, 0.25, 0.125, 0.0625):
            grid = refined_grid(grid, step)
        field = refined_landscape(grid)
        assert field.is_cell.mean() < 0.5
        assert not field.is_scattered

    def test_a_cell_without_a_result_is_missing(self):
        frame = refined_frame(refined_grid())
        frame.loc[frame["extra"].idxmax(), "state"] = "open"
        assert not landscape(frame, refined_panel(refined_grid())).is_complete

    def test_a_whole_grid_is_as_ever(self):
        field = refined_landscape(GRID)
        assert (field.panel_grid, field.of_design) == (None, None)
        assert field.is_cell.all()
        assert field.on_grid.all()
        assert field != refined_landscape()
        assert refined_landscape() == refined_landscape()


@pytest.mark.slow
class TestSampled:
    def test_a_landscape_has_what_a_sampler_asked_for(self, store: Store):
        study = valley_study(seeds=2, pairs=("adam",)).change_panels(design=TPE)
        fill(store, study)
        (field,) = study_landscapes(store, "valley")
        cells = {(row["alpha"], row["lambda"]) for row in store.cells("valley")}
        assert field.is_scattered
        assert int((field.n > 0).sum()) == len(cells) == 20
        assert field.panel_grid == study.panels[0].grid
        row, col = top_cells(field, 1)[0]
        assert (field.alpha.values[row], field.lambda_.values[col]) in cells

    def test_few_cells_lie_on_the_axes_of_the_grid(self, store: Store):
        study = valley_study(seeds=1, pairs=("adam",)).change_panels(
            design={"sampler": "random", "trials": 2, "zero": 0}
        )
        fill(store, study)
        (field,) = study_landscapes(store, "valley")
        assert not field.is_scattered
        assert int(field.is_cell.sum()) == 2
        assert {*study.panels[0].grid.alpha.values} < {*field.alpha.values}
        assert field.grid == study.panels[0].grid

    def test_values_are_named_as_their_axes_are(self, store: Store):
        """Scattered cells are drawn over numbers, also those of a grid of multiples."""
        verdict = {"sampler": "verdict", "trials": 20}
        study = valley_study(seeds=1, pairs=("adam",)).change_panels(design=verdict)
        fill(store, study)
        (field,) = study_landscapes(store, "valley")
        assert field.is_scattered
        assert {*field.alpha.values} <= {*study.panels[0].grid.alpha.values}
        row, col = top_cells(field, 1)[0]
        alpha, lambda_ = field.alpha.values[row], field.lambda_.values[col]
        assert {f"at α = {alpha:g},", f"λ = {lambda_:g}"} <= {*heatmap_record(field).summary}

    def test_an_earlier_grid_is_there_too(self, store: Store):
        study = valley_study(seeds=1, pairs=("adam",), exponents=1)
        fill(store, study)
        fill(store, study.change_panels(design={"sampler": "random", "trials": 20}))
        (field,) = study_landscapes(store, "valley")
        assert field.is_scattered
        assert int((field.n > 0).sum()) == 12 + 20

    def test_a_cube_brings_it_back(self, store: Store, tmp_path):
        study = valley_study(seeds=1, pairs=("adam", "adamw")).change_panels(design=TPE)
        fill(store, study)
        write_cube(store, "valley", tmp_path / "valley.nc")
        results = read_own_cube(tmp_path / "valley.nc")
        assert results is not None
        with_files = Store(str(tmp_path / "back.db"), create=True)
        store_results(results, with_files)
        for here, there in zip(
            study_landscapes(store, "valley"), study_landscapes(with_files, "valley"), strict=True
        ):
            assert there.is_scattered
            assert (there.n > 0).sum() == (here.n > 0).sum() == 40
            assert np.nanmin(there.error) == np.nanmin(here.error)
        with_files.close()


@pytest.mark.slow
def test_a_refined_study_in_tables_and_cubes(store: Store, tmp_path):
    new = {"adam": (Cell(0.007071, 0.001), Cell(0.01, 0.001414))}
    fill(store, refined_study(valley_study(seeds=2, exponents=2), new))
    frame = cells_frame(store, "valley")
    extra = frame[frame["extra"]]
    assert {*map(Cell, extra["alpha"], extra["lambda"])} == {*new["adam"]}
    assert set(extra["panel"]) == {"adam"}
    whole = cube(store, "valley")
    assert whole.sizes["alpha"] == whole.sizes["lambda"] - 1 == 6
    assert int((whole["state"] > 0).sum()) == len(frame) == 2 * (2 * 30 + 2)
    write_cube(store, "valley", tmp_path / "valley.nc")
    results = read_own_cube(tmp_path / "valley.nc")
    assert results is not None
    assert [len(one.grid.extra) for one in results.spec.panels] == [2, 0]
    assert (results.spec.panels[0].grid) == store.study("valley").panels[0].grid


def test_a_sampler_of_thousands_is_seen_on_few_lines():
    rng = np.random.default_rng(0)
    count = MOST_LINES + 100
    frame = pd.DataFrame(
        {
            "panel": "adamw",
            "alpha": 0.1 * 2 ** -rng.uniform(0, 4, count),
            "lambda": 0.001 * 2 ** rng.uniform(-2, 2, count),
            "seed": 0,
            "state": "finished",
            "test_error": rng.uniform(2, 9, count),
            "diverged": False,
        }
    )
    design = {"sampler": "random", "trials": count}
    field = landscape(frame, Panel(name="adamw", pair="adamw", design=design, grid=GRID))
    assert max(field.error.shape) <= STEPS
    assert field.n.sum() == count
