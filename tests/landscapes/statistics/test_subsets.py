"""The verdict from some cells of a full grid never contradicts that from all of them."""

import pytest

from landscape_study.landscapes.statistics.separability import separability
from tests.landscapes.statistics.subsets import compare, full_grids, subset, subset_verdicts

GRIDS = full_grids()
TOLD = ("fig2/sgd", "fig2/adamw", "digits-fig2/sgd", "mnist5k-fig2/adam")  # by 40 cells


@pytest.mark.parametrize("name", TOLD)
def test_forty_cells_say_what_the_grid_says(name):
    full = separability(GRIDS[name])
    found = compare(full, list(subset_verdicts(GRIDS[name], 40, draws=1)))
    assert found.contradict == 0
    assert found.held == 1
    assert found.agree == 1


@pytest.mark.parametrize("name", ["fig2/adam", "digits-torch/adamw-torch"])
def test_twenty_cells_do_not_contradict(name):
    full = separability(GRIDS[name])
    assert compare(full, list(subset_verdicts(GRIDS[name], 20, draws=2))).contradict == 0


@pytest.mark.long
@pytest.mark.parametrize("name", GRIDS)
def test_no_subset_contradicts(name):
    full = separability(GRIDS[name])
    for count, draws in ((25, 3), (40, 4), (80, 1)):
        found = list(subset_verdicts(GRIDS[name], count, draws=draws))
        assert compare(full, found).contradict == 0, f"{count} cells"


def test_a_subset_has_whole_cells_and_passes_for_no_grid():
    cells = GRIDS["digits-fig1/adamw-step"]  # 8 × 8, three seeds
    drawn = subset(cells, 40, seed=0)
    assert len(drawn) == 3 * int(0.45 * 64)
    assert set(drawn.groupby(["alpha", "lambda"]).size()) == {3}
