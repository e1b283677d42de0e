import itertools
import math
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import seaborn
from matplotlib.figure import Figure

from landscape_study.landscapes.figures.heatmaps.heatmap import plot_heatmap, plot_heatmaps
from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    BAR,
    HeatmapRecord,
    choose_columns,
    color_scale,
    heatmap_record,
    heatmaps_record,
)
from landscape_study.landscapes.figures.style import (
    alpha_title,
    colormap,
    lambda_title,
    number,
    save,
    ticks,
)
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import TOP5_ERROR, Metric
from landscape_study.study.spec.study import Axis

nan, inf = math.nan, math.inf


def artist(ax, gid):
    (found,) = ax.findobj(lambda one: one.get_gid() == gid)
    return found


def texts(labels):
    return [label.get_text() for label in labels]


class TestTicks:
    @pytest.mark.parametrize(
        ("axis", "labels", "multiplier"),
        [
            (Axis.log2(0.001, -2, 1, zero=True), "0 1/4 1/2 1 2", 0.001),
            (Axis.log2(1.0, -10, -9), "1/1024 1/512", 1),
            (Axis(values=(0.1 / 1024, 0.1 / 4), base=0.1), "1/1024 1/4", 0.1),
            (Axis.log2(2.0, -2, 0), "1/2 1 2", 1),  # a base that is a power of two joins in
            (Axis.log2(2**-10, -6, -5), "1/64 1/32", 2**-10),  # unless that gets long
            (Axis(values=(0.025, 0.05, 0.1)), "0.025 0.05 0.1", 1),
            (Axis(values=(0, 0.00625, 0.3)), "0 0.00625 0.3", 1),
            (Axis(values=(1e-5, 3e-5, 1e-3)), "0.01 0.03 1", 1e-3),
            (Axis(values=(1e-5, 1e-4, 1e-3, 0.01, 0.1)), "10⁻⁵ 0.0001 0.001 0.01 0.1", 1),
            (Axis(values=(0,)), "0", 1),
            (Axis(values=(0.3, 300, 3e6)), "0.3 300 3·10⁶", 1),
        ],
    )
    def test_labels(self, axis, labels, multiplier):
        found = ticks(axis)
        assert " ".join(found.labels) == labels
        assert found.multiplier == pytest.approx(multiplier)

    def test_names_are_whole_values(self):
        assert ticks(Axis.log2(0.1, -1, 1, zero=True)).names == (
            "0",
            "1/2 × 0.1",
            "0.1",
            "2 × 0.1",
        )
        assert ticks(Axis(values=(1e-5, 0.003))).names == ("10⁻⁵", "0.003")

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.001, "0.001"),
            (1e-5, "10⁻⁵"),
            (2.5e-5, "2.5·10⁻⁵"),
            (2**-10, "2⁻¹⁰"),
            (1 / 3, "0.3333"),
        ],
    )
    def test_numbers(self, value, text):
        assert number(value) == text

    def test_titles_name_the_multiplier_and_where_lambda_enters(self):
        axis = Axis.log2(0.001, -1, 0)
        assert alpha_title(Axis.log2(0.1, -1, 0)) == "initial learning rate α (× 0.1)"
        assert alpha_title(Axis.log2(1.0, -1, 0)) == "initial learning rate α"
        assert lambda_title(axis, "sgd", False) == "L2 factor λ (× 0.001)"
        assert lambda_title(axis, "adamw-torch", False) == "weight decay λ (× 0.001)"
        assert lambda_title(axis, "adamw", True) == "normalized weight decay λ (× 0.001)"


class TestRecord:
    def test_holds_all_that_is_drawn(self, make):
        field = make([[4, 5, nan], [90, 3.5, 6]], diverged=[[0, 0, 0], [1, 0, 0]], seeds=2)
        assert heatmap_record(field, top=2) == HeatmapRecord(
            title="AdamW",
            summary=("best 3.50 %", "at α = 0.1,", "λ = 1/2 × 0.001", "(5 of 6 cells)"),
            x_title="weight decay λ (× 0.001)",
            x_labels=("0", "1/2", "1"),
            y_title="initial learning rate α (× 0.1)",
            y_labels=("1/2", "1"),
            zero_apart=True,
            error=(((0, 0), 4.0), ((0, 1), 5.0), ((1, 0), 90.0), ((1, 1), 3.5), ((1, 2), 6.0)),
            missing=((0, 2),),
            diverged=((1, 0),),
            circled=((1, 1), (0, 0)),
            scale=(3.5, 6.5),
            label="test error (%), mean over 2 seeds",
        )

    def test_summary_tells_the_standard_error_of_several_seeds(self, make):
        field = replace(make([[4, 5]], seeds=2), stderr=np.array([[0.125, 0.5]]))
        assert heatmap_record(field).summary[0] == "best 4.00 ± 0.12 %"

    def test_says_when_nothing_is_there_to_be_best(self, make):
        none, lost = make([[nan, nan]]), make([[90, 90]], diverged=[[1, 1]])
        assert heatmap_record(none).summary == ("nothing finished yet",)
        assert heatmap_record(none).label == "test error (%)"
        assert heatmap_record(lost).summary == ("every finished cell diverged",)

    def test_seeds_in_the_label(self, make):
        few, many = make([[1, 2]]), make([[1, nan]], seeds=3)
        assert heatmap_record(few).label == "test error (%), 1 seed"
        both = heatmaps_record([few, many])
        assert both.label == "test error (%), mean over 1 to 3 seeds"

    def test_the_label_says_which_error(self, make):
        field = make([[1, 2]], seeds=3, metric=TOP5_ERROR)
        assert heatmap_record(field).label == "Top-5 test error (%), mean over 3 seeds"
        none = make([[nan, nan]], metric=TOP5_ERROR)
        assert heatmap_record(none).label == "Top-5 test error (%)"

    def test_zero_alone_is_not_apart(self, make):
        assert not heatmap_record(make([[1]], lambda_=Axis(values=(0,)))).zero_apart

    def test_scale_is_shared_and_leaves_diverged_cells_out(self, make):
        one, other = make([[4, nan]]), make([[0.5, 5]], diverged=[[1, 0]])
        assert color_scale([one, other]) == (4, 7)
        assert color_scale([one, other], span=1) == (4, 5)
        assert color_scale([one, other], scale=(3, 7)) == (3, 7)
        assert color_scale([make([[nan]], lambda_=Axis(values=(1,)))]) == (0, 3)
        scales = {record.scale for record in heatmaps_record([one, other]).heatmaps}
        assert scales == {(4, 7)}

    @pytest.mark.parametrize(
        ("count", "columns"),
        list(enumerate([1, 2, 3, 2, 3, 3, 4, 4, 3, 4, 4, 4], start=1)),
    )
    def test_columns_suit_the_number(self, make, count, columns):
        record = heatmaps_record([make([[1, 2]])] * count)
        assert record.columns == columns
        assert (record.rows - 1) * columns < count <= record.rows * columns

    @pytest.mark.parametrize(
        ("count", "width", "wish", "columns"),
        [(6, None, 6, 6), (6, 5.5, 6, 3), (6, 5.5, 2, 2), (6, 3.25, 3, 2), (4, 3.25, None, 1)],
    )
    def test_columns_fit_the_paper(self, count, width, wish, columns):
        assert choose_columns(count, width, wish, right=BAR) == columns

    def test_relative_colours_name_the_error(self, make):
        one = make([[3, 4]], metric=TOP5_ERROR)
        label = heatmaps_record([one, one], relative=True).label
        assert label == "Top-5 test error (points above the panel's best)"
        assert heatmaps_record([one]).label == "Top-5 test error (%), 1 seed"

    def test_of_a_metric_where_more_is_better(self, make):
        score = Metric("f1", "macro F1", goal="maximize", matters=0.01)
        one = make([[0.5, 0.9], [0.8, 0.7]], lambda_=Axis(values=(1, 2)), metric=score)
        record = heatmap_record(one, top=2, contours=[0.05])
        assert record.circled == ((0, 1), (1, 0))
        assert record.scale == pytest.approx((0.78, 0.9))
        assert record.contours[0] == pytest.approx((0.05, 0.85))
        assert record.label == "macro F1, 1 seed"
        assert record.summary[0] == "best 0.900"
        assert (
            heatmaps_record([one, one], relative=True).label == "macro F1 (below the panel's best)"
        )

    def test_the_best_of_any_metric_is_dark(self, make):
        loss = Metric("loss", "loss", unit="nats", matters=0.1)
        score = Metric("score", "score", goal="maximize", matters=0.1)
        values = np.array([[1.0, 2.0], [3.0, 4.0]])
        darkness = []
        for metric in (loss, score):
            field = make(metric.sign * values, lambda_=Axis(values=(1, 2)), metric=metric)
            figure = plot_heatmaps([field])
            (cells,) = [c for c in figure.axes[0].collections if c.get_gid() == "error"]
            darkness.append(cells.to_rgba(cells.get_array()))
            (bar,) = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
            assert bar.get_ylabel().startswith(metric.title)
        np.testing.assert_allclose(*darkness)  # the same picture
        assert darkness[0][0].sum() < darkness[0][3].sum()

    def test_equal_axis_titles_stand_once(self, make):
        sgd, sgdw, adam, adamw = (
            make([[1, 2]], pair=pair, alpha=Axis(values=(base,), base=base))
            for pair, base in (("sgd", 1), ("sgdw", 1), ("adam", 0.1), ("adamw", 0.1))
        )
        four = heatmaps_record([sgd, sgdw, adam, adamw]).heatmaps
        assert [bool(one.x_title) for one in four] == [False, False, True, True]
        assert [bool(one.y_title) for one in four] == [True, False, True, False]
        mixed = heatmaps_record([sgd, adamw, adam, sgdw, sgd], columns=2).heatmaps
        assert [bool(one.x_title) for one in mixed] == [False, False, False, True, True]
        assert [bool(one.y_title) for one in mixed] == [True, True, True, True, True]

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"columns": 0}, "columns = 0"),
            ({"span": 0}, "span = 0: give a positive"),
            ({"span": nan}, "span = nan"),
            ({"scale": (7, 3)}, "two ascending values"),
        ],
    )
    def test_impossible_options(self, make, wrong, message):
        with pytest.raises(UsageError, match=message):
            plot_heatmaps([make([[1, 2]])], **wrong)
        with pytest.raises(UsageError, match="no landscapes"):
            plot_heatmaps([])


class TestColormap:
    def test_mako_is_that_of_seaborn(self):
        sampled = np.linspace(0, 1, 256)
        own, theirs = colormap("mako")(sampled), seaborn.color_palette("mako", as_cmap=True)
        np.testing.assert_allclose(own, theirs(sampled), atol=0.5 / 255)

    def test_seaborn_has_others(self):
        assert colormap("rocket").name == "rocket"

    def test_a_name_that_nobody_has(self):
        with pytest.raises(UsageError, match="unknown colour map 'mak': try mako"):
            colormap("mak")


class TestHeatmap:
    def test_draws_into_the_given_or_the_current_axes(self, make):
        _, (left, right) = plt.subplots(1, 2)
        assert plot_heatmap(make([[1, 2]]), ax=left, cbar=False) is left
        assert plot_heatmap(make([[1, 2]]), cbar=False) is right

    def test_colours_and_places_of_cells(self, make):
        ax = plot_heatmap(make([[4, 5, nan], [inf, 3.5, 6]]), cmap="viridis")
        errors = artist(ax, "error")
        errors.update_scalarmappable()
        boxes = [path.get_extents().bounds for path in errors.get_paths()]
        expected = [(0, 0, 1, 1), (1.35, 0, 1, 1), (0, 1, 1, 1), (1.35, 1, 1, 1), (2.35, 1, 1, 1)]
        np.testing.assert_allclose(boxes, expected)
        viridis = colormap("viridis")
        colors = [viridis(share) for share in (0.5 / 3, 0.5, 1.0, 0.0, 2.5 / 3)]
        np.testing.assert_allclose(errors.get_facecolor(), colors)
        assert (ax.get_xlim(), ax.get_ylim()) == ((0, 3.35), (0, 2))

    def test_marks(self, make):
        field = make([[4, 5, nan], [90, 3.5, 6]], diverged=[[0, 0, 0], [1, 0, 0]])
        ax = plot_heatmap(field, top=3)
        circles, best = artist(ax, "circles"), artist(ax, "best")
        np.testing.assert_allclose(circles.get_xydata(), [[1.85, 1.5], [0.5, 0.5], [1.85, 0.5]])
        np.testing.assert_allclose(best.get_xydata(), [[1.85, 1.5]])
        assert circles.get_markerfacecolor() == "none"
        (hatched,) = artist(ax, "diverged").get_paths()
        assert hatched.get_extents().bounds == (0, 1, 1, 1)
        assert artist(ax, "diverged").get_hatch()
        (blank,) = artist(ax, "missing").get_paths()
        np.testing.assert_allclose(blank.get_extents().get_points().mean(axis=0), [2.85, 0.5])
        assert artist(ax, "missing").get_facecolor().size == 0

    def test_words(self, make):
        ax = plot_heatmap(make([[4, 5, 6], [6, 3.5, 6]]))
        assert ax.get_title(loc="left") == "AdamW"
        summary = artist(ax, "summary").get_text()
        assert " ".join(summary.split()) == "best 3.50 % at α = 0.1, λ = 1/2 × 0.001"
        assert ax.get_ylabel() == "initial learning rate α (× 0.1)"
        assert texts(ax.get_xticklabels()) == ["0", "1/2", "1"]
        assert texts(ax.get_yticklabels()) == ["1/2", "1"]
        np.testing.assert_allclose(ax.get_xticks(), [0.5, 1.85, 2.85])

    @pytest.mark.parametrize(("scale", "extend"), [(None, "max"), ((4, 7), "both")])
    def test_colour_bar_shows_that_errors_go_on(self, make, scale, extend):
        ax = plot_heatmap(make([[3, 5]]), scale=scale)
        bar = artist(ax, "error").colorbar
        assert bar.extend == extend
        assert (bar.vmin, bar.vmax) == (scale or (3, 6))
        assert bar.ax.get_ylabel().replace("\n", ", ") == "test error (%), 1 seed"

    def test_unknown_colour_map(self, make):
        with pytest.raises(UsageError, match="unknown colour map 'virids': try viridis"):
            plot_heatmap(make([[1, 2]]), cmap="virids")

    def test_long_labels_turn_and_then_thin_out(self, make):
        wide = Axis.log2(0.001, -60, 0)
        ax = plot_heatmap(make(np.ones((40, 61)), lambda_=wide))
        assert {label.get_rotation() for label in ax.get_xticklabels()} == {90}
        ax.figure.canvas.draw()
        for labels, side in ((ax.get_xticklabels(), "x"), (ax.get_yticklabels(), "y")):
            boxes = [label.get_window_extent() for label in labels]
            ends = [(getattr(box, side + "0"), getattr(box, side + "1")) for box in boxes]
            assert all(one[1] <= two[0] for one, two in itertools.pairwise(ends))

    @pytest.mark.parametrize("layout", [None, "constrained", "tight"])
    @pytest.mark.parametrize("width", [2.4, 3.0, 3.6])
    def test_labels_stay_apart_beside_a_colour_bar(self, make, layout, width):
        field = make(np.ones((14, 8)), lambda_=Axis.log2(1.0, 3, 10))
        ax = plot_heatmap(field, ax=plt.figure(figsize=(width, 3.6), layout=layout).subplots())
        ax.figure.canvas.draw()
        boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
        assert len(boxes) > 2
        assert all(one.x1 <= two.x0 for one, two in itertools.pairwise(boxes))

    def test_drawing_again_moves_nothing(self, make):
        """A layout that counted the summary's width narrowed the axes at every drawing."""
        figure = plt.figure(figsize=(3.4, 3.6), layout="constrained")
        ax = plot_heatmap(make(np.eye(11, 12)), ax=figure.subplots())
        summary = artist(ax, "summary")  # one, though the layout looked at an earlier one
        figure.canvas.draw()
        assert summary.get_window_extent().width > ax.bbox.width / 2
        width = ax.bbox.width
        figure.canvas.draw()
        assert ax.bbox.width == pytest.approx(width)


class TestHeatmaps:
    def test_one_axes_a_landscape_in_reading_order_and_one_colour_bar(self, make):
        fields = [make([[i + 1, 2, 3]], title=f"panel {i}") for i in range(5)]
        figure = plot_heatmaps(fields)
        *axes, bar = figure.axes
        assert [ax.get_title(loc="left") for ax in axes] == [f"panel {i}" for i in range(5)]
        assert {artist(ax, "error").get_clim() for ax in axes} == {(1, 4)}
        assert bar.get_ylabel().startswith("test error (%)")
        assert not plt.get_fignums()  # nothing is left in pyplot

    def test_legend_explains_the_marks_that_occur(self, make):
        plain = make([[4, 5, 6]])
        ugly = replace(plain, error=np.array([[4, 90, nan]]), diverged=np.array([[0, 1, 0]]))
        (legend,) = plot_heatmaps([plain]).legends
        assert texts(legend.get_texts()) == ["best cell"]
        (legend,) = plot_heatmaps([plain], top=3).legends
        assert texts(legend.get_texts()) == ["3 best cells", "best cell"]
        (legend,) = plot_heatmaps([plain, ugly], top=3).legends
        assert texts(legend.get_texts())[2:] == ["diverged (any seed)", "not finished"]

    @pytest.mark.parametrize(
        "error",
        [[[nan, nan], [nan, nan]], [[4.0]], [[5.0, 4.0, 6.0]], [[5.0], [4.0]], [[inf, inf]]],
        ids=["nothing finished", "one cell", "one row", "one column", "infinite"],
    )
    @pytest.mark.parametrize("lost", [False, True])
    def test_whatever_there_is_draws(self, make, error, lost, tmp_path):
        error = np.array(error)
        lambda_ = Axis.log2(0.001, 1 - error.shape[1], 0)
        field = make(error, diverged=np.full(error.shape, int(lost)), lambda_=lambda_)
        save(plot_heatmaps([field, field]), tmp_path / "figure.png", dpi=30)

    def test_titles_of_raw_and_normalized_factors_stay_apart_on_paper(self, make):
        error = np.full((6, 6), 3.0)
        row = [make(error, normalized=normalized) for normalized in (True, False, True)]
        figure = plot_heatmaps(row, columns=3, width="page")
        titles = [ax.xaxis.label for ax in figure.axes[:3]]
        assert "\n" in titles[0].get_text()
        words = [" ".join(title.get_text().split()) for title in titles]
        assert words[:2] == ["normalized weight decay λ (× 0.001)", "weight decay λ (× 0.001)"]
        figure.draw_without_rendering()
        boxes = [title.get_window_extent() for title in titles]
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))

    def test_titles_of_a_row_stand_at_one_height(self, make):
        values = Axis(values=(0.01234, 0.02345, 0.03456, 0.04567))
        error, spread = np.full((4, 4), 33.3), np.full((4, 4), 0.25)
        long = make(error, stderr=spread, seeds=3, alpha=values, lambda_=values)
        short = make([[3.0]], alpha=Axis(values=(1.0,)), lambda_=Axis(values=(1.0,)))
        figure = plot_heatmaps([long, short], columns=2)
        lines = [artist(ax, "summary").get_text().split("\n") for ax in figure.axes[:2]]
        assert len(lines[0]) == len(lines[1]) > 1
        assert "".join(lines[1][1:]).strip() == ""
        figure.draw_without_rendering()
        one, other = (ax._left_title.get_window_extent().y0 for ax in figure.axes[:2])
        assert one == pytest.approx(other, abs=1)

    def test_words_lie_within_the_figure_and_apart(self, make):
        error = np.linspace(4, 9, 132).reshape(11, 12)
        fields = [make(error, title=f"panel {i}") for i in range(4)]
        figure = plot_heatmaps(fields)
        figure.draw_without_rendering()
        width, height = figure.get_size_inches()
        assert 7 <= width <= 9
        assert 7 <= height <= 9
        for ax in figure.axes[:4]:
            box, summary = ax.get_tightbbox(), artist(ax, "summary").get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.x1
            assert summary.x1 <= ax.bbox.x1 + 5
            boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
            pairs = itertools.pairwise(boxes)
            assert all(one.x1 <= two.x0 for one, two in pairs)

    def test_notebooks_show_it(self, make):
        assert plot_heatmaps([make([[1, 2]])])._repr_png_().startswith(b"\x89PNG")


@pytest.mark.slow
class TestSave:
    @pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg", ".PDF"])
    def test_the_same_figure_gives_the_same_file(self, make, tmp_path, suffix):
        paths = [tmp_path / "new" / f"{name}{suffix}" for name in "ab"]
        for path in paths:
            assert save(plot_heatmaps([make([[1, 2]])]), path, dpi=50) == path
        assert paths[0].read_bytes() == paths[1].read_bytes()

    def test_fonts_are_embedded_and_svg_keeps_text(self, make, tmp_path):
        figure = plot_heatmaps([make([[1, 2]])])
        svg = save(figure, tmp_path / "figure.svg").read_text(encoding="utf-8")
        assert re.search(r"<text[^>]*>weight decay λ", svg)
        pdf = save(figure, tmp_path / "figure.pdf").read_bytes()
        assert b"/FontFile2" in pdf  # TrueType, as fonttype 42 asks for
        assert b"/Type3" not in pdf

    @pytest.mark.parametrize("name", ["figure.bmp", "figure"])
    def test_an_unknown_suffix_names_the_valid_ones(self, tmp_path, name):
        with pytest.raises(UsageError, match=r"\.png, \.pdf or \.svg"):
            save(Figure(), tmp_path / name)
        assert not list(tmp_path.iterdir())
