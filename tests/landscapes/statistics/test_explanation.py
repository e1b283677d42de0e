"""What explains a landscape: simulated ones, of which it is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from landscape_study.landscapes.reporting import phrases
from landscape_study.landscapes.reporting.verdict_tables import explanations_table
from landscape_study.landscapes.statistics.explanation import TIMESCALE, explanations
from tests.landscapes.statistics.explanation_coverage import TRUTHS, panel_of, simulated


def explained(truth: str, sizes: Sequence[int] = (32, 64, 128), **more):
    (found,) = explanations([panel_of(TRUTHS[truth], size, **more) for size in sizes])
    return found


@pytest.mark.parametrize("sizes", [(32, 128), (32, 64, 128)])
@pytest.mark.parametrize("truth", TRUTHS)
def test_over_batch_sizes_the_truth_is_told(truth, sizes):
    found = explained(truth, sizes)
    assert found.best == (truth,)
    assert found.is_told
    assert found.same == ()
    assert found.candidates[0].name == truth
    steadiest = found.candidates[0].spread
    assert steadiest.value < 0.15
    assert all(one.spread.low > 0.3 for one in found.candidates[1:])
    said = phrases.explained(found)
    assert said.startswith(
        f"AdamW (torch: λ scaled by α), {len(sizes)} panels: {truth} explains best where good "
    )


def test_how_far_each_moves_is_what_the_truth_makes_of_it():
    """The timescale is kept over steps of 50, 100 and 200: α·λ moves by an octave a panel."""
    found = {one.name: one for one in explained(TIMESCALE).candidates}
    deviation = math.sqrt(2 / 3)  # of −1, 0, 1
    assert found["α·λ"].within.value == pytest.approx(0, abs=0.1)
    assert found["α·λ"].between.value == pytest.approx(deviation, abs=0.05)
    assert found["α·λ"].between.low < deviation < found["α·λ"].between.high
    assert found["λ"].within.value == pytest.approx(2, abs=0.05)  # of 7 octaves of α
    assert found["λ"].spread.value == pytest.approx(math.hypot(2, deviation), abs=0.05)


@pytest.mark.parametrize("truth", ["α·λ", TIMESCALE])
def test_within_one_batch_size_the_timescale_is_the_product(truth):
    found = explained(truth, (64,))
    assert set(found.best) == set(found.same) == {"α·λ", TIMESCALE}
    assert found.is_told
    assert all(math.isnan(one.between.value) for one in found.candidates)
    said = phrases.explained(found)
    assert "which are the same here, explain best" in said
    assert (
        "Only panels of other batch sizes (or other data) tell α·λ and the timescale apart" in said
    )


def test_where_alpha_does_not_multiply_the_decay_the_timescale_is_that_of_lambda():
    found = explained("λ", (64,), pair="adamw")
    assert set(found.best) == set(found.same) == {"λ", TIMESCALE}
    assert explained("λ", pair="adamw").best == ("λ",)
    lambda_times_steps = [
        panel_of(lambda x, steps: 0 * x - steps, size, pair="adamw") for size in (32, 64, 128)
    ]
    (found,) = explanations(lambda_times_steps)
    assert found.best == (TIMESCALE,)


def test_where_nothing_explains_it_no_candidate_is_named():
    """Half of an octave an octave: λ and α·λ move alike."""
    (found,) = explanations([panel_of(lambda x, steps: -x / 2, 64)])
    assert set(found.best) == {"λ", "α·λ", TIMESCALE}
    assert not found.is_told
    assert "it cannot be told whether" in phrases.explained(found)


def test_where_noise_hides_it_nothing_is_told():
    found = explained(TIMESCALE, (60, 64), noise=1.0)
    assert {"α·λ", TIMESCALE} <= set(found.best)
    assert not found.is_told


def test_without_a_timescale_two_candidates_are_left():
    found = explained("α·λ", known=False)
    assert found.names == ("λ", "α·λ")
    assert found.best == ("α·λ",)
    assert found.same == ()


def test_panels_that_say_nothing_are_left_out_with_the_reason():
    cut = panel_of(lambda x, steps: 0 * x + 7, 32)  # beyond the largest λ
    whole = panel_of(TRUTHS["λ"], 128)
    (found,) = explanations([cut, whole])
    assert found.panels == ("adamw-torch-128",)
    assert found.left_out == (("adamw-torch-32", "best cells lie on a border of λ"),)
    assert "adamw-torch-32 is left out: best cells lie on a border of λ." in phrases.explained(
        found
    )
    assert "is left out: best cells lie on a border" in str(explanations_table([found]).caption)
    assert explanations([cut]) == []


@pytest.mark.parametrize("rise", [0.0, 0.25])
def test_where_lambda_changes_nothing_it_explains_nothing(rise):
    """The best λ of each α is the middle of all then, as if one and the same were best."""
    whole, reasons = panel_of(TRUTHS["α·λ"], 128), set()
    for draw in range(20):
        idle = panel_of(TRUTHS["λ"], 32, curve=0.0, rise=rise, draw=draw)
        assert explanations([idle]) == []
        (found,) = explanations([idle, whole])
        reasons |= set(found.left_out)
    assert reasons == {
        ("adamw-torch-32", "best cells lie on a border of λ"),
        ("adamw-torch-32", "in its basin λ changes nothing"),
    }


def test_only_panels_of_one_pair_and_schedule_are_held_together():
    first, other = panel_of(TRUTHS["λ"], 32), panel_of(TRUTHS["α·λ"], 32, pair="sgd")
    found = explanations([first, other])
    assert [one.title for one in found] == ["AdamW (torch: λ scaled by α)", "SGD + L2"]
    assert [one.names for one in found] == [("λ", "α·λ", TIMESCALE)] * 2


def test_the_table_says_it_per_pair():
    found = [explained("λ"), explained("α·λ", pair="sgd", known=False)]
    table = explanations_table(found)
    assert [column.header for column in table.columns] == ["pair", "λ", "α·λ", TIMESCALE]
    assert list(table.columns[3].cells)[1] == "–"
    assert "SGD + L2, 3 panels: α·λ explains best where good cells lie" in str(table.caption)


@pytest.mark.slow
@pytest.mark.parametrize("truth", TRUTHS)
def test_noise_hardly_ever_names_another_and_the_intervals_hold(truth):
    found = simulated(truth, noise=0.4, repeats=30)
    assert found.wrong == 0
    assert found.told >= 25
    assert min(found.held.values()) >= 0.8
