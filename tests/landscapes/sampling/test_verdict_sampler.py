"""The sampler that looks for the verdict: what it asks for, when it stops, how right it is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from landscape_study.study.records.wishes import Answer, Known, Trial
from landscape_study.study.sampling import load_sampler
from landscape_study.study.spec.design import FIRST
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.study import Cell, Study

pytestmark = pytest.mark.slow
NOISE = 0.15


def sampled(trials: int = 100, seeds: int = 2, zero: bool = True, **design) -> Study:
    return Study.from_dict(
        {
            "name": "sampled",
            "task": "digits",
            "seeds": seeds,
            "alpha": {"base": 0.1, "log2": [-10, 0]},
            "lambda": {"base": 0.01, "log2": [-8, 2], "zero": zero},
            "design": {"sampler": "verdict", "trials": trials} | design,
            "panel": [{"pair": "adamw"}],
        },
        "test",
    )


def valley(cell: Cell, seed: int, slope: float, scale: float = 1.0) -> float:
    """An error in a valley whose best λ goes with α by so many octaves an octave."""
    x = math.log2(cell.alpha / 0.1) + 5
    y = math.log2(cell.lambda_ / 0.01) + 3 if cell.lambda_ else -9.0
    away = y - slope * x
    noise = np.random.default_rng([hash(cell) % 2**32, seed]).normal() * NOISE
    return scale * (3.0 + 0.15 * x * x + 0.5 * away * away + noise)


def known(study: Study, trials, asked: int) -> Known:
    return Known(study.panels[0], study.metric, study.seeds, tuple(trials), asked)


def run(study: Study, slope: float, count: int = 8, scale: float = 1.0):
    """All trials, and why there were no more."""
    trials: list[Trial] = []
    asked = 0
    while True:
        sampler = load_sampler(study.panels[0].design)
        answer = sampler.ask(known(study, trials, asked), count)
        if answer.settled:
            return trials, answer.settled
        assert 0 < len(answer.wishes) <= count
        trials += [
            Trial(o.cell, o.seed, "finished", valley(o.cell, o.seed, slope, scale))
            for o in answer.wishes
        ]
        asked += len(answer.wishes)


@pytest.mark.parametrize(("slope", "verdict"), [(-1.0, "coupled"), (0.0, "separable")])
def test_it_stops_when_the_verdict_stands(slope: float, verdict: str):
    trials, why = run(sampled(), slope)
    told = f"the verdict stands at 95 % after {len(trials)} trainings: {verdict}: "
    assert why.startswith(told)
    assert FIRST <= len(trials) < 80  # of 264
    assert len({(one.cell, one.seed) for one in trials}) == len(trials)
    assert {one.cell.lambda_ == 0 for one in trials} == {True, False}
    assert all(one.cell in study_cells() for one in trials)


def study_cells() -> set[Cell]:
    return set(sampled().panels[0].grid.cells())


@pytest.mark.long
def test_any_unit_gives_the_same_cells():
    percent, _ = run(sampled(), -1.0)
    study = sampled().change(
        metric=Metric("val_loss", "validation loss", unit="nats", matters=0.0025)
    )
    loss, _ = run(study, -1.0, scale=0.01)
    assert [(one.cell, one.seed) for one in percent] == [(one.cell, one.seed) for one in loss]


def test_the_same_knowledge_gives_the_same_answer():
    study = sampled()
    trials, _ = run(study, -1.0)
    now = known(study, trials[:32], 32)
    answers = [load_sampler(study.panels[0].design).ask(now, 8) for _ in range(2)]
    assert answers[0] == answers[1]
    other = load_sampler(sampled(seed=1).panels[0].design)
    assert other.ask(known(study, [], 0), 8) != load_sampler(study.panels[0].design).ask(
        known(study, [], 0), 8
    )


def test_at_the_end_of_its_trials_it_says_what_is_open():
    _, why = run(sampled(trials=20), 0.0)
    assert why.startswith("all of its 20 trials were asked for, and the verdict is open: ")


@pytest.mark.long
@pytest.mark.parametrize("trials", [20, 100])
def test_nothing_is_said_while_others_train(trials: int):
    """What is under way may move the verdict: whether it stands, or the trials are spent."""
    study = sampled(trials=trials)
    done, why = run(study, -1.0)
    design = study.panels[0].design
    for place in (0, len(done) - 1):
        waiting = replace(done[place], state="open", value=None)
        seen = [*done[:place], waiting, *done[place + 1 :]]
        assert load_sampler(design).ask(known(study, seen, len(done)), 8).settled is None
    assert load_sampler(design).ask(known(study, done, len(done)), 8).settled == why


def test_nothing_is_said_while_the_last_cell_of_a_grid_is_trained():
    study = sampled(trials=300, seeds=1).change_panels(**{"alpha": [1, 2, 4], "lambda": [1, 2, 4]})
    cells = study.panels[0].grid.cells()
    done = [Trial(cell, 0, "finished", 5.0 + i % 3) for i, cell in enumerate(cells)]
    waiting = replace(done[0], state="open", value=None)
    sampler = load_sampler(study.panels[0].design)
    assert sampler.ask(known(study, [waiting, *done[1:]], 9), 8) == Answer()
    assert "every cell of its grid" in (sampler.ask(known(study, done, 9), 8).settled or "")


class TestBeyondTheBest:
    """A verdict that stands is not the end where best cells lie on the outermost lines tried."""

    STUDY = sampled(trials=300, zero=False).change_panels(alpha={"base": 0.1, "log2": [-10, 2]})

    def trials(self, middle: float) -> list[Trial]:
        """Of all cells but those of the two largest α, in a diagonal valley, best at this α."""

        def error(cell: Cell, seed: int) -> float:
            away = math.log2(cell.alpha / middle)
            return valley(cell, seed, -1.0) + 0.03 * away * away

        cells = [cell for cell in self.STUDY.panels[0].grid.cells() if cell.alpha < 0.15]
        return [Trial(o, seed, "finished", error(o, seed)) for o in cells for seed in (0, 1)]

    def tilted(self) -> list[Trial]:
        """The best ones at the largest α that was tried: the valley is even along its bottom."""
        return [
            replace(one, value=(one.value or 0) - 0.15 * math.log2(one.cell.alpha / 0.003125) ** 2)
            for one in self.trials(0.1)
        ]

    def ask(self, trials: list[Trial]):
        return load_sampler(self.STUDY.panels[0].design).ask(known(self.STUDY, trials, 242), 8)

    def test_it_tries_what_lies_beyond(self):
        wishes = self.ask(self.tilted()).wishes
        assert len(wishes) == 8
        assert {one.cell.alpha for one in wishes} == {0.2, 0.4}

    def test_while_that_is_under_way_it_waits(self):
        trials = self.tilted()
        waiting = [Trial(one.cell, one.seed, "open") for one in self.ask(trials).wishes]
        answer = self.ask([*trials, *waiting])
        assert (answer.wishes, answer.settled) == ((), None)

    def test_where_that_failed_or_is_worse_it_is_the_end(self):
        trials = self.tilted()
        for state, value in (("failed", None), ("finished", 90.0)):
            tried = [Trial(o.cell, o.seed, state, value) for o in self.ask(trials).wishes]
            settled = self.ask([*trials, *tried]).settled
            assert settled is not None
            assert "the verdict stands" in settled

    def test_where_the_best_lie_inside_it_is_the_end(self):
        settled = self.ask(self.trials(0.1 / 32)).settled
        assert settled is not None
        assert settled.startswith("the verdict stands at 95 %")


def test_a_grid_that_is_trained_whole_is_the_end():
    study = sampled(trials=400, seeds=1, zero=False)
    flat = [
        Trial(cell, 0, "finished", 3.0 + 0.01 * i)
        for i, cell in enumerate(study_cells())
        if cell.lambda_
    ]
    answer = load_sampler(study.panels[0].design).ask(known(study, flat, 0), 8)
    assert answer.settled is not None
    assert answer.settled.startswith("every cell of its grid is trained under every seed, and ")


@pytest.mark.long
def test_what_is_under_way_is_not_asked_for_again():
    study = sampled()
    trials, _ = run(study, -1.0)
    done = trials[:24]
    first = load_sampler(study.panels[0].design).ask(known(study, done, 24), 4).wishes
    waiting = [Trial(one.cell, one.seed, "open") for one in first]
    second = load_sampler(study.panels[0].design).ask(known(study, [*done, *waiting], 28), 4)
    assert not {(o.cell, o.seed) for o in first} & {(o.cell, o.seed) for o in second.wishes}


def test_where_every_cell_failed_under_one_seed_it_tries_another():
    study = sampled(trials=200, zero=False)
    bad = [Trial(cell, 0, "failed") for cell in study.panels[0].grid.cells()]
    answer = load_sampler(study.panels[0].design).ask(known(study, bad, len(bad)), 4)
    assert [one.seed for one in answer.wishes] == [1] * 4


def test_failed_and_diverged_trials_do_not_stop_it():
    study = sampled()
    bad = [Trial(cell, 0, "failed") for cell in list(study_cells())[:10]]
    bad += [
        Trial(cell, 0, "finished", math.inf, diverged=True) for cell in list(study_cells())[10:20]
    ]
    answer = load_sampler(study.panels[0].design).ask(known(study, bad, 20), 8)
    assert len(answer.wishes) == 8
    assert not {o.cell for o in bad} & {o.cell for o in answer.wishes if o.seed == 0}
