"""Heatmaps of panels that have the best cells of another one: these are cells of its grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from landscape_study.landscapes.figures.heatmaps.heatmap import plot_heatmaps
from landscape_study.landscapes.figures.heatmaps.heatmap_record import heatmap_record
from landscape_study.landscapes.reading.landscape import Landscape, top_cells
from landscape_study.landscapes.reading.panels import study_landscapes, study_panels
from landscape_study.landscapes.statistics.edges import edges, extend_command
from landscape_study.landscapes.statistics.interpolation import interpolated
from landscape_study.landscapes.statistics.recommendation import recommend, tuning_paths
from landscape_study.landscapes.statistics.separability import panel_separability
from landscape_study.study.spec.design import Promoted
from landscape_study.study.spec.grid import Cell
from landscape_study.study.store import Store
from tests.valleys import fill, valley_study

pytestmark = pytest.mark.slow
CHEAP, DEAR = "adam-3-epochs", "adam-6-epochs"
TPE = {"sampler": "tpe", "trials": 40}


def ridge(panel: str, cell: Cell) -> float:
    """A narrow diagonal: its best cells fill less than half of their rows and columns."""
    product = cell.alpha * cell.lambda_ / 1e-5
    return 2.0 + min(abs(product - 1), 4.0) + 10 * cell.alpha


def landscapes(store: Store, share: float = 0.2, **panels: object) -> list[Landscape]:
    study = valley_study(pairs=("adam",)).change_panels(
        epochs={"budgets": [3, 6], "share": share}, **panels
    )
    fill(store, study, ridge)
    return study_landscapes(store, "valley")


def test_its_cells_lie_where_they_lie_in_the_other_heatmap(store: Store):
    cheap, dear = landscapes(store)
    assert not dear.is_scattered
    assert int(dear.is_cell.sum()) == 18
    assert dear.is_complete
    whole, some = heatmap_record(cheap), heatmap_record(dear)
    assert some.between is None
    assert (some.size, some.ticks) == (whole.size, whole.ticks)
    assert (some.x_labels, some.y_title) == (whole.x_labels, whole.y_title)
    assert {cell for cell, _ in some.error} < {cell for cell, _ in whole.error}
    assert some.missing == ()  # nobody asked for the others
    assert some.summary[-1] == "(18 chosen cells)"
    assert not any("chosen" in phrase for phrase in whole.summary)


def test_the_legend_counts_no_more_best_cells_than_there_are(store: Store):
    (legend,) = plot_heatmaps(landscapes(store)).legends
    assert legend.get_texts()[0].get_text() == "up to 10 best cells"


def test_those_of_a_sampler_lie_scattered_still(store: Store):
    assert [one.is_scattered for one in landscapes(store, design=TPE)] == [True, True]


def test_what_lies_beyond_it_is_beyond_the_grid_of_the_other(store: Store):
    """Only best cells on the border of the grid are told to extend it, of cells, not trials."""
    _, dear = landscapes(store)
    study = store.study("valley")
    edge = edges(dear, 3)[0]
    assert edge.name == "alpha-low"
    assert "best cells of adam-6-epochs lies at the smallest α of the grid" in edge.sentence
    assert f"--panel {DEAR} --side alpha-low" in extend_command(edge, study, "x.db")


def test_no_chosen_cell_is_recommended_for_what_was_not_chosen_beside_it(store: Store):
    """Neighbours that would show how bad it is beside it are not there."""
    cheap, dear = landscapes(store, share=0.1)
    corner = max(np.argwhere(dear.is_cell).tolist())  # amid better cells only
    error = dear.error.copy()
    error[tuple(corner)] = np.nanmin(error) + 0.01
    found = recommend(replace(dear, error=error), noise=0.02)
    surface, best = interpolated(replace(dear, error=error)), top_cells(dear, 1)[0]
    assert found is not None

    def height(cell: tuple[int, int]) -> float:
        place = dear.alpha.values[cell[0]], dear.lambda_.values[cell[1]]
        return float(surface.at(np.log2([place]))[0])

    assert height(found.cell) <= min(height(best), height(tuple(corner)))
    assert tuning_paths(cheap)
    assert tuning_paths(dear) == ()


@pytest.mark.parametrize(
    ("share", "remedy"), [(0.09, "larger share of adam-3-epochs"), (1.0, "extend the grid")]
)
def test_where_it_cannot_tell_a_larger_share_may(store: Store, share: float, remedy: str):
    def corner(panel: str, cell: Cell) -> float:
        return 2.0 + 200 * cell.alpha + 2000 * cell.lambda_

    study = valley_study(pairs=("adam",), seeds=3)
    fill(store, study.change_panels(epochs={"budgets": [3, 6], "share": share}), corner)
    cheap, dear = map(panel_separability, study_panels(store, "valley"))
    assert cheap.verdict == dear.verdict == "cannot tell"
    assert cheap.reason.endswith("extend the grid")
    assert remedy in dear.reason
    promoted = store.study("valley").panels[1].promoted
    assert promoted == Promoted(best_of=CHEAP, share=share)
