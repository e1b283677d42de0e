"""What a trained chunk gives: the values that count."""

import numpy as np
import pytest

from landscape_study.study.records.outcome import Outcome
from landscape_study.study.spec.metric import TEST_ERROR

CURVE = np.array([[5.0, 4.0, 3.0, 9.0], [9.0, 8.0, 7.0, 6.0]], np.float32)


def outcome(diverged=(0, 0), solution=None):
    return Outcome({"test_error": CURVE}, np.array(diverged), 1.0, solution=solution)


@pytest.mark.parametrize(
    ("solution", "final"), [(None, [9, 6]), (4, [9, 6]), (3, [3, 7]), (1, [5, 9])]
)
def test_the_final_value_is_that_of_the_solution(solution, final):
    assert outcome(solution=solution).final("test_error").tolist() == final


@pytest.mark.parametrize(
    ("diverged", "solution", "lost"),
    [
        ((0, 0), None, (0, 0)),
        ((2, 4), None, (2, 4)),
        ((2, 4), 4, (2, 4)),
        ((2, 4), 3, (2, 0)),  # the second had its value before it diverged
        ((3, 4), 2, (0, 0)),
    ],
)
def test_what_diverges_after_the_solution_has_lost_nothing(diverged, solution, lost):
    assert tuple(outcome(diverged, solution).lost_epoch()) == lost


def test_the_first_cells_only():
    whole = outcome((0, 4), solution=3)
    first = whole.first(1)
    assert {metric: curve.tolist() for metric, curve in first.curves.items()} == {
        "test_error": [[5, 4, 3, 9]]
    }
    assert first.diverged_epoch.tolist() == [0]
    assert (first.seconds, first.solution, first.metric) == (1.0, 3, TEST_ERROR)
    assert whole.first(2).final("test_error").tolist() == whole.final("test_error").tolist()
