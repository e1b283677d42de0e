from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from landscape_study.landscapes.figures.heatmaps.heatmap import (
    draw_heatmap,
    heatmap_legend,
    plot_heatmap,
    plot_heatmaps,
)
from landscape_study.landscapes.figures.heatmaps.heatmap_between import SIDE, between
from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    heatmap_record,
    heatmaps_record,
)
from landscape_study.landscapes.figures.interactive import interactive_heatmaps
from landscape_study.landscapes.figures.style import colormap
from landscape_study.landscapes.reading.landscape import Landscape, top_cells
from landscape_study.landscapes.statistics.edges import Edge
from landscape_study.landscapes.statistics.interpolation import interpolated
from tests.landscapes.scattered import landscape_of, scattered_landscape
from tests.landscapes.statistics.scattered_coverage import Design, frame_of_design
from tests.landscapes.surfaces import frame_of, valley


@pytest.fixture(scope="module")
def drawn() -> Landscape:
    """60 random trials, of them 3 with λ = 0 and 4 that diverged."""
    return scattered_landscape(Design(60), zeros=3, diverged=4)[0]


@pytest.fixture(scope="module")
def grid() -> Landscape:
    return landscape_of(frame_of(valley(45)).assign(diverged=False, loss=valley(45).ravel()))


@pytest.fixture(scope="module")
def stopped() -> Landscape:
    """80 random trials of which the first eight were pruned; one of these ran again."""
    frame = frame_of_design(Design(80)).assign(seed=0, state="finished", diverged=False)
    frame.loc[frame.index[:8], "state"] = "pruned"
    again = frame.iloc[[7]].assign(seed=1, state="finished")
    return landscape_of(pd.concat([frame, again], ignore_index=True))


def artists(ax, gid):
    return [one for one in ax.get_children() if one.get_gid() == gid]


def legend(figure):
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


class TestBetween:
    def test_trials_lie_by_their_logarithm(self, drawn):
        found = between(drawn)
        octaves = np.log2(drawn.alpha.values)
        places = np.array(found.y.places)
        np.testing.assert_allclose(np.diff(places), SIDE * np.diff(octaves) / np.ptp(octaves))
        left, right, bottom, top = found.box  # of those with λ > 0, of which the surface is
        decayed = places[(drawn.n[:, 1:] > 0).any(axis=1)]
        assert (decayed.min(), decayed.max()) == pytest.approx((bottom, top), abs=1e-4)
        assert found.x.places[0] < left  # λ = 0
        assert (found.x.places[1], found.x.places[-1]) == pytest.approx((left, right))
        assert found.x.place(1.5) == pytest.approx(np.mean(found.x.places[1:3]))

    def test_ticks_are_round(self, drawn):
        found = between(drawn)
        assert found.y.labels == ("0.01", "0.1", "1", "10")
        assert found.x.labels == ("0", "0.01", "0.1", "1", "10", "100")
        step = SIDE * np.log2(10) / np.ptp(np.log2(drawn.alpha.values))
        np.testing.assert_allclose(np.diff(found.y.ticks), step)

    def test_ticks_of_a_short_axis(self):
        frame = frame_of_design(Design(30))
        narrow = frame.assign(alpha=0.003 * (frame["alpha"] / frame["alpha"].min()) ** 0.15)
        labels = between(landscape_of(narrow.assign(diverged=False))).y.labels
        assert labels == ("0.003", "0.005", "0.007", "0.01")

    def test_far_from_trials_it_is_less_sure(self):
        frame = frame_of_design(Design(80, slope=0.0)).assign(diverged=False)
        hole = (frame["alpha"] > 1) & (frame["lambda"] > 1)
        found = between(landscape_of(frame[~hole]))
        sure = np.array(found.sure)
        rows, columns = sure.shape
        hidden = sure[rows * 3 // 4 :, columns * 3 // 4 :]
        assert hidden.mean() < sure[: rows // 3, : columns // 3].mean()
        assert (sure >= 0).all()
        assert (sure <= 1).all()

    def test_of_too_few_trials_there_is_no_surface(self):
        frame = frame_of_design(Design(4)).assign(diverged=False)
        found = between(landscape_of(frame))
        assert found.values == ()
        assert len(found.x.places) == 4


class TestRecord:
    def test_of_scattered_trials(self, drawn):
        record = heatmap_record(drawn)
        assert record.summary[-1] == "(60 trials, interpolated)"
        assert record.missing == ()
        assert record.edges == ()
        assert len(record.error) == 60
        assert len(record.diverged) == 4
        assert record.circled == tuple(top_cells(drawn, 10))
        assert record.zero_apart
        assert (record.x_title, record.y_title) == ("weight decay λ", "initial learning rate α")

    def test_is_the_same_again_and_of_a_grid_has_no_surface(self, drawn, grid):
        assert heatmap_record(drawn) == heatmap_record(drawn)
        assert heatmap_record(grid).between is None

    def test_grids_and_scattered_trials_share_a_scale(self, drawn, grid):
        record = heatmaps_record([drawn, grid])
        assert len({one.scale for one in record.heatmaps}) == 1


class TestDrawing:
    def test_points_have_the_colours_of_their_values(self, drawn):
        ax = plot_heatmap(drawn, ax=plt.figure().add_subplot())
        record = heatmap_record(drawn)
        (points,) = artists(ax, "error")
        bad = set(record.diverged)
        good = [(cell, value) for cell, value in record.error if cell not in bad]
        np.testing.assert_allclose(points.get_offsets(), [record.center(cell) for cell, _ in good])
        ax.figure.draw_without_rendering()
        low, high = record.scale
        shares = np.clip([(value - low) / (high - low) for _, value in good], 0, 1)
        np.testing.assert_allclose(points.get_facecolors(), colormap("mako")(shares))
        assert {tuple(edge) for edge in points.get_edgecolors()} == {to_rgba("0.15")}
        (crosses,) = artists(ax, "diverged")
        assert len(crosses.get_xdata()) == 4

    def test_surface_fades_to_grey(self, drawn):
        ax = plot_heatmap(drawn, ax=plt.figure().add_subplot())
        (surface,) = artists(ax, "surface")
        shown = heatmap_record(drawn).between
        assert tuple(surface.get_extent()) == shown.box
        colours, sure = np.asarray(surface.get_array()), np.array(shown.sure)
        low, high = heatmap_record(drawn).scale
        shares = np.clip((np.array(shown.values) - low) / (high - low), 0, 1)
        plain = colormap("mako")(shares)[..., :3]
        grey = np.array(to_rgba("0.78")[:3])
        np.testing.assert_allclose(colours - grey, sure[..., None] * (plain - grey), atol=1e-6)

    def test_where_it_is_not_known_there_are_dots(self, drawn):
        frame = frame_of_design(Design(25, slope=0.0)).assign(diverged=False)
        hole = (frame["alpha"] > 1) & (frame["lambda"] > 1)
        record = heatmap_record(landscape_of(frame[~hole]))
        shown = record.between
        for level, there in ((0.0, True), (0.5, False)):
            sure = tuple(tuple(max(one, level) for one in row) for row in shown.sure)
            one = replace(record, between=replace(shown, sure=sure))
            dots = artists(draw_heatmap(one, plt.figure().add_subplot()), "unknown")
            assert bool(dots) is there
            assert all("." in dots[0].hatches[0] for _ in dots)

    def test_no_colour_of_the_map_looks_like_the_unknown(self):
        """Apart by colour where equally light: in red, green and blue."""
        colours = colormap("mako")(np.linspace(0, 1, 256))[:, :3]
        assert np.abs(colours - 0.78).max(axis=1).min() > 0.1

    def test_best_is_starred_and_ten_are_circled(self, drawn):
        ax = plot_heatmap(drawn, ax=plt.figure().add_subplot())
        (star,), (circles,) = artists(ax, "best"), artists(ax, "circles")
        record = heatmap_record(drawn)
        assert (star.get_xdata()[0], star.get_ydata()[0]) == record.center(top_cells(drawn, 1)[0])
        assert len(circles.get_xdata()) == 10

    def test_legend_explains(self, drawn, grid):
        figure = plot_heatmaps([drawn])
        told = legend(figure)
        point = heatmap_record(drawn).between.point
        assert told == [
            "trial",
            "interpolated",
            f"unknown (±{point:.2g} or more)",
            "diverged (any seed)",
            "10 best trials",
            "best trial",
        ]
        mixed = legend(plot_heatmaps([drawn, grid]))
        assert {"trial", "10 best cells"} <= set(mixed)
        assert not {"trial"} & set(legend(plot_heatmaps([grid])))

    def test_legend_tells_of_trials_near_the_border(self, drawn):
        edge = Edge("sgd", "lambda", "high", ((0, 1),), 10, along=1)
        record = replace(heatmap_record(drawn), edges=(edge,))
        told = [one.get_label() for one in heatmap_legend([record], colormap("mako"))]
        assert told[-1] == "best trials near the border"

    def test_contours_lie_on_the_surface(self, drawn):
        ax = plot_heatmap(drawn, ax=plt.figure().add_subplot(), contours=(0.3,))
        (lines,) = artists(ax, "contours")
        (path,) = lines.get_paths()
        left, right, bottom, top = heatmap_record(drawn).between.box
        x, y = path.vertices.T
        assert left <= x.min() < x.max() <= right
        assert bottom <= y.min() < y.max() <= top

    def test_few_trials_are_drawn_without_a_surface(self):
        frame = frame_of_design(Design(4)).assign(diverged=False)
        figure = plot_heatmaps([landscape_of(frame)])
        (ax, _) = figure.axes
        assert artists(ax, "surface") == []
        assert legend(figure)[0] == "trial"

    @pytest.mark.parametrize("relative", [False, True])
    def test_beside_a_grid(self, drawn, grid, relative):
        figure = plot_heatmaps([drawn, grid], relative=relative)
        one, other, _ = figure.axes
        assert one.get_xlim()[1] == pytest.approx(between(drawn).x.length)
        assert other.get_xlim() == (0, 11)
        assert [len(artists(ax, "surface")) for ax in (one, other)] == [1, 0]

    def test_to_hover_over(self, drawn, grid):
        figure = interactive_heatmaps([drawn, grid])
        surface, veil, points, crosses, *_ = figure.data
        shown = between(drawn)
        assert (surface.x[0], surface.x[-1], surface.y[0], surface.y[-1]) == shown.box
        low, high = heatmap_record(drawn).scale
        np.testing.assert_allclose(surface.z, np.clip(shown.values, low, high))
        np.testing.assert_allclose(veil.z, 1 - np.array(shown.sure))
        told = surface.text[surface.z.argmin() // surface.z.shape[1]][surface.z.argmin(axis=1)[0]]
        assert told.startswith("interpolated loss: ")
        assert " ± " in told
        assert len(points.x) == 56
        assert points.marker.coloraxis == "coloraxis"
        assert points.customdata[0][2].startswith("loss ")
        assert len(crosses.x) == 4
        assert crosses.customdata[0][3] == "1 seed, 1 diverged"
        named = [one.name for one in figure.data if one.showlegend]
        assert named == ["trial", "diverged"]
        assert figure.layout.xaxis.ticktext == shown.x.labels


class TestPruned:
    def test_have_marks_of_their_own(self, stopped):
        assert len(stopped.pruned) == 7
        record = heatmap_record(stopped)
        assert record.summary[-1] == "(73 trials, 7 pruned, interpolated)"
        figure = plot_heatmaps([stopped])
        (marks,) = artists(figure.axes[0], "pruned")
        places = [record.center(one.cell) for one in stopped.pruned]
        np.testing.assert_allclose(marks.get_xydata(), places)
        assert marks.get_markerfacecolor() == "none"
        assert "pruned" in legend(figure)

    def test_can_be_hovered_over(self, stopped):
        (marks,) = [one for one in interactive_heatmaps([stopped]).data if one.name == "pruned"]
        assert marks.showlegend
        value = stopped.metric.told(stopped.pruned[0].value)
        assert list(marks.customdata[0][2:]) == [f"loss at least {value}", "pruned"]

    def test_make_the_surface_no_better_than_they_were(self, stopped):
        """The surface that is drawn is the one that the verdict is about."""
        without = replace(stopped, pruned=())
        drawn, plain = interpolated(stopped), interpolated(without)
        assert drawn.trials == plain.trials == 73
        assert not np.array_equal(drawn.error, plain.error)

    def test_none_are_in_figures_without_any(self, drawn):
        assert "pruned" not in legend(plot_heatmaps([drawn]))
        assert artists(plot_heatmap(drawn, ax=plt.figure().add_subplot()), "pruned") == []
