"""The report and `compare` say the same of a verdict, and not the contrary beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from landscape_study.landscapes.reporting import phrases
from landscape_study.landscapes.reporting.verdict_tables import verdict_table
from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.separability import Separability, Verdict, separability
from tests.landscapes.surfaces import frame_of, valley


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
    @pytest.mark.parametrize("drift", [0.0, -1.0, -0.5])
    @pytest.mark.parametrize("verdict", ["coupled", "separable"])
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

    @pytest.mark.parametrize("verdict", ["coupled", "cannot tell"])
    def test_the_table_gives_the_reason(self, found, verdict):
        assert "p: because" in told(("p", judged(found, verdict, -1.0)))
