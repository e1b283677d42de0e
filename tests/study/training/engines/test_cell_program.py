"""Programs of one cell: compiled once, called for as many cells and steps as there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from landscape_study.study.training.compiling import library
from landscape_study.study.training.compiling.calls import (
    Argument,
    Call,
    of_both,
    of_cells,
    of_steps,
    run_all,
)
from landscape_study.study.training.engines import Programs
from landscape_study.study.training.engines.cell_program import FORMS, CellProgram

pytestmark = [
    pytest.mark.usefixtures("own_programs"),
    pytest.mark.skipif(library.why_not() is not None, reason=str(library.why_not())),
]

CELLS, STEPS, SIZE = 3, 5, 4


class Noted:
    """Moves θ of a cell in place by random numbers; counts how often that is called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, theta: Tensor, scale: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        theta.add_(functional.dropout(x) * scale)
        return theta * 2, x.sum()


def by_loops(theta: Tensor, scale: Tensor, xs: Tensor) -> tuple[Tensor, Tensor]:
    """The same for all cells and steps: [K, S, …]; the same random numbers for all cells."""
    found = []
    for x in xs:
        theta.add_(functional.dropout(x) * scale[:, None])
        found.append((theta * 2, x.sum().expand(len(theta))))
    doubled, sums = zip(*found, strict=True)
    return torch.stack(doubled, dim=1), torch.stack(sums, dim=1)


def tensors(cells: int = CELLS, steps: int = STEPS, size: int = SIZE) -> list[Tensor]:
    theta = torch.arange(float(cells * size)).view(cells, size)
    return [theta, torch.arange(float(cells)), torch.rand(steps, size)]


def program_on(program: CellProgram, given: Sequence[Tensor]) -> library.Compiled | None:
    theta, scale, xs = given
    return program.on([theta[0], scale[0]], [xs[0]])


def assert_right(program: CellProgram, cells: int = CELLS, size: int = SIZE) -> None:
    """With the same random numbers, over and over."""
    with torch.random.fork_rng(devices=[]):
        ours = tensors(cells, size=size)
        theirs = [tensor.clone() for tensor in ours]
        for seed in (1, 2):
            theta, scale, xs = ours
            run = program_on(program, ours)
            assert run is not None
            found = [torch.empty(cells, STEPS, *shape) for shape, _ in run.source.results]
            arguments = [of_cells(theta), of_cells(scale), of_steps(xs)]
            torch.manual_seed(seed)
            run_all(cells, STEPS, [Call(run, arguments, [*map(of_both, found)])])
            torch.manual_seed(seed)
            for one, other in zip(found, by_loops(*theirs), strict=True):
                torch.testing.assert_close(one, other)
    torch.testing.assert_close(ours[0], theirs[0])


def test_any_number_of_cells_is_served_by_what_was_compiled_once():
    programs, noted = Programs(), Noted()
    for cells in (3, 1, 8):
        assert_right(CellProgram(noted, "noted", programs), cells)
    assert noted.calls == 1
    assert len(programs.libraries) == 1


@pytest.mark.long
def test_a_few_other_shapes_are_compiled_and_no_more():
    programs, noted = Programs(), Noted()
    program = CellProgram(noted, "noted", programs)
    for size in range(2, 2 + FORMS):
        assert_right(program, size=size)
    assert program_on(program, tensors(size=2 + FORMS)) is None
    assert noted.calls == FORMS == len(programs.libraries)


def test_what_is_known_to_be_compiled_is_not_even_traced():
    first, noted = Programs(), Noted()
    assert_right(CellProgram(Noted(), "noted", first))
    assert_right(CellProgram(noted, "noted", Programs(first.libraries)))
    assert noted.calls == 0


@pytest.mark.long
def test_a_library_that_is_gone_is_compiled_anew(own_programs: Path):
    first, noted = Programs(), Noted()
    assert_right(CellProgram(Noted(), "noted", first))
    for path in own_programs.iterdir():
        path.unlink()
    assert_right(CellProgram(noted, "noted", Programs(first.libraries)))
    assert noted.calls == 1


def test_what_is_only_looked_for_is_not_compiled(own_programs: Path):
    looking = Programs(known_only=True)
    assert program_on(CellProgram(Noted(), "noted", looking), tensors()) is None
    assert looking.libraries == {}
    compiling = Programs()
    assert_right(CellProgram(Noted(), "noted", compiling))
    again = Programs(known_only=True)
    assert_right(CellProgram(Noted(), "noted", again))
    assert again.libraries == compiling.libraries != {}


def test_what_cannot_be_compiled_is_told_once_if_that_may_be():
    def sorts(theta: Tensor) -> tuple[Tensor]:
        return (theta.sort().values,)

    told: list[str] = []
    program = CellProgram(sorts, "sorting", Programs(do_without=told.append))
    for _ in range(2):
        assert program.on([torch.arange(3.0)], []) is None
    assert told == ["sorting is not compiled: the operation aten.sort.default"]
    strict = CellProgram(sorts, "sorting", Programs())
    with pytest.raises(Exception, match=r"the operation aten\.sort\.default"):
        strict.on([torch.arange(3.0)], [])


def test_what_has_gaps_is_left_to_others():
    program = CellProgram(lambda x: (x + 1,), "adding", Programs())
    assert program.on([torch.zeros(3, 4).T], []) is None


def test_what_cells_have_in_common_none_of_them_changes():
    def overwrites(theta: Tensor, x: Tensor) -> tuple[Tensor]:
        x.add_(theta)
        return (x * 2,)

    theta, _, (x, *_) = tensors()
    run = CellProgram(overwrites, "overwriting", Programs()).on([theta[0]], [x])
    assert run is not None
    found, before = torch.empty_like(theta), x.clone()
    run_all(CELLS, 1, [Call(run, [of_cells(theta), Argument(x)], [of_cells(found)])])
    assert torch.equal(found, 2 * (x + theta))
    assert torch.equal(x, before)


@pytest.mark.parametrize("size", [4, 100])  # the larger one's table is kept from cell to cell
def test_what_is_the_same_for_all_cells_of_a_step(size: int):
    def by_a_table(theta: Tensor, x: Tensor) -> tuple[Tensor]:
        table = torch.outer(x, x).sin()
        theta.add_(table @ theta)
        return (theta.sum() + table[0, 1],)

    theta, xs = torch.rand(CELLS, size, 2) / size, torch.rand(STEPS, size)
    run = CellProgram(by_a_table, "by a table", Programs()).on([theta[0]], [xs[0]])
    assert run is not None
    assert bool(run.source.kept) == (size == 100)
    ours, found = theta.clone(), torch.empty(CELLS, STEPS)
    run_all(CELLS, STEPS, [Call(run, [of_cells(ours), of_steps(xs)], [of_both(found)])])
    for k in range(CELLS):
        for s in range(STEPS):
            (expected,) = by_a_table(theta[k], xs[s])
            torch.testing.assert_close(found[k, s], expected)
    torch.testing.assert_close(ours, theta)


def test_programs_after_each_other_hand_on_what_they_give():
    """At each step of each cell, by one memory for all."""
    programs, theta, xs = Programs(), torch.rand(CELLS, SIZE), torch.rand(STEPS, SIZE)
    between = torch.empty(SIZE)
    first = CellProgram(lambda t, x: (t * x,), "slope", programs).on([theta[0]], [xs[0]])

    def move(t: Tensor, slope: Tensor) -> tuple[()]:
        t.sub_(slope)
        return ()

    second = CellProgram(move, "moving", programs).on([theta[0]], [between])
    assert first is not None
    assert second is not None
    ours = theta.clone()
    calls = [
        Call(first, [of_cells(ours), of_steps(xs)], [Argument(between)]),
        Call(second, [of_cells(ours), Argument(between)]),
    ]
    run_all(CELLS, STEPS, calls)
    for x in xs:
        theta -= theta * x
    torch.testing.assert_close(ours, theta)
