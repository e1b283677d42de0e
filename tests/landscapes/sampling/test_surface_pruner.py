"""The pruner `surface`: what the landscape so far leaves no hope is given up, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from landscape_study.landscapes.sampling.surface_pruner import SurfacePruner
from landscape_study.study.records.standing import Course, Standing
from landscape_study.study.sampling.pruners import load_pruner
from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.pruning import Pruning
from landscape_study.study.spec.study import Axis, Cell, Grid, Panel

pytestmark = pytest.mark.slow

GRID = Grid(
    alpha=Axis.log2(0.1, -5, 3),
    lambda_=Axis.log2(0.01, -5, 3, zero=True),
)
PANEL = Panel(pair="adamw", epochs=8, grid=GRID)
ACCURACY = Metric("accuracy", "accuracy", unit="%", goal="maximize", matters=0.25)


def error(cell: Cell, seed: int = 0) -> float:
    """Points: a valley with its best at α = 0.1 × 1/2, λ = 0.01 × 1/2."""
    x, y = np.log2(cell.alpha / 0.05), np.log2(max(cell.lambda_, 0.0003) / 0.005)
    noise = np.random.default_rng([seed, int(1e6 * cell.alpha), int(1e6 * cell.lambda_)])
    return float(3 + 0.5 * x**2 + 0.3 * y**2 + 0.1 * noise.normal())


def ended(cells: list[Cell], *, sign: int = 1, seed: int = 0) -> list[Course]:
    return [Course(cell, seed, np.full(8, np.nan), sign * error(cell, seed)) for cell in cells]


def standing(cells: list[Cell], sign: int = 1) -> Standing:
    """After the first epoch, when all stand the same."""
    return Standing(0, cells, np.full((len(cells), 1), 50.0 * sign))


@pytest.fixture
def shuffled() -> list[Cell]:
    return [GRID.cells()[i] for i in np.random.default_rng(1).permutation(GRID.size)]


def best(count: int) -> set[Cell]:
    return {*sorted(GRID.cells(), key=error)[:count]}


def test_the_ten_best_stay_and_most_of_the_rest_leaves(shuffled):
    first, others = shuffled[:30], shuffled[30:]
    pruner = SurfacePruner(PANEL, TEST_ERROR, lambda: ended(first))
    leaving = pruner.leaving(standing(others))
    given_up = {cell for cell, leaves in zip(others, leaving, strict=True) if leaves}
    assert not given_up & best(10)
    assert len(given_up) > 0.4 * len(others)


def test_more_of_a_metric_may_be_better(shuffled):
    """Costs are what is measured, so that less is better: the same cells leave."""
    first, others = shuffled[:30], shuffled[30:]
    errors = SurfacePruner(PANEL, TEST_ERROR, lambda: ended(first))
    negated = [Course(one.cell, 0, one.costs, one.cost - 100.0) for one in ended(first)]
    accuracies = SurfacePruner(PANEL, ACCURACY, lambda: negated)
    found = errors.leaving(standing(others))
    assert (accuracies.leaving(standing(others)) == found).mean() > 0.9


def test_who_knows_little_gives_nothing_up(shuffled):
    few = [cell for cell in shuffled if cell.lambda_ > 0][:11]
    pruner = SurfacePruner(PANEL, TEST_ERROR, lambda: ended(few))
    assert not pruner.leaving(standing(shuffled[30:])).any()
    diverged = [Course(cell, 0, np.full(8, np.nan), 90.0, diverged=True) for cell in shuffled[:30]]
    pruner = SurfacePruner(PANEL, TEST_ERROR, lambda: diverged)
    assert not pruner.leaving(standing(shuffled[30:])).any()


def test_without_decay_a_cell_leaves_with_its_whole_alpha(shuffled):
    first = [cell for cell in shuffled if cell.lambda_ > 0][:50]
    pruner = SurfacePruner(PANEL, TEST_ERROR, lambda: ended(first))
    zeros = [cell for cell in GRID.cells() if cell.lambda_ == 0]
    leaving = dict(zip([c.alpha for c in zeros], pruner.leaving(standing(zeros)), strict=True))
    assert leaving[GRID.alpha.values[-1]]
    assert not leaving[0.05]


def test_it_looks_after_the_first_epoch_and_again_when_more_is_known(shuffled):
    known = ended(shuffled[:12])
    pruner = load_pruner(Pruning(pruner="surface"), PANEL, TEST_ERROR, lambda: known)
    assert pruner.stops(8) == [1, 2, 4]
    assert pruner.stops(2) == [1]
    assert pruner.stops(1) == []
    others = shuffled[60:]
    before = pruner.leaving(standing(others))
    known += ended(shuffled[12:60])
    after = pruner.leaving(standing(others))
    assert after.sum() > before.sum()


def test_what_was_given_up_itself_says_nothing(shuffled):
    """An error after the first epoch is no bound of that after the last."""
    first, others = ended(shuffled[:30]), shuffled[30:]
    early = [Course(cell, 0, np.array([50.0]), 50.0, is_pruned=True) for cell in others]
    found = SurfacePruner(PANEL, TEST_ERROR, lambda: [*first, *early]).leaving(standing(others))
    np.testing.assert_array_equal(
        found, SurfacePruner(PANEL, TEST_ERROR, lambda: first).leaving(standing(others))
    )
    assert not {c for c, leaves in zip(others, found, strict=True) if leaves} & best(10)


def test_its_arguments_come_from_the_study(shuffled):
    first, others = shuffled[:30], shuffled[30:]
    gone = []
    for top in (3, 40):
        pruning = Pruning(pruner="surface", arguments={"top": top, "doubt": 0.05})
        pruner = load_pruner(pruning, PANEL, TEST_ERROR, lambda: ended(first))
        gone.append(int(pruner.leaving(standing(others)).sum()))
    assert gone[0] > gone[1]
