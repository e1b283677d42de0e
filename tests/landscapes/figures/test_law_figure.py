"""Figures of laws: what they show, and how."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from landscape_study.landscapes.figures.law_figure import plot_laws
from landscape_study.landscapes.figures.law_record import Published, law_record
from landscape_study.study.errors import UsageError
from tests.landscapes.statistics.law_coverage import SETTINGS, Setting, law_of

QUIET = Setting(noise=0.02)


@pytest.fixture(scope="module")
def laws() -> list:
    """One that is known, one that is scaled, and one whose best λ lies beyond the border."""
    far = replace(SETTINGS["far beyond it"], noise=0.05)
    return [law_of(setting) for setting in (QUIET, SETTINGS["scaled, a diagonal"], far)]


def gids(ax) -> list[str]:
    every = [*ax.lines, *ax.collections, *ax.texts]
    return [str(one.get_gid()) for one in every if one.get_gid()]


class TestRecord:
    def test_a_row_for_each_family_with_alpha_lambda_and_their_product(self, laws):
        record = law_record(laws)
        assert record.columns == 3
        titles = ["best learning rate α", "best weight decay λ", "best α·λ"]
        assert [one.y_title for one in record.axes] == 3 * titles
        assert [one.family for one in record.axes[:4]] == [
            "AdamW, cosine, 6 epochs",
            "",
            "",
            "AdamW (torch: λ scaled by α), cosine, 6 epochs",
        ]
        assert {one.x_title for one in record.axes} == {"batch size"}
        assert record.axes[0].ticks == (16, 32, 64, 128)

    def test_points_and_line_are_those_of_the_law(self, laws):
        own = law_record(laws).axes[1]
        found = laws[0].exponent("λ")
        assert [point.y for point in own.points] == [2**one.value.value for one in found.places]
        assert all(point.low < point.y < point.high for point in own.points)
        assert own.fit is not None
        slope = math.log2(own.fit.y[-1] / own.fit.y[0]) / math.log2(own.fit.x[-1] / own.fit.x[0])
        assert slope == pytest.approx(found.exponent.value)
        ends = zip(own.fit.low, own.fit.y, own.fit.high, strict=True)
        assert all(low < y < high for low, y, high in ends)
        b = found.exponent
        assert own.title == f"b = {b.value:.2f} ({b.low:.2f} to {b.high:.2f})"

    def test_published_laws_pass_through_the_middle_with_their_exponents(self, laws):
        def slope(line: Published) -> float:
            return math.log2(line.y[1] / line.y[0]) / math.log2(line.x[1] / line.x[0])

        own = law_record(laws).axes[1].published
        assert [round(slope(line), 6) for line in own] == [1, 0.5]
        assert own[0].label.split("\n") == [
            "timescale kept, in epochs (Wang & Aitchison)",
            "timescale kept, share of data (Bergsma et al.)",
        ]
        assert [round(slope(line), 1) for line in law_record(laws).axes[4].published] == [0.5, 0]
        assert not law_record(laws).axes[2].published  # α·λ is no decay of AdamW's

    def test_bounds_say_where_the_truth_lies(self, laws):
        own = law_record(laws).axes[7]
        assert [point.side for point in own.points] == ["below", "", "", "above"]
        assert own.fit is None
        assert own.title.startswith("b at least ")

    def test_nothing_told_is_nothing_drawn(self):
        own = law_record([law_of(Setting(steep=0.0))]).axes[1]
        assert own.points == ()
        assert own.published == ()
        assert own.title == "b: cannot tell"


class TestDrawing:
    def test_each_has_its_marks(self, laws):
        figure = plot_laws(laws)
        assert len(figure.axes) == 9
        known, beyond = figure.axes[1], figure.axes[7]
        assert gids(known).count("published") == 2
        assert {"fit", "band"} <= set(gids(known))
        assert len(known.containers) == 4
        assert gids(beyond).count("bound") == 2
        assert gids(beyond).count("arrow") == 2
        assert "fit" not in gids(beyond)
        assert known.get_xscale() == known.get_yscale() == "log"
        assert [label.get_text() for label in known.get_xticklabels()] == ["16", "32", "64", "128"]
        legend = [text.get_text() for text in figure.legends[0].get_texts()]
        assert legend[:2] == [
            "found, with 95 % intervals",
            "a bound: the best lies beyond the border",
        ]

    def test_nothing_told_is_said(self):
        figure = plot_laws([law_of(Setting(steep=0.0))])
        figure.canvas.draw()
        assert [text.get_text() for text in figure.axes[1].texts] == ["cannot tell"]

    @pytest.mark.parametrize(
        ("width", "inches", "columns"), [("page", 5.5, 3), ("column", 3.25, 1)]
    )
    def test_it_is_as_wide_as_asked(self, laws, width, inches, columns):
        figure = plot_laws(laws[:1], width=width)
        assert figure.get_figwidth() == inches
        assert len({ax.get_subplotspec().colspan.start for ax in figure.axes}) == columns

    def test_an_impossible_width_is_refused(self, laws):
        with pytest.raises(UsageError, match="give inches"):
            plot_laws(laws, width=1)
