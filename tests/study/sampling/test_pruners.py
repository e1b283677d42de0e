"""Who gives hopeless cells up: the halving of chunks, and Optuna's pruners."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from optuna.pruners import BasePruner

from landscape_study.study.errors import UsageError
from landscape_study.study.records.standing import Course, Pruner, Standing
from landscape_study.study.sampling.pruners import PLACES, Courses, load_pruner
from landscape_study.study.spec.metric import TEST_ERROR
from landscape_study.study.spec.pruning import HALVING, PRUNERS, Pruning
from landscape_study.study.spec.study import Cell
from tests.conftest import make_study

pytestmark = pytest.mark.slow


def cells(count: int) -> list[Cell]:
    return [Cell(0.1 * (i + 1), 0.01) for i in range(count)]


def standing(*curves: Sequence[float]) -> Standing:
    return Standing(0, cells(len(curves)), np.array(curves, dtype=float))


def loaded(pruning: Pruning, courses: Courses = tuple) -> Pruner:
    """The pruner of a small panel."""
    return load_pruner(pruning, make_study().panels[0], TEST_ERROR, courses)


def course(number: int, *costs: float, is_pruned: bool = False) -> Course:
    return Course(Cell(1.0, float(number)), 0, np.array(costs), costs[-1], is_pruned=is_pruned)


def test_every_name_has_a_pruner():
    assert {HALVING, *PLACES} == {*PRUNERS}


class TestHalving:
    def test_the_best_half_goes_on(self):
        pruner = loaded(Pruning(pruner=HALVING))
        leaving = pruner.leaving(standing([1, 9], [9, 3], [5, 4], [5, np.inf], [5, np.nan]))
        assert leaving.tolist() == [False, False, False, True, True]  # by the last epoch

    @pytest.mark.parametrize(("keep", "stay"), [(0.5, 3), (0.25, 2), (0.9, 5), (0.01, 1)])
    def test_of_any_share_at_least_one(self, keep, stay):
        pruner = loaded(Pruning(pruner=HALVING, keep=keep))
        leaving = pruner.leaving(standing([3], [1], [4], [2], [5]))
        assert (~leaving).sum() == stay
        best = np.argsort([3, 1, 4, 2, 5])[:stay]
        assert not leaving[best].any()

    @pytest.mark.parametrize(
        ("epochs", "at", "stops"),
        [
            (80, [0.125, 0.5], [10, 40]),
            (9, [0.125, 0.5], [2, 5]),
            (2, [0.125, 0.5], [1]),
            (1, [0.5], []),
            (10, [0.95, 0.2, 0.2], [2]),
        ],
    )
    def test_it_looks_within_the_budget(self, epochs, at, stops):
        assert loaded(Pruning(pruner=HALVING, at=at)).stops(epochs) == stops


class TestOptunas:
    def test_the_median_of_what_has_ended_decides(self):
        ended = [course(i, 0.5, 0.4, 0.3) for i in range(5)]
        pruner = loaded(Pruning(pruner="median"), lambda: ended)
        assert pruner.stops(3) == [1, 2]
        assert pruner.leaving(standing([0.6], [0.45])).tolist() == [True, False]
        assert pruner.leaving(standing([0.6, 0.1], [0.45, 0.41]))[1]

    def test_of_too_few_it_says_nothing(self):
        ended = [course(i, 0.5, 0.4) for i in range(2)]
        pruner = loaded(Pruning(pruner="median"), lambda: ended)
        assert not pruner.leaving(standing([9.0], [8.0])).any()
        eager = Pruning(pruner="median", arguments={"n_startup_trials": 2})
        assert loaded(eager, lambda: ended).leaving(standing([9.0], [8.0])).all()

    def test_what_ends_later_counts_for_the_next_chunk(self):
        ended: list[Course] = []
        pruning = Pruning(pruner="median", arguments={"n_startup_trials": 1})
        pruner = loaded(pruning, lambda: ended)
        first = standing([0.5])
        assert not pruner.leaving(first)[0]
        ended.append(Course(first.cells[0], first.seed, np.array([0.5, 0.4]), 0.4))
        later = Standing(1, cells(1), np.array([[0.6]]))
        assert pruner.leaving(later)[0]

    def test_the_best_of_a_chunk_are_kept_by_asha(self):
        rungs = {"min_resource": 1, "reduction_factor": 2}
        pruner = loaded(Pruning(pruner="asha", arguments=rungs))
        leaving = pruner.leaving(standing([1.0], [2.0], [3.0], [4.0]))
        assert leaving.tolist() == [False, True, True, True]

    def test_who_was_asked_before_is_only_told_what_is_new(self):
        arguments = {"upper": 5.0}
        pruner = loaded(Pruning(pruner="threshold", arguments=arguments))
        assert not pruner.leaving(standing([1.0], [2.0])).any()
        leaving = pruner.leaving(standing([1.0, 2.0, 9.0], [2.0, 3.0, 4.0]))
        assert leaving.tolist() == [True, False]

    @pytest.mark.parametrize(("goal", "bound"), [("maximize", "lower"), ("minimize", "upper")])
    def test_it_sees_the_metric_as_it_is_measured(self, goal, bound):
        """Bounds are the user's numbers, whether more is better or less."""
        metric = replace(TEST_ERROR, name="accuracy", goal=goal)
        pruning = Pruning(pruner="threshold", arguments={bound: 0.5})
        pruner = load_pruner(pruning, make_study().panels[0], metric)
        seen = standing([metric.sign * 0.3], [metric.sign * 0.7])
        assert pruner.leaving(seen).tolist() == [goal == "maximize", goal == "minimize"]

    def test_the_median_is_that_of_a_metric_of_which_more_is_better(self):
        metric = replace(TEST_ERROR, name="accuracy", goal="maximize")
        ended = [course(i, -0.5, -0.6, -0.7) for i in range(5)]
        pruner = load_pruner(
            Pruning(pruner="median"), make_study().panels[0], metric, lambda: ended
        )
        assert pruner.leaving(standing([-0.4], [-0.6])).tolist() == [True, False]

    def test_one_of_the_users_own(self):
        pruner = loaded(Pruning(pruner=f"{__name__}:Impatient", arguments={"after": 2}))
        assert not pruner.leaving(standing([1.0])).any()
        assert pruner.leaving(standing([1.0, 0.1])).all()


class Impatient(BasePruner):
    """Gives everything up after a number of epochs."""

    def __init__(self, after: int) -> None:
        self.after = after

    def prune(self, study, trial) -> bool:
        return trial.last_step >= self.after


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        (Pruning(pruner="nowhere:Pruner"), "pruner 'nowhere:Pruner' cannot be imported"),
        (Pruning(pruner="math:pi"), "math:pi is no pruner: name a subclass of optuna.pruners"),
        (
            Pruning(pruner="optuna.samplers:TPESampler"),
            "optuna.samplers:TPESampler is no pruner",
        ),
        (Pruning(pruner="percentile"), "its arguments are percentile, n_startup_trials"),
        (Pruning(pruner="surface", arguments={"topp": 3}), "its arguments are top, doubt"),
        (Pruning(pruner="surface", arguments={"top": 0}), "top = 0 is no whole number of 1"),
        (Pruning(pruner="surface", arguments={"top": 2.5}), "top = 2.5 is no whole number of 1"),
        (Pruning(pruner="surface", arguments={"doubt": 2}), "doubt = 2 is no number between"),
        (Pruning(pruner="surface", arguments={"doubt": "a"}), "doubt = 'a' is no number between"),
        (
            Pruning(pruner="median", arguments={"patience": 3}),
            "pruner 'median' with the arguments {'patience': 3}",
        ),
    ],
)
def test_what_is_no_pruner_is_refused(pruning, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        loaded(pruning)
