"""The best cells of another panel: which they are, and when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from landscape_study.study.records.wishes import Answer, Known, Trial, Wish
from landscape_study.study.sampling import load_sampler
from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.study import Cell, Study

ALPHAS = [0.1 / 2**k for k in range(12)]  # the best cell first


def known(
    source: Iterable[Trial] | None,
    trials: Iterable[Trial] = (),
    *,
    share: float = 0.75,
    seeds: int = 2,
    metric: Metric = TEST_ERROR,
) -> Known:
    study = Study.from_dict(
        {
            "name": "s",
            "task": "digits",
            "seeds": seeds,
            "alpha": ALPHAS,
            "lambda": [0.01],
            "panel": [{"pair": "adamw", "epochs": {"budgets": [1, 2], "share": share}}],
        },
        "test",
    )
    own, seen = tuple(trials), None if source is None else tuple(source)
    return Known(study.panels[1], metric, study.seeds, own, len(own), seen)


def cell(number: int) -> Cell:
    return Cell(ALPHAS[number], 0.01)


def trained(
    number: int, *values: float, diverged: Iterable[int] = (), first: int = 0
) -> list[Trial]:
    """Trials of a cell, one for each seed from `first` on."""
    return [
        Trial(cell(number), first + seed, "finished", value, diverged=seed in diverged)
        for seed, value in enumerate(values)
    ]


def whole() -> list[Trial]:
    return [one for k in range(12) for one in trained(k, k, k + 1)]


def ask(seen: Known) -> Answer:
    assert seen.panel.promoted is not None
    return load_sampler(seen.panel.promoted).ask(seen, width=4)


def asked(answer: Answer) -> list[tuple[int, int]]:
    """Number of the cell and seed of each wish."""
    return [(ALPHAS.index(one.cell.alpha), one.seed) for one in answer.wishes]


def test_nothing_is_asked_for_before_the_other_panel_is_finished():
    assert ask(known(None)) == Answer()


def test_the_best_cells_are_asked_for_under_every_seed():
    answer = ask(known(whole()))
    assert asked(answer) == [(k, seed) for k in range(9) for seed in (0, 1)]
    assert answer.settled is None


def test_once_all_are_there_it_is_settled():
    there = [one for k in range(9) for one in trained(k, 1.0, 1.0)]
    assert ask(known(whole(), there)).settled == "the best 9 of 12 cells of adamw-1-epochs"


def test_what_is_there_already_is_not_asked_for_again():
    there = [*trained(3, 0.0, 0.0), *trained(5, 0.0), *trained(11, 9.0, 9.0)]
    missing = [(k, s) for k in range(9) for s in (0, 1) if k != 3 and (k, s) != (5, 0)]
    assert asked(ask(known(whole(), there))) == missing


def test_a_metric_to_maximize_has_its_best_cells_at_the_other_end():
    accuracy = Metric("accuracy", "accuracy", goal="maximize")
    answer = ask(known(whole(), metric=accuracy, share=0.7))
    assert {k for k, _ in asked(answer)} == set(range(3, 12))


def test_the_mean_over_the_seeds_that_finished_counts():
    source = [one for k in range(2, 12) for one in trained(k, 5.0, 5.0)]
    source += [*trained(0, 0.0, 11.0), *trained(1, 4.0), Trial(cell(1), 1, "failed")]
    best = [k for k, seed in asked(ask(known(source, share=0.1))) if seed == 0]
    assert best[0] == 1
    assert 0 not in best


def test_cells_that_diverged_come_last_and_those_that_always_did_are_left_out():
    source = [one for k in range(7) for one in trained(k, 5.0, 5.0)]
    source += trained(7, 0.0, 90.0, diverged=[1])
    source += [one for k in (8, 9) for one in trained(k, math.inf, math.inf, diverged=[0, 1])]
    answer = ask(known(source, share=1.0))
    assert [k for k, seed in asked(answer) if seed == 0] == [6, 5, 4, 3, 2, 1, 0, 7]
    there = [Trial(one.cell, one.seed, "open") for one in answer.wishes]
    why = "the best 8 of 10 cells of adamw-1-epochs, all that ended well"
    assert ask(known(source, there, share=1.0)).settled == why


def test_pruned_seeds_tell_nothing_and_cells_that_always_were_are_left_out():
    source = [one for k in range(7) for one in trained(k, 5.0, 5.0)]
    source += [*trained(7, 0.0), Trial(cell(7), 1, "pruned", 1.0)]
    source += [Trial(cell(8), seed, "pruned", 0.0) for seed in (0, 1)]
    best = [k for k, seed in asked(ask(known(source, share=1.0))) if seed == 0]
    assert best == [7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("state", ["failed", "diverged"])
def test_where_no_cell_ended_well_there_is_nothing_to_train(state: str):
    source = (
        [Trial(cell(k), 0, "failed") for k in range(12)]
        if state == "failed"
        else [one for k in range(12) for one in trained(k, 90.0, diverged=[0])]
    )
    assert ask(known(source)).settled == "no cell of adamw-1-epochs ended well"


def test_a_further_seed_is_asked_for_of_the_best_cells_only():
    there = [one for k in range(9) for one in trained(k, 1.0, 1.0)]
    source = whole() + [one for k in range(12) for one in trained(k, 11.0 - k, first=2)]
    answer = ask(known(source, there, seeds=3))
    assert {wish.seed for wish in answer.wishes} == {2}
    assert answer.wishes[0] == Wish(cell(0), 2)
