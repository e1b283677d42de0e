import math
from dataclasses import replace

import numpy as np
import pytest

from landscape_study.landscapes.figures.anytime import draw_anytime, plot_anytime
from landscape_study.landscapes.figures.anytime_record import (
    AnytimeAxes,
    AnytimeRecord,
    Line,
    anytime_record,
    seen_range,
)
from landscape_study.landscapes.figures.best_runs import best_runs, best_sentences, gap_sentences
from landscape_study.landscapes.figures.style import save
from landscape_study.study.errors import UsageError
from tests.landscapes.studies import panel_data, panel_of, study_data

WHERE = (0.1, 0.5)
LONG = {WHERE: [[10, 8, 6, 5, 4, 3], [12, 8, 6, 5, 4, 5]], (0.1, 0.25): [[9] * 6, [9] * 6]}
SPAN = 6.6 - 2.5  # from the best value to that below which 60 % of both curves lie
CYCLES = {WHERE: [[9, 4, 9, 7, 5, 3], [9, 3, 9, 7, 5, 2]]}


@pytest.fixture
def both():
    """AdamW for 6 epochs, and AdamWR with cycles that end at 2 and 6; two seeds."""
    restarts = {"schedule": {"kind": "restarts", "t_0": 2}, "normalized": True}
    return study_data(
        panel_data(panel_of("adamw", LONG), LONG),
        panel_data(panel_of("adamwr", CYCLES, **restarts), CYCLES),
    )


def artists(ax, gid):
    return [one for one in ax.get_children() if one.get_gid() == gid]


class TestRecord:
    def test_holds_all_that_is_drawn(self, both):
        assert anytime_record(*both) == AnytimeRecord(
            axes=(
                AnytimeAxes(
                    y_title="test error (%)",
                    log=False,
                    y_range=(pytest.approx(2.5 - 0.05 * SPAN), pytest.approx(2.5 + 1.05 * SPAN)),
                    lines=(
                        Line(
                            label="AdamW: 4.00 ± 1.00 % at α = 0.1, λ = 1/2",
                            pair="adamw",
                            restarts=False,
                            epochs=(1, 2, 3, 4, 5, 6),
                            mean=(11, 8, 6, 5, 4, 4),
                            stderr=pytest.approx((1, 0, 0, 0, 0, 1)),
                            ends=(6,),
                        ),
                        Line(
                            label="AdamWR: 2.50 ± 0.50 % at α = 0.1, λ_norm = 1/2",
                            pair="adamw",
                            restarts=True,
                            epochs=(1, 2, 3, 4, 5, 6),
                            mean=(9, 3.5, 9, 7, 5, 2.5),
                            stderr=pytest.approx((0, 0.5, 0, 0, 0, 0.5)),
                            ends=(2, 6),
                        ),
                    ),
                ),
            ),
            restarts=(2,),
            headline=(
                "What AdamWR has at epoch 2 (3.50 %), AdamW first has at no epoch.",
                "AdamWR reaches the 4.00 ± 1.00 % of AdamW at epoch 2 of 6, 3.0 times earlier "
                "(3.50 ± 0.50 %: no clear difference).",
            ),
            columns=1,
        )

    def test_the_best_cell_is_that_of_the_lowest_final_error(self, both):
        assert best_sentences(best_runs(*both)) == (
            "AdamW: 4.00 ± 1.00 % at α = 0.1, λ = 1/2.",
            "AdamWR: 2.50 ± 0.50 % at α = 0.1, λ_norm = 1/2.",
        )

    def test_losses_are_logarithmic(self, both):
        axes = anytime_record(*both, metrics=["train_loss", "test_error"]).axes
        assert [one.log for one in axes] == [True, False]
        assert axes[0].lines[1].mean == pytest.approx((0.09, 0.035, 0.09, 0.07, 0.05, 0.025))

    def test_where_no_cycle_ends_the_run_does(self):
        schedule = {"kind": "restarts", "t_0": 10}
        data = study_data(panel_data(panel_of("adamw", CYCLES, schedule=schedule), CYCLES))
        record = anytime_record(*data)
        assert record.axes[0].lines[0].ends == (6,)
        assert record.restarts == ()
        said = "AdamW never restarts: its 6 epochs end within the first cycle."
        assert record.headline == (said,)

    def test_a_cycle_that_is_cut_short_is_held_against_none(self, both):
        schedule = {"kind": "restarts", "t_0": 10}
        short = panel_of("adamwr", CYCLES, schedule=schedule, normalized=True)
        data, curves = study_data((both[0][0], both[1].iloc[:24]), panel_data(short, CYCLES))
        said = "AdamWR never restarts: its 6 epochs end within the first cycle."
        assert anytime_record(data, curves).headline == (said,)

    def test_panels_that_diverged_everywhere_are_left_out(self, both):
        lost = panel_data(panel_of("sgdw", LONG, pair="sgdw"), LONG, diverged=list(LONG))
        data, curves = study_data(lost, *((one, both[1]) for one in both[0]))
        record = anytime_record(data, curves)
        assert [line.pair for line in record.axes[0].lines] == ["adamw", "adamw"]
        assert record.headline[0] == "SGDW: every finished cell diverged."

    def test_what_is_not_finished_is_said(self, both):
        (one, other), curves = both
        some = replace(one, cells=one.cells.assign(state=["finished", "open"] * 2))
        none = replace(other, cells=other.cells.assign(state="open"))
        said = gap_sentences([some, none])
        assert said == (
            "AdamW: 2 of 4 cells have finished; the numbers may change.",
            "AdamWR: nothing finished yet.",
        )
        assert anytime_record([some, none], curves).headline[:2] == said

    def test_unknown_metrics(self, both):
        for metrics in (["loss"], []):
            with pytest.raises(UsageError, match="give some of train_loss, test_error"):
                plot_anytime(*both, metrics=metrics)


class TestSeenRange:
    def test_first_epochs_and_spikes_lie_beyond(self):
        mean = [90.0] * 10 + list(np.linspace(10, 4, 85)) + [60.0] * 5
        low, high = seen_range([mean], [4.0])
        assert 3 < low < 4
        assert 8 < high < 12

    def test_every_solution_is_seen(self):
        low, high = seen_range([[3.0] * 50], [8.0])
        assert low < 3
        assert high > 8

    def test_zeros_have_no_logarithm(self):
        low, high = seen_range([[0.0, 0.1, 1.0]], [0.1], log=True)
        assert 0 < low < 0.1 < high

    def test_of_nothing(self):
        assert seen_range([[], []], []) is None
        assert seen_range([[0.0]], [], log=True) is None


class TestDrawing:
    def test_lines_bands_solutions_and_restarts(self, both):
        figure = plot_anytime(*both, metrics=["test_error", "train_loss"])
        left, right = figure.axes
        single, restarts = artists(left, "line")
        np.testing.assert_allclose(single.get_ydata(), [11, 8, 6, 5, 4, 4])
        assert single.get_color() == restarts.get_color()
        assert single.get_linestyle() == "--"
        assert restarts.get_linestyle() == "-"
        ends = [one.get_xydata().tolist() for one in artists(left, "end")]
        assert ends == [[[6, 4]], [[2, 3.5], [6, 2.5]]]
        assert [line.get_xdata()[0] for line in artists(left, "restart")] == [2]
        assert len(artists(left, "band")) == 2
        assert left.get_ylim()[1] < 9
        assert (left.get_yscale(), right.get_yscale()) == ("linear", "log")
        assert (left.get_ylabel(), left.get_xlabel()) == ("test error (%)", "epoch")
        assert "\nAdamWR reaches the 4.00" in figure.get_suptitle()
        (legend,) = figure.legends
        labels = [text.get_text() for text in legend.get_texts()]
        assert labels[1].startswith("AdamWR: 2.50 ± 0.50 %")
        assert labels[2] == "restart"

    def test_pairs_have_colours_and_markers_of_their_own(self, both):
        other = panel_data(panel_of("sgdw", LONG, pair="sgdw"), LONG)
        data, curves = study_data(other, *((one, both[1]) for one in both[0]))
        (ax,) = plot_anytime(data, curves).axes
        ends = artists(ax, "end")
        assert len({line.get_color() for line in ends}) == 2
        assert len({line.get_marker() for line in ends}) == 2

    def test_a_metric_that_was_not_recorded(self, both):
        data, curves = both
        curves = curves.assign(top5_error=math.nan)
        with pytest.raises(
            UsageError, match=r"Top-5 .* at most 10 classes: choose another metric"
        ):
            plot_anytime(data, curves, metrics=["top5_error"])

    def test_nothing_finished(self, both):
        (ax,) = plot_anytime([], both[1]).axes
        assert artists(ax, "line") == []
        assert [text.get_text() for text in ax.texts] == ["nothing recorded"]

    @pytest.mark.parametrize(("width", "rows"), [("column", 2), ("page", 1)])
    def test_on_paper_axes_stand_where_they_have_room(self, both, tmp_path, width, rows):
        record = anytime_record(*both, metrics=["test_error", "train_loss"], width=width)
        assert record.rows == rows
        figure = draw_anytime(record)
        save(figure, tmp_path / "x.png")
        assert figure.get_figwidth() == record.width
        boxes = [ax.get_window_extent() for ax in figure.axes]
        legend = figure.legends[0].get_window_extent()
        assert min(box.y0 for box in boxes) > legend.y1
        assert min(box.height for box in boxes) > 1.0 * figure.dpi
