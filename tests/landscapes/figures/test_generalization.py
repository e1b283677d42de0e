import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from landscape_study.landscapes.figures.curves import Curve
from landscape_study.landscapes.figures.generalization import (
    draw_generalization,
    plot_generalization,
)
from landscape_study.landscapes.figures.generalization_record import (
    Family,
    Final,
    Gain,
    GeneralizationRecord,
    Member,
    at_equal_loss,
    generalization_record,
)
from landscape_study.landscapes.figures.style import save
from landscape_study.landscapes.statistics.restarts import ONE_SEED
from landscape_study.study.spec.metric import Metric
from tests.landscapes.studies import panel_data, panel_of, study_data

ADAM = {(0.1, 0.25): [[9, 4]], (0.1, 0.5): [[8, 3]]}
ADAMW = {
    **{(0.1, 0.0): [[9, 5]], (0.1, 0.25): [[9, 2]], (0.1, 0.5): [[9, 99]]},
    **{(0.2, 0.0): [[9, 8]], (0.2, 0.25): [[9, 8]], (0.2, 0.5): [[9, 8]]},
}


@pytest.fixture
def both():
    """Adam at one α, AdamW at two and with λ = 0; a cell of it diverges; one seed."""
    lost = (0.1, 0.5)
    return study_data(
        panel_data(panel_of("adam", ADAM, pair="adam"), ADAM),
        panel_data(panel_of("adamw", ADAMW, normalized=True), ADAMW, diverged=[lost]),
    )


def curve(*values: float) -> Curve:
    return Curve(
        "", tuple(range(1, len(values) + 1)), values, (0.0,) * len(values), diverged=False
    )


def unlabelled(family: Family) -> Family:
    """The family with curves that compare by their values alone."""

    def plain(one: Curve) -> Curve:
        return replace(one, label="", mean=tuple(round(value, 9) for value in one.mean))

    members = [
        replace(member, loss=plain(member.loss), error=plain(member.error))
        for member in family.members
    ]
    return replace(family, members=tuple(members))


def gids(ax, gid):
    return [one for one in ax.lines if one.get_gid() == gid]


def axes_of(figure):
    return {ax.get_gid(): ax for ax in figure.axes}


class TestRecord:
    def test_holds_all_that_is_drawn(self, both):
        record = generalization_record(*both)
        adam, adamw = map(unlabelled, record.families)
        assert adam == Family(
            title="Adam + L2, α = 0.1",
            lambda_title="L2 factor λ",
            members=(
                Member("1/4", 0.25, 0.0, curve(0.09, 0.04), curve(9, 4), Final(0.04, 4, 0)),
                Member("1/2", 0.5, 1.0, curve(0.08, 0.03), curve(8, 3), Final(0.03, 3, 0)),
            ),
        )
        assert adamw == Family(
            title="AdamW, α = 0.1, its best one",
            lambda_title="normalized weight decay λ",
            members=(
                Member("0", 0.0, 0.0, curve(0.09, 0.05), curve(9, 5), Final(0.05, 5, 0)),
                Member("1/4", 0.25, 0.5, curve(0.09, 0.02), curve(9, 2), Final(0.02, 2, 0)),
                Member("1/2", 0.5, 1.0, curve(0.09, 0.99), curve(9, 99), None),
            ),
        )
        assert replace(record, families=()) == GeneralizationRecord(
            families=(),
            error_title="test error (%)",
            factor_title="L2 factor λ or normalized weight decay λ (0 left out)",
            loss_range=record.loss_range,
            error_range=record.error_range,
            final_range=(pytest.approx(2 - 0.06 * 3), pytest.approx(5 + 0.06 * 3)),
            headline=(
                "Adam + L2: 3.00 % at α = 0.1, λ = 1/2.",
                "AdamW: 2.00 % at α = 0.1, λ_norm = 1/4.",
                "At equal training loss (0.03 to 0.04), the error of AdamW is 0.30 points above "
                "that of Adam + L2.",
                ONE_SEED,
            ),
            columns=2,
        )

    def test_noise_is_no_difference(self):
        first = {(0.1, 0.25): [[9, 3], [9, 4]], (0.1, 0.5): [[9, 5], [9, 6]]}
        second = {(0.1, 0.25): [[9, 3], [9, 4.1]], (0.1, 0.5): [[9, 5.1], [9, 6]]}
        record = generalization_record(
            *study_data(
                panel_data(panel_of("sgdw", first, pair="sgdw"), first),
                panel_data(panel_of("adamw", second), second),
            )
        )
        assert record.headline[-1] == (
            "At equal training loss (0.041 to 0.05), the errors of AdamW and SGDW show no clear "
            "difference."
        )

    def test_final_errors_far_above_the_best_lie_beyond_the_axis(self):
        cells = {(0.1, 2.0**-k): [[9, error]] for k, error in enumerate((2, 5, 80))}
        record = generalization_record(*study_data(panel_data(panel_of("adamw", cells), cells)))
        assert record.final_range is not None
        assert 5 < record.final_range[1] < 7

    def test_nothing_finished(self):
        record = generalization_record([], pd.DataFrame(columns=["panel"]))
        assert (record.families, record.final_range, record.headline) == ((), None, ())


def rows(*cells: tuple[int, float, float]) -> pd.DataFrame:
    return pd.DataFrame(cells, columns=["seed", "train_loss", "test_error"])


class TestAtEqualLoss:
    def test_errors_are_interpolated_over_the_logarithm_of_losses(self):
        one = rows((0, 0.01, 4.0), (0, 1.0, 8.0))
        other = rows((0, 0.1, 5.0), (0, 10.0, 9.0))
        # From 0.1 to 1: the first rises from 6 to 8, the second from 5 to 7.
        assert at_equal_loss(one, other) == Gain(pytest.approx(-1.0), None, (0.1, 1.0))

    def test_seeds_give_the_standard_error(self):
        one = rows(*((seed, loss, 5.0) for seed in (0, 1) for loss in (0.1, 1.0)))
        other = rows(*((seed, loss, 5.0 + seed) for seed in (0, 1, 2) for loss in (0.1, 1.0)))
        gain = at_equal_loss(one, other)
        assert gain == Gain(pytest.approx(0.5), pytest.approx(0.5), (0.1, 1.0))

    def test_without_a_common_loss_or_seed_there_is_none(self):
        one = rows((0, 0.1, 4.0), (0, 0.2, 8.0))
        assert at_equal_loss(one, rows((0, 0.3, 4.0), (0, 0.4, 8.0))) is None
        assert at_equal_loss(one, one.assign(seed=1)) is None
        assert at_equal_loss(one, rows()) is None


class TestDrawing:
    def test_four_axes_and_a_strip_each(self, both):
        figure = plot_generalization(*both)
        axes = axes_of(figure)
        assert list(axes) == ["training", "test", "factor", "loss", "strip"]
        assert len(figure.axes) == 6
        assert len(gids(axes["training"], "curve")) == len(gids(axes["test"], "curve")) == 5
        adam, adamw = gids(axes["factor"], "joined")
        assert adam.get_xydata().tolist() == [[0.25, 4], [0.5, 3]]
        assert adamw.get_xydata().tolist() == [[0.25, 2]]  # λ = 0 and the diverged one left out
        adam, adamw = gids(axes["loss"], "joined")
        np.testing.assert_allclose(adamw.get_xydata(), [[0.05, 5], [0.02, 2]])
        assert adam.get_linestyle() != adamw.get_linestyle()
        scales = [(axes[gid].get_xscale(), axes[gid].get_yscale()) for gid in list(axes)[:4]]
        assert scales == [("linear", "log"), ("linear", "linear")] + [("log", "linear")] * 2
        assert axes["loss"].get_ylabel() == "final test error (%)"

    def test_strips_explain_shades_lines_and_markers(self, both):
        figure = plot_generalization(*both)
        adam, adamw = figure.axes[4:]
        assert adamw.get_title(loc="left") == (
            "AdamW, α = 0.1, its best one; normalized weight decay λ"
        )
        assert [label.get_text() for label in adamw.get_xticklabels()] == ["0", "1/4", "1/2"]
        shown = [line.get_color() for line in adam.lines[1::2]]
        finals = [line.get_color() for line in gids(figure.axes[2], "final")[:2]]
        assert shown == finals
        assert shown[0] != shown[1]
        assert adam.lines[1].get_marker() != adamw.lines[1].get_marker()

    def test_bars_are_standard_errors(self):
        cells = {(0.1, 0.5): [[9, 2], [9, 4]], (0.1, 1.0): [[9, 5], [9, 7]]}
        figure = plot_generalization(*study_data(panel_data(panel_of("adamw", cells), cells)))
        bars = axes_of(figure)["factor"].collections
        spans = [segment[:, 1].tolist() for bar in bars for segment in bar.get_segments()]
        np.testing.assert_allclose(spans, [[2, 4], [5, 7]])

    @pytest.mark.parametrize(("width", "columns"), [("column", 1), ("page", 2)])
    def test_on_paper_all_stays_within(self, both, tmp_path, width, columns):
        record = generalization_record(*both, width=width)
        assert record.columns == columns
        figure = draw_generalization(record)
        save(figure, tmp_path / "x.png")
        box = figure.get_tightbbox()
        assert box.x0 > -0.01
        assert box.x1 < figure.get_figwidth() + 0.01

    def test_nothing_finished(self):
        figure = plot_generalization([], pd.DataFrame(columns=["panel"]))
        assert len(figure.axes) == 4
        figure.canvas.draw()

    def test_everything_diverged(self):
        cells = {(0.1, 0.5): [[9.0, math.nan]]}
        data = study_data(panel_data(panel_of("adamw", cells), cells, diverged=list(cells)))
        figure = plot_generalization(*data)
        assert gids(figure.axes[2], "final") == []
        assert figure.get_suptitle() == "AdamW: every finished cell diverged."
        figure.canvas.draw()


class TestElsewhere:
    """What was trained elsewhere has training losses in its curves only, or none, or below 0."""

    METRIC = Metric("val_loss", "validation loss")

    def data(self, name="train_loss", shift=0.0, far=None):
        """Two panels of 2 α × 4 λ; a validation loss and a training loss over 5 epochs."""
        panels, curves = [], []
        for panel, extra in (("adam", 0.1), ("adamw", 0.0)):
            cells = {
                (alpha, lambda_): [[2 + extra + (10 * alpha - i) ** 2]]
                for alpha in (0.1, 0.3)
                for i, lambda_ in enumerate((0.25, 0.5, 1.0, 2.0))
            }
            if far is not None:
                cells[0.1, 2.0] = [[far]]
            one, _ = panel_data(panel_of(panel, cells, pair=panel), cells, metric=self.METRIC)
            shown = one.cells.drop(columns="train_loss")
            panels.append(replace(one, cells=shown))
            for epoch in range(1, 6):
                loss = shift + shown["lambda"] + 1 / epoch
                rows = shown.drop(columns=["state", "diverged"])
                curves.append(rows.assign(**{"epoch": epoch, name: loss}))
        return panels, pd.concat(curves, ignore_index=True)

    @pytest.mark.some(2)
    @pytest.mark.parametrize("name", ["train_loss", "loss_train", "training loss", "loss"])
    @pytest.mark.parametrize("shift", [0.0, -3.0])
    def test_the_last_training_loss_of_the_curves_counts(self, name, shift):
        figure = plot_generalization(*self.data(name, shift))
        axes = axes_of(figure)
        joined = gids(axes["loss"], "joined")
        ends = [shift + lambda_ + 0.2 for lambda_ in (0.25, 0.5, 1.0, 2.0)]
        np.testing.assert_allclose([line.get_xdata() for line in joined], [ends, ends])
        assert axes["loss"].get_xscale() == ("log" if shift == 0 else "linear")
        minus = "−" if shift else ""
        assert f"At equal training loss ({minus}" in figure.get_suptitle()
        assert "of AdamW is 0.10 below that of Adam" in figure.get_suptitle().replace("\n", " ")

    def test_without_any_it_is_said(self):
        panels, curves = self.data()
        figure = plot_generalization(panels, curves.drop(columns="train_loss"))
        axes = axes_of(figure)
        told = "no training loss was recorded"
        assert [t.get_text() for t in axes["loss"].texts + axes["training"].texts] == [told] * 2
        assert "No training loss was recorded: nothing can be said" in figure.get_suptitle()
        assert len(gids(axes["factor"], "joined")) == 2

    def test_what_is_far_from_the_best_is_told_by_triangles(self):
        panels, curves = self.data(far=1e5)
        figure = plot_generalization(panels, curves)
        axes = axes_of(figure)
        (one, other) = gids(axes["factor"], "beyond")
        assert one.get_ydata()[0] == other.get_ydata()[0] == axes["factor"].get_ylim()[1]
        assert len(gids(axes["factor"], "final")) == 6
        assert "2 curves beyond the axis" in [text.get_text() for text in axes["test"].texts]
        assert [t.get_text() for t in figure.legends[0].get_texts()] == ["beyond the axis"]
        # The far values do not count where panels are compared.
        assert "is 0.10 below that of Adam" in figure.get_suptitle().replace("\n", " ")

    def test_nothing_is_said_of_curves_and_values_that_are_seen(self, both):
        figure = plot_generalization(*both)
        assert not figure.legends
        assert not axes_of(figure)["test"].texts
