"""Figures of refined grids: coarse cells as ever, fine ones in their own size."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from landscape_study.landscapes.figures.difference import difference
from landscape_study.landscapes.figures.heatmaps.heatmap import (
    draw_heatmap,
    plot_heatmap,
    plot_heatmaps,
)
from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    heatmap_record,
)
from landscape_study.landscapes.figures.heatmaps.heatmap_refinement import (
    GAP,
    OTHER,
    refinement,
)
from landscape_study.landscapes.figures.interactive import interactive_heatmap
from landscape_study.landscapes.figures.slices import plot_slices
from landscape_study.landscapes.figures.slices_record import MOST, slices_record
from landscape_study.landscapes.figures.style import ticks
from landscape_study.landscapes.statistics.recommendation import recommend, tuning_paths
from landscape_study.study.pairs.timescale import Timescale
from landscape_study.study.spec.grid import Axis, Cell, Grid
from tests.landscapes.refined import GRID, bowl, refined_grid, refined_landscape

nan = float("nan")


@pytest.fixture(scope="module")
def field():
    """5 × 6 cells, and eight between those around the middle one."""
    return refined_landscape()


@pytest.fixture(scope="module")
def record(field):
    return heatmap_record(field, top=3)


def artist(ax, gid):
    (found,) = [one for one in ax.get_children() if one.get_gid() == gid]
    return found


def place(field, cell: tuple[float, float]) -> tuple[int, int]:
    return field.alpha.values.index(cell[0]), field.lambda_.values.index(cell[1])


class TestRecord:
    def test_cells_of_the_grid_are_where_they_are_without_the_others(self, field, record):
        whole = heatmap_record(refined_landscape(GRID), top=3)
        for row, alpha in enumerate(GRID.alpha.values):
            for col, lambda_ in enumerate(GRID.lambda_.values):
                here = place(field, (alpha, lambda_))
                assert record.corners(here) == pytest.approx(np.array(whole.corners((row, col))))
                assert record.center(here) == pytest.approx(whole.center((row, col)))
        assert record.size == whole.size
        assert record.ticks == whole.ticks
        for name in ("x_labels", "y_labels", "x_title", "y_title", "zero_apart", "scale"):
            assert getattr(record, name) == getattr(whole, name)

    def test_a_cell_between_lies_over_the_border_in_half_the_size(self, field, record):
        here = place(field, (0.01768, 0.001))
        corners = np.array(record.corners(here))
        middle = record.center(place(field, (0.025, 0.001)))
        assert corners.mean(axis=0) == pytest.approx([middle[0], middle[1] - 0.5], abs=0.001)
        assert np.ptp(corners, axis=0) == pytest.approx([0.5, 0.5])
        inset = np.array(record.corners(here, inset=0.06))
        assert np.ptp(inset, axis=0) == pytest.approx([0.44, 0.44])

    def test_smaller_cells_lie_over_larger_ones(self):
        record = heatmap_record(refined_landscape(refined_grid(refined_grid(), 0.25)))
        sizes = [record.side(cell) for cell, _ in record.error]
        assert sizes == sorted(sizes, reverse=True)
        assert {size: sizes.count(size) for size in sizes} == {1: 30, 0.5: 8, 0.25: 8}

    def test_nobody_asked_for_what_is_blank(self, field, record):
        assert record.missing == ()
        assert len(record.error) == 38
        assert not any("cells)" in phrase for phrase in record.summary)

    def test_however_fine_it_is_circles_do_not_overlap(self):
        grid = GRID
        for step in (0.5, 0.25, 0.125):
            grid = refined_grid(grid, step)
        (ax, *_) = plot_heatmaps([refined_landscape(grid)] * 2).axes
        ax.figure.canvas.draw()
        circles = artist(ax, "circles")
        points = ax.transData.transform(np.transpose(circles.get_data())) * 72 / ax.figure.dpi
        ways = np.hypot(*np.moveaxis(points[:, None] - points, -1, 0))
        assert len(points) > 8
        assert circles.get_markersize() < ways[ways > 0].min()
        coarse = artist(plot_heatmap(refined_landscape(GRID)), "circles")
        assert circles.get_markersize() < coarse.get_markersize()

    def test_an_open_cell_is_missing_in_its_size(self):
        lost = Cell(0.01768, 0.001)
        field = refined_landscape(error=lambda cell: nan if cell == lost else bowl(cell))
        record = heatmap_record(field)
        assert record.missing == (place(field, (lost.alpha, lost.lambda_)),)
        assert np.ptp(np.array(record.corners(record.missing[0])), axis=0) == pytest.approx(0.5)
        assert "(37 of 38 cells)" in record.summary

    def test_a_whole_grid_has_no_refinement(self):
        assert refinement(refined_landscape(GRID)) is None

    def test_a_cell_at_no_such_step_is_small(self):
        field = refined_landscape(GRID.with_extra([Cell(0.0318, 0.00127)]))
        found = refinement(field)
        assert found is not None
        here = place(field, (0.0318, 0.00127))
        assert found.size(here) == OTHER
        assert found.x.middles[here[1]] == pytest.approx(3.5 + GAP + np.log2(1.27))

    def test_names_are_those_of_the_grid_or_numbers(self):
        def moved(cell: Cell) -> float:
            return bowl(Cell(cell.alpha * 2**0.5, cell.lambda_))

        assert "at α = 0.0177," in heatmap_record(refined_landscape(error=moved)).summary
        assert "at α = 1/4 × 0.1," in heatmap_record(refined_landscape()).summary

    def test_without_positive_lambda_there_is_one_column(self):
        grid = Grid(alpha=GRID.alpha, lambda_=Axis(values=(0.0,)))
        between = Cell(0.018, 0.0)
        record = heatmap_record(refined_landscape(grid.with_extra([between])))
        assert record.size[0] == 1.0
        assert record.center((2, 0)) == (0.5, pytest.approx(2.0, abs=0.1))


class TestTimescale:
    """Of 10/(α·λ) epochs: cells of the grid are where they are without the others."""

    SCALE = Timescale(scale=10.0, power=1)

    @pytest.fixture
    def slanted(self, field):
        return heatmap_record(replace(field, timescale=self.SCALE), over="timescale")

    def test_cells_of_the_grid_stay(self, field, slanted):
        whole = replace(refined_landscape(GRID), timescale=self.SCALE)
        record = heatmap_record(whole, over="timescale")
        for row, alpha in enumerate(GRID.alpha.values):
            for col, lambda_ in enumerate(GRID.lambda_.values):
                here = place(field, (alpha, lambda_))
                assert slanted.corners(here) == pytest.approx(np.array(record.corners((row, col))))
                assert slanted.center(here) == pytest.approx(record.center((row, col)))
        assert (slanted.size, slanted.ticks) == (record.size, record.ticks)

    def test_the_others_lie_between_them(self, field, slanted):
        here, low, high = (
            place(field, cell) for cell in ((0.01768, 0.001), (0.0125, 0.001), (0.025, 0.001))
        )
        middle = np.mean([slanted.center(low), slanted.center(high)], axis=0)
        assert slanted.center(here) == pytest.approx(middle, abs=0.001)
        a, b, c, d = np.array(slanted.corners(here))
        assert (b - a, c - d) == (pytest.approx([0.5, 0]), pytest.approx([0.5, 0]))
        assert c[1] - b[1] == pytest.approx(0.5)
        assert c[0] - b[0] == pytest.approx(-0.5)  # half an octave more of α, half as long

    def test_it_is_drawn_with_contours(self, slanted, tmp_path):
        record = replace(slanted, contours=((0.6, 2.6),))
        ax = draw_heatmap(record, plt.figure().gca())
        assert artist(ax, "contours").get_paths()
        ax.figure.savefig(tmp_path / "slanted.png")


class TestDifference:
    def test_cells_of_one_alone_have_none(self, field):
        apart = difference(refined_landscape(GRID), field)
        assert (apart.panel_grid, apart.of_design) == (GRID, None)
        assert apart.error.shape == (5, 6)
        assert apart.error == pytest.approx(0)

    def test_of_two_refined_ones_what_both_have(self, field):
        fewer = refined_landscape(GRID.with_extra(field.panel_grid.extra[:3]))
        apart = difference(field, fewer)
        assert np.isfinite(apart.error).sum() == apart.is_cell.sum() == 33
        record = heatmap_record(apart, scale=(-1, 1), top=0)
        assert record.missing == ()
        assert {record.side(cell) for cell, _ in record.error} == {1.0, 0.5}


def test_ticks_of_a_grid_stay_as_they_are_beside_other_values():
    axis, grid = Axis(values=(0.1, 0.0707, 0.05), base=0.1), Axis.log2(0.1, -1, 0)
    assert ticks(axis, grid).labels == ("1/2", "0.707", "1")
    assert ticks(axis, grid).names == ("1/2 × 0.1", "0.0707", "0.1")
    assert ticks(axis, grid).multiplier == 0.1
    assert ticks(grid, grid) == ticks(grid)


class TestDrawing:
    def test_every_cell_has_its_colour(self, field):
        ax = plot_heatmap(field)
        errors = artist(ax, "error")
        assert len(errors.get_paths()) == 38
        assert (ax.get_xlim(), ax.get_ylim()) == ((0, 6 + GAP), (0, 5))
        assert [label.get_text() for label in ax.get_yticklabels()] == [
            *("1/16", "1/8", "1/4", "1/2", "1"),
        ]
        assert np.array(errors.get_linewidths()).min() < np.array(errors.get_linewidths()).max()

    def test_circles_are_no_larger_than_the_cells(self, field):
        sizes = [
            artist(draw_heatmap(heatmap_record(one, top=4), plt.figure().gca()), "circles")
            for one in (field, refined_landscape(GRID))
        ]
        assert sizes[0].get_markersize() < sizes[1].get_markersize()
        ax = plot_heatmap(field, top=1, ax=plt.figure().gca())
        x, y = artist(ax, "best").get_data()
        assert (x[0], y[0]) == pytest.approx((3.5 + GAP, 2.5))

    def test_contours_are_those_of_a_finer_grid(self):
        """A circle around the middle, though lines cross where nothing was trained."""
        ax = plot_heatmap(refined_landscape(), contours=(0.6,))
        paths = artist(ax, "contours").get_paths()
        points = np.concatenate([path.vertices for path in paths if len(path.vertices)])
        away = np.hypot(*(points - (3.5 + GAP, 2.5)).T)
        assert away == pytest.approx(np.sqrt(0.6 / 0.4), abs=0.2)

    def test_no_contour_crosses_a_diverged_cell(self):
        lost = Cell(0.01768, 0.001)
        field = refined_landscape(error=lambda cell: nan if cell == lost else bowl(cell))
        ax = plot_heatmap(field, contours=(0.6,))
        assert artist(ax, "contours")

    def test_beside_whole_grids_in_one_figure(self, field, tmp_path):
        figure = plot_heatmaps([field, refined_landscape(GRID)])
        figure.savefig(tmp_path / "both.png")
        assert "not finished" not in [text.get_text() for text in figure.legends[0].get_texts()]

    def test_arrowheads_stand_on_the_border(self):
        def at_border(cell: Cell) -> float:
            return bowl(Cell(cell.alpha / 4, cell.lambda_))

        around = GRID.with_extra([Cell(0.1, 0.001414), Cell(0.1, 0.0007071)])
        ax = plot_heatmap(refined_landscape(around, error=at_border), top=4)
        heads = artist(ax, "alpha-high")
        assert set(heads.get_ydata()) == {5.0}

    def test_to_hover_over(self, field):
        pytest.importorskip("plotly")
        figure = interactive_heatmap(field)
        (cells,) = [trace for trace in figure.data if trace.name == "cells"]
        assert len(cells.x) == 38
        assert set(cells.marker.size) == {0.6 * 26, 0.3 * 26}
        assert len(figure.layout.shapes) == 38
        told = {(one[0], one[1]) for one in cells.customdata}
        assert ("α = 0.0177 (0.01768)", "λ = 1 × 0.001") not in told
        assert any(alpha.startswith("α = 0.0177") for alpha, _ in told)


class TestSlices:
    def test_lines_run_on_where_nobody_asked_for_a_cell(self, field):
        record = slices_record(field)
        assert len(record.slices) == 5  # those of the grid
        for one in record.slices:
            zero, others = one.runs
            assert len(zero) == 1
            assert len(others) == (7 if one.label == "1/4" else 5)
        assert [label for _, label in record.x_ticks] == ["0", "1/4", "1/2", "1", "2", "4"]

    def test_the_best_row_is_there_though_it_lies_between(self):
        def moved(cell: Cell) -> float:
            return bowl(Cell(cell.alpha * 2**0.5, cell.lambda_))

        record = slices_record(refined_landscape(error=moved))
        assert len(record.slices) == 6 <= MOST
        (best,) = [one for one in record.slices if one.label == "0.177"]
        assert len(best.runs[-1]) == 3

    def test_a_missing_cell_breaks_them_still(self):
        lost = Cell(0.025, 0.0007071)
        field = refined_landscape(error=lambda cell: nan if cell == lost else bowl(cell))
        (middle,) = [one for one in slices_record(field).slices if one.label == "1/4"]
        assert [len(run) for run in middle.runs] == [1, 2, 4]

    @pytest.mark.parametrize("by", ["alpha", "lambda"])
    def test_they_are_drawn(self, field, by: str, tmp_path):
        ax = plot_slices(field, by=by)
        ax.figure.savefig(tmp_path / "slices.png")
        assert ax.get_xticklabels()


def test_advice_takes_the_cells_that_there_are(field):
    chosen = recommend(field)
    assert chosen is not None
    assert chosen.cell == place(field, (0.025, 0.001))
    assert chosen.neighbours == 8
    alone = tuning_paths(refined_landscape(GRID))
    assert [path.cost for path in tuning_paths(field)] == [path.cost for path in alone]
