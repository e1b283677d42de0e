"""Power laws over a third axis: simulated studies, of which they are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.panel_families import LEAST, Family, families
from landscape_study.landscapes.statistics.scaling_law import (
    TIMESCALE,
    Exponent,
    scaling_law,
)
from tests.landscapes.statistics.law_coverage import SETTINGS, Setting, law_of, panel_of, simulated

QUIET = Setting(noise=0.02)


def verdicts(law) -> dict[str, str]:
    return {one.law.name: one.verdict for one in law.published}


def test_the_exponents_are_those_of_the_truth():
    law = law_of(QUIET)
    found = {one.quantity: one.exponent.value for one in law.exponents}
    # Twice the batch makes half the steps of an epoch: the timescale is 1/(λ·steps).
    assert found == pytest.approx({"α": 0.5, "λ": 1.0, "α·λ": 1.5, TIMESCALE: 0.0}, abs=0.04)
    assert all(one.tells for one in law.exponents)
    assert law.decay == "λ"


def test_best_values_are_those_of_the_truth():
    law = law_of(QUIET)
    places = law.exponent("λ").places
    assert [place.x for place in places] == list(QUIET.sizes)
    truth = [-5 - 0.3 + (k - 1.5) for k in range(4)]
    assert [place.value.value for place in places] == pytest.approx(truth, abs=0.1)
    (timescale,) = (one for one in law.exponents if one.quantity == TIMESCALE)
    epochs = [1 / (2**place.value.value * 6400 / place.x) for place in law.exponent("λ").places]
    assert [2**place.value.value for place in timescale.places] == pytest.approx(epochs)


def test_published_laws_are_allowed_or_contradicted():
    assert verdicts(law_of(Setting(), draw=1)) == {
        "square root scaling": "allowed",
        "timescale kept, in epochs": "allowed",
        "timescale kept, share of data": "allowed",
        "λ_norm kept": "contradicted",
    }


def test_where_alpha_multiplies_the_decay_a_law_means_another_exponent_of_lambda():
    """α·λ ∝ b with α ∝ √b is λ ∝ √b."""
    law = law_of(replace(SETTINGS["scaled, a diagonal"], noise=0.02))
    assert law.decay == "α·λ"
    kept = next(one for one in law.published if one.law.name == "timescale kept, in epochs")
    assert (kept.quantity, kept.says, kept.verdict) == ("α·λ", 1, "allowed")
    assert kept.of_lambda == pytest.approx(0.5, abs=0.1)
    squared = law_of(Setting(noise=0.02, pair="adam-squared"))
    assert squared.decay == "α²·λ"
    assert squared.exponent("α²·λ").exponent.value == pytest.approx(2.0, abs=0.05)


def test_of_normalized_panels_it_is_lambda_itself_that_counts():
    """λ = λ_norm·√(b/(B·T)): a best λ_norm that stays is λ ∝ √b."""
    panels = [panel_of(replace(QUIET, lambda_=0.0), size, 0) for size in QUIET.sizes]
    normalized = [
        replace(one, panel=one.panel.model_copy(update={"normalized": True})) for one in panels
    ]
    (family,) = families(normalized)
    assert scaling_law(family).exponent("λ").exponent.value == pytest.approx(0.5, abs=0.04)


def test_fewer_than_three_values_tell_nothing():
    law = law_of(replace(QUIET, sizes=(16, 64)))
    assert LEAST == 3
    for one in law.exponents:
        assert not one.exponent.has_interval
        assert one.why == "2 values are too few: 3 are needed"
    assert set(verdicts(law).values()) == {"cannot tell"}


def test_one_seed_of_few_cells_has_no_noise():
    law = law_of(Setting(seeds=1, octaves=1.0, steep=0.01, flat=0.01, off=0.0, lambda_=0.0))
    assert not any(one.tells for one in law.exponents)


class TestBorders:
    """A best value on the border is a bound, and never makes anything certain."""

    FAR = replace(SETTINGS["far beyond it"], noise=0.05)

    def test_values_beyond_the_border_are_bounds(self):
        places = law_of(self.FAR).exponent("λ").places
        assert [place.side for place in places] == ["below", "", "", "above"]

    def test_with_three_values_left_the_line_is_theirs(self):
        law = law_of(replace(self.FAR, sizes=(16, 32, 64, 128, 256), lambda_=2.0))
        found = law.exponent("λ")
        assert [place.side for place in found.places] == ["below", "", "", "", "above"]
        assert found.exponent.low < 2.0 < found.exponent.high
        assert found.tells

    def test_bounds_that_push_the_same_way_leave_one_end(self):
        found = law_of(self.FAR).exponent("λ").exponent
        assert math.isnan(found.value)
        assert math.isinf(found.high)
        assert 1.0 < found.low < 3.0

    def test_what_one_end_refutes_is_contradicted_and_nothing_is_allowed(self):
        told = verdicts(law_of(self.FAR))
        assert told["λ_norm kept"] == "contradicted"
        assert "allowed" not in {told["λ_norm kept"], told["timescale kept, in epochs"]}

    def test_where_lambda_changes_nothing_its_best_value_is_anywhere(self):
        law = law_of(Setting(steep=0.0))
        assert {place.side for place in law.exponent("λ").places} == {"anywhere"}
        assert {place.side for place in law.exponent("α").places} == {""}
        assert not law.exponent("λ").exponent.has_interval

    def test_a_diagonal_that_runs_out_of_the_grid_keeps_its_product(self):
        """Of α and λ there are bounds at most then, but α·λ is known."""
        law = law_of(Setting(slant=-1, flat=0.0, noise=0.05, pair="adamw-torch", alpha=0.0))
        assert "" not in {place.side for place in law.exponent("α").places}
        assert {place.side for place in law.exponent("α·λ").places} == {""}
        assert law.exponent("α·λ").exponent.value == pytest.approx(1.0, abs=0.05)

    def test_the_timescale_is_bounded_at_the_other_side(self):
        law = law_of(self.FAR)
        sides = [place.side for place in law.exponent(TIMESCALE).places]
        assert sides == ["above", "", "", "below"]

    def test_a_panel_without_results_is_nowhere(self):
        panels = [panel_of(QUIET, size, 0) for size in QUIET.sizes]
        empty = replace(panels[0], cells=panels[0].cells.assign(diverged=True))
        (family,) = families([empty, *panels[1:]])
        found = scaling_law(family).exponent("λ")
        assert [place.side for place in found.places] == ["anywhere", "", "", ""]
        assert found.tells


def test_a_coarse_grid_widens_the_interval():
    """A basin that is narrower than a step is known to a step only."""
    fine, coarse = (
        law_of(Setting(step=step, octaves=6.0, steep=1.0, flat=0.5, noise=0.02))
        .exponent("λ")
        .exponent
        for step in (1.0, 3.0)
    )
    assert coarse.high - coarse.low > 5 * (fine.high - fine.low)


def test_points_beside_the_line_widen_it():
    setting = replace(QUIET, noise=0.05)
    panels = [panel_of(setting, size, 0) for size in setting.sizes]
    straight = scaling_law(families(panels)[0]).exponent("λ")
    swapped = Family("batch_size", tuple(panels), (16, 64, 32, 128), "60 epochs")
    crooked = scaling_law(swapped).exponent("λ")
    assert straight.line is not None
    assert crooked.line is not None
    assert straight.line.stretch < 2 < crooked.line.stretch


def test_the_same_draws_every_time():
    first, second = (law_of(QUIET, replicates=50).exponent("α").exponent for _ in range(2))
    assert first == second


def test_too_wide_an_interval_allows_nothing():
    found = Exponent("λ", (), Estimate(0.5, -0.2, 1.2), None, "the interval is too wide")
    assert not found.tells


@pytest.mark.slow
@pytest.mark.some(4)
@pytest.mark.parametrize(
    "name", [name for name in SETTINGS if name not in ("no power law", "1 seed")]
)
def test_intervals_hold_the_truth(name: str):
    found = simulated(SETTINGS[name], 20)
    held = [share for share in found.held.values() if not np.isnan(share)]
    assert held
    assert min(held) >= 0.7
    assert np.mean(held) >= 0.85
