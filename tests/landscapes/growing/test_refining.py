"""Studies refined around their best cells: which cells, for any design, again and again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landscape_study.landscapes.growing.extending import go_beyond_borders, sides_to_extend
from landscape_study.landscapes.growing.refining import cells_between, cells_to_refine
from landscape_study.landscapes.reading.panels import study_landscapes
from landscape_study.landscapes.reporting.report_record import study_report
from landscape_study.landscapes.reporting.sentences import verdict_lines
from landscape_study.landscapes.statistics.edges import edges
from landscape_study.study.errors import SpecError, UsageError
from landscape_study.study.spec.extension import Further, extended_study, refined_study
from landscape_study.study.spec.grid import Axis, Cell, Grid
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from tests.valleys import fill, valley_error, valley_study

MIDDLE = {0.007071, 0.01, 0.01414}, {0.0007071, 0.001, 0.001414}


def refine(store: Store, panels=(), top: int | None = None, error=valley_error) -> dict:
    """Refine the valley once; the cells that are new."""
    new = cells_to_refine(store, "valley", panels, top)
    fill(store, refined_study(store.study("valley"), new), error, noise=0.0)
    return new


@pytest.fixture
def valley(store: Store) -> Store:
    fill(store, valley_study(seeds=1), noise=0.0)
    return store


def apart(cell: Cell, place: tuple[float, float]) -> float:
    """How far a cell lies from a place, octaves of α or λ, whichever is more."""
    return max(abs(math.log2(cell.alpha / place[0])), abs(math.log2(cell.lambda_ / place[1])))


def around(alphas, lambdas) -> set[Cell]:
    """Eight cells around the middle one."""
    alpha, lambda_ = sorted(alphas)[1], sorted(lambdas)[1]
    return {Cell(a, el) for a in alphas for el in lambdas} - {Cell(alpha, lambda_)}


@pytest.mark.slow
class TestGrids:
    def test_around_the_best_cell_lie_eight_at_half_a_step(self, valley: Store):
        new = refine(valley, top=1)
        assert {*new["adam"]} == {*new["adamw"]} == around(*MIDDLE)
        assert list(new["adam"]) == sorted(new["adam"])
        assert {(p.panel, p.finished, p.total) for p in valley.progress("valley")} == {
            ("adam", 98, 98),
            ("adamw", 98, 98),
        }
        assert list(check(valley, ["valley"])) == []

    def test_again_the_steps_are_halved(self, valley: Store):
        refine(valley, top=1)
        quarter = {0.008409, 0.01, 0.01189}, {0.0008409, 0.001, 0.001189}
        assert {*refine(valley, top=1)["adam"]} == around(*quarter)
        (adam, _) = study_landscapes(valley, "valley")
        assert adam.error.shape == (13, 14)
        assert not adam.is_scattered
        assert adam.is_complete

    def test_around_a_cell_that_was_added_its_own_step_comes_first(self, valley: Store):
        def moved(panel: str, cell: Cell) -> float:
            """Best at the half step above the middle."""
            return (
                2
                + (math.log2(cell.alpha / 0.01) - 0.5) ** 2
                + ((math.log2(cell.lambda_ / 0.001) - 0.5) ** 2 if cell.lambda_ else 9)
            )

        study = valley_study(seeds=1, pairs=("adamw",)).change(name="moved")
        fill(valley, study, moved, noise=0.0)
        first = cells_to_refine(valley, "moved", top=1)["adamw"]
        fill(valley, refined_study(study, {"adamw": first}), moved, noise=0.0)
        second = cells_to_refine(valley, "moved", top=1)["adamw"]
        best = Cell(0.01414, 0.001414)
        assert best in first
        assert {*second} == {Cell(0.01414, 0.002), Cell(0.02, 0.001414)}

    def test_best_cells_share_what_lies_between_them(self, valley: Store):
        (adam, _) = study_landscapes(valley, "valley")
        found = cells_between(adam, adam.grid, top=10)
        assert len(found) < 80
        assert len({cell.alpha for cell in found}) <= 2 * len(adam.alpha.values)

    def test_on_a_border_nothing_lies_beyond(self, store: Store):
        study = valley_study(seeds=1, pairs=("adamw",), exponents=1)
        fill(store, study, lambda panel, cell: 2 + 100 * cell.alpha + 1000 * cell.lambda_)
        (cells,) = cells_to_refine(store, "valley", top=1).values()
        assert {*cells} == {
            Cell(0.005, 0.0007071),
            Cell(0.007071, 0.0005),
            Cell(0.007071, 0.0007071),
        }

    def test_where_no_regularization_is_best_the_others_are_refined(self, store: Store):
        study = valley_study(seeds=1, pairs=("adamw",), exponents=1)
        fill(store, study, lambda panel, cell: 2 + abs(cell.alpha - 0.01) + 10 * cell.lambda_)
        (cells,) = cells_to_refine(store, "valley", top=1).values()
        assert min(cell.lambda_ for cell in cells) == 0.0005

    @pytest.mark.parametrize("sides", [(), ("alpha-low",)])
    def test_its_inner_border_is_no_edge(self, valley: Store, sides):
        refine(valley, top=3)
        assert all(not edges(one) for one in study_landscapes(valley, "valley"))
        assert sides_to_extend(valley, "valley") == []
        told: list[str] = []
        go_beyond_borders(valley, "valley", Further(2, sides=sides), _never, told.append)
        assert told == []

    def test_extended_it_keeps_what_lies_between(self, valley: Store):
        new = refine(valley, top=1)
        sides = sides_to_extend(valley, "valley", ["adam"], ["alpha-high"])
        assert sides == [("adam", "alpha-high")]
        train = _trainer(valley)
        train(extended_study(valley.study("valley"), sides, 1), 0)
        assert valley.study("valley").panel("adam").grid.extra == new["adam"]
        assert valley.progress("valley")[0].finished == 98 + 10

    def test_irregular_steps_are_halved_too(self, store: Store):
        study = valley_study(seeds=1, pairs=("adamw",)).change_panels(
            alpha=[0.001, 0.01, 0.02], **{"lambda": [0.0001, 0.001, 0.0011]}
        )
        fill(store, study, noise=0.0)
        (cells,) = cells_to_refine(store, "valley", top=1).values()
        assert {cell.alpha for cell in cells} == {0.003162, 0.01, 0.01414}
        assert {cell.lambda_ for cell in cells} == {0.0003162, 0.001, 0.001049}

    @pytest.mark.parametrize("axis", ["lambda", "alpha"])
    def test_one_value_stays_one(self, store: Store, axis: str):
        study = valley_study(seeds=1, pairs=("adamw",))
        study = study.change_panels(**{axis: [0.001 if axis == "lambda" else 0.01]})
        fill(store, study, noise=0.0)
        (cells,) = cells_to_refine(store, "valley", top=1).values()
        assert len(cells) == 2
        assert len({getattr(cell, "lambda_" if axis == "lambda" else axis) for cell in cells}) == 1

    def test_without_any_regularization_learning_rates_are_refined(self, store: Store):
        study = valley_study(seeds=1, pairs=("adamw",)).change_panels(**{"lambda": [0]})
        fill(store, study, noise=0.0)
        (cells,) = cells_to_refine(store, "valley", top=1).values()
        assert cells == (Cell(0.007071, 0.0), Cell(0.01414, 0.0))

    def test_of_one_cell_nothing_is_between(self, store: Store):
        study = valley_study(seeds=1, pairs=("adamw",)).change_panels(
            alpha=[0.01], **{"lambda": [0.001]}
        )
        fill(store, study)
        assert cells_to_refine(store, "valley") == {}

    def test_where_all_diverged_nothing_is_best(self, store: Store):
        fill(store, valley_study(seeds=1, pairs=("adamw",)), lambda panel, cell: math.nan)
        assert cells_to_refine(store, "valley") == {}

    def test_values_that_lie_dense_are_not_rounded_into_one(self, store: Store):
        study = valley_study(seeds=1, pairs=("adamw",)).change_panels(
            alpha=[0.01, 0.010001, 0.010002], **{"lambda": [0.0005, 0.001, 0.002]}
        )
        fill(store, study, lambda panel, cell: 2 + 1e6 * abs(cell.alpha - 0.010001))
        (cells,) = cells_to_refine(store, "valley", top=1).values()
        values = {cell.alpha for cell in cells} - {0.010001}
        assert sorted(values) == pytest.approx([0.0100005, 0.0100015], rel=1e-8)


def _never(study: Study, left: int) -> None:
    raise AssertionError("nothing is trained")


def upright(panel: str, cell: Cell) -> float:
    return valley_error("adamw", cell)


def _trainer(store: Store, error=valley_error):
    def train(study: Study, left: int) -> None:
        fill(store, study, error, noise=0.0)

    return train


@pytest.mark.slow
class TestSamplers:
    def study(self, sampler: str, **axes) -> Study:
        design = {"sampler": sampler, "trials": 40}
        return valley_study(seeds=1, pairs=("adam",)).change_panels(design=design, **axes)

    @pytest.mark.parametrize("sampler", ["random", "tpe"])
    def test_scattered_trials_get_others_half_an_octave_away(self, store: Store, sampler: str):
        fill(store, self.study(sampler, alpha=[0.0006, 0.16]), noise=0.0)
        (before,) = study_landscapes(store, "valley")
        assert before.is_scattered
        assert before.is_complete
        rows = store.cells("valley")
        new = refine(store, top=1)["adam"]
        best = min((row for row in rows if row["lambda"]), key=lambda row: row["value"])
        known = [(row["alpha"], row["lambda"]) for row in rows if row["lambda"]]
        steps = {round(apart(cell, (best["alpha"], best["lambda"])), 2) for cell in new}
        (step,) = steps  # half an octave, unless all around is there
        assert step == 0.5 or sampler == "tpe"
        assert 0 < len(new) <= 8
        for cell in new:
            assert min(apart(cell, place) for place in known) >= 0.499 * step
        assert store.progress("valley")[0].finished == 40 + len(new)
        assert list(check(store, ["valley"])) == []
        assert study_landscapes(store, "valley")[0].is_scattered

    def test_of_one_that_keeps_to_its_grid_steps_are_halved(self, store: Store):
        fill(store, self.study("verdict"), noise=0.02)
        new = refine(store, top=2)["adam"]
        grid = store.study("valley").panel("adam").grid
        steps = {
            (4 * math.log2(cell.alpha / 0.01), 4 * math.log2(cell.lambda_ / 0.001)) for cell in new
        }
        assert all(abs(x - 2 * round(x / 2)) < 0.01 for step in steps for x in step)
        assert not any(grid.alone.has(cell) for cell in new)
        assert store.known("valley", "adam") is None  # settled again

    def test_best_trials_near_the_ends_of_the_axes_are_an_edge(self, store: Store):
        """The optimum lies at 0.01, beyond the largest α: more trials go there."""
        fill(store, self.study("tpe", alpha=[0.0003, 0.004]), upright, noise=0.0)
        (before,) = study_landscapes(store, "valley")
        assert [edge.name for edge in edges(before)] == ["alpha-high"]
        assert "of the axes: better ones may lie beyond" in edges(before)[0].sentence
        told: list[str] = []
        go_beyond_borders(store, "valley", Further(6), _trainer(store, upright), told.append)
        assert 0 < len(told) < 6
        grown = store.study("valley").panel("adam")
        assert grown.sampled is not None
        assert store.progress("valley")[0].finished == grown.sampled.trials > 40
        assert grown.grid.alpha.values[-1] > 0.007
        assert max(row["alpha"] for row in store.cells("valley")) > 0.006

    def test_while_trials_are_under_way_there_is_none(self, store: Store):
        fill(store, self.study("random", alpha=[0.0003, 0.004]), noise=0.0, chunks=2)
        with pytest.raises(UsageError, match="of 40 cells are finished"):
            sides_to_extend(store, "valley")


class TestRequests:
    @pytest.mark.slow
    def test_nobody_knows_the_best_cells_of_an_unfinished_study(self, store: Store):
        fill(store, valley_study(), chunks=3)
        with pytest.raises(UsageError, match=r"30 of 360 cells .* or name another --panel"):
            cells_to_refine(store, "valley")

    @pytest.mark.slow
    def test_only_the_panels_that_are_named(self, valley: Store):
        assert [*cells_to_refine(valley, "valley", ["adamw"])] == ["adamw"]
        with pytest.raises(SpecError, match="no panel 'sgd'"):
            cells_to_refine(valley, "valley", ["sgd"])
        with pytest.raises(UsageError, match="top = 0: give a whole number of 1 or more"):
            cells_to_refine(valley, "valley", top=0)


def test_refining_again_and_again_comes_to_an_end(make):
    """Below a 64th of a step nothing is added."""
    grid = Grid(alpha=Axis.log2(1, -1, 1), lambda_=Axis.log2(1, -1, 1))
    sizes = []
    for _ in range(9):
        alpha, lambda_ = grid.lines.alpha, grid.lines.lambda_
        x, y = np.log2(alpha.values)[:, None], np.log2(lambda_.values)[None]
        cells = set(grid.cells())
        is_cell = np.array([[Cell(a, el) in cells for el in lambda_.values] for a in alpha.values])
        field = make(
            np.where(is_cell, x**2 + y**2, np.nan),
            alpha=alpha,
            lambda_=lambda_,
            panel_grid=grid,
            of_design=is_cell,
        )
        new = cells_between(field, grid, top=1)
        sizes.append(len(new))
        grid = grid.with_extra((*grid.extra, *new))
    assert sizes == [8] * 6 + [0] * 3


@pytest.mark.slow
def test_a_basin_that_is_too_narrow_is_told_with_the_command_that_refines_it(store: Store):
    def spike(panel: str, cell: Cell) -> float:
        x, y = (math.log2(one) for one in (cell.alpha / 0.012, (cell.lambda_ or 1e-6) / 0.0009))
        return 2 + 1.5 * x * x + 4 * y * y

    fill(store, valley_study(pairs=("adamw",)), spike)
    command = f"landscape refine valley --panel adamw --store {store.display_url}"
    line, below = verdict_lines(store, "valley")
    assert line.startswith("adamw: cannot tell, the basin is no wider than a step of the grid")
    assert below == f"  {command}"
    told = "AdamW: the basin is no wider than a step of the grid: refine it around the best cell"
    assert (told, command) in study_report(store, "valley").growth
    refine(store, error=spike)
    (line,) = verdict_lines(store, "valley")
    assert line.startswith("adamw: separable")
    assert study_report(store, "valley").growth == ()
