"""The report and `compare` say the same of a verdict, and not the contrary beside it."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from landscape_study.landscapes.reporting import phrases
from landscape_study.landscapes.reporting.verdict_tables import verdict_table
from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.separability import Separability, Verdict, separability
from landscape_study.landscapes.statistics.units import Units
from landscape_study.study.spec.metric import Metric
from tests.landscapes.surfaces import frame_of, valley

LOSS = Metric("loss", "loss")
SMALLER = "Raise α: look for a smaller λ (b = −1.0 by the best cells alone, no interval)."
LARGER = "Raise α: look for a larger λ (b = 0.8 by the best cells alone, no interval)."


@pytest.fixture(scope="module")
def found() -> Separability:
    return separability(frame_of(valley(0)), replicates=10)


def told(*panels: tuple[str, Separability]) -> list[str]:
    return str(verdict_table(panels).caption).split("\n")


def judged(found: Separability, verdict: Verdict, drift: float) -> Separability:
    """The same with another verdict, a drift and a product with narrow intervals."""
    return replace(
        found,
        verdict=verdict,
        reason="because",
        drift=Estimate(drift, drift - 0.05, drift + 0.05),
        product=Estimate(-0.4, -0.5, -0.3),
    )


class TestWhatFollows:
    @pytest.mark.parametrize(
        ("verdict", "drift"),
        [("separable", 0.0), ("separable", -0.5), ("coupled", -0.5), ("coupled", -1.0)],
    )
    def test_a_verdict_has_its_law_in_both(self, found, verdict, drift):
        one = judged(found, verdict, drift)
        lines = phrases.how_lambda_goes(one)
        assert lines[0].startswith("Double α: ")
        assert [f"p: {line}" for line in lines] == [
            line for line in told(("p", one)) if "α" in line and line.startswith("p: ")
        ]
        assert phrases.described(one)

    @pytest.mark.parametrize("drift", [0.0, -1.0, -0.5])
    def test_where_it_cannot_tell_nothing_follows(self, found, drift):
        one = judged(found, "cannot tell", drift)
        assert phrases.how_lambda_goes(one) == []
        assert phrases.described(one) == ""
        assert "Double α" not in "\n".join(told(("p", one)))

    def test_coupled_and_leave_lambda_are_never_told_together(self, found):
        one = judged(found, "coupled", 0.0)
        assert phrases.how_lambda_goes(one) == []
        assert "Double α" not in "\n".join(told(("p", one)))

    @pytest.mark.parametrize(
        ("slope", "drift", "line"),
        [
            (
                -1.0,
                (-0.23, -0.3, -0.15),
                SMALLER,
            ),
            (
                0.8,
                (-0.23, -0.3, -0.15),
                LARGER,
            ),
            (
                0.8,
                (-0.9, -1.0, -0.8),
                LARGER,
            ),
            (
                -1.0,
                (-0.5, -1.2, 0.2),
                SMALLER,
            ),
            (
                -1.0,
                (nan, nan, nan),
                SMALLER,
            ),
            (-1.0, (-0.98, -1.1, -0.9), "Double α: halve λ (b = −0.98"),
        ],
    )
    def test_where_the_order_decided_no_other_drift_advises(self, found, slope, drift, line):
        one = replace(
            judged(found, "coupled", 0.0), rule="order", slope=slope, drift=Estimate(*drift)
        )
        (told_line,) = phrases.how_lambda_goes(one)
        assert told_line.startswith(line)
        assert phrases.verdict_line("p", one) == "p: coupled, because"

    @pytest.mark.parametrize("drift", [-0.5, -1.0])
    def test_a_bend_has_no_law(self, found, drift):
        one = replace(judged(found, "coupled", drift), rule="interaction")
        assert phrases.how_lambda_goes(one) == []

    @pytest.mark.parametrize("verdict", ["coupled", "cannot tell"])
    def test_the_table_gives_the_reason(self, found, verdict):
        assert "p: because" in told(("p", judged(found, verdict, -1.0)))


class TestRemarks:
    def test_each_remark_stands_once(self, found):
        one, other = judged(found, "cannot tell", 0.0), judged(found, "coupled", -1.0)
        same = replace(other, verdict="cannot tell")
        lines = told(("a", one), ("b", same), ("c", other))
        assert "all panels: because" in lines
        assert sum("because" in line for line in lines) == 1
        assert next(line for line in lines if "Double" in line).startswith("c: Double α: halve")
        assert "a, b: because" in told(("a", one), ("b", same))

    def test_what_matters_is_one_line_for_all(self, found):
        loss = [Units(LOSS, matters, derived=True) for matters in (0.004, 0.004, 0.007)]
        panels = [(name, replace(found, units=one)) for name, one in zip("abc", loss, strict=True)]
        hinged = replace(panels[2][1], otherwise=((0.014, "coupled"),))
        lines = told(*panels[:2], ("c", hinged))
        assert lines[-2:] == [
            "what matters is taken to be 0.004 (a, b), 0.007 (c); --matters says otherwise",
            "c: with twice as much the verdict would be “coupled”",
        ]

    def test_every_column_is_explained(self, found):
        table = verdict_table([("p", found)])
        for column in [str(one.header) for one in table.columns][2:]:
            assert any(line.startswith(f"{column}: ") for line in str(table.caption).split("\n"))
