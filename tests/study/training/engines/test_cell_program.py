"""Programs of one cell: compiled once, called for as many cells as there are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from landscape_study.study.training.compiling import library
from landscape_study.study.training.engines import Programs
from landscape_study.study.training.engines.cell_program import FORMS, CellProgram

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.skipif(library.why_not() is not None, reason=str(library.why_not())),
]


class Noted:
    """Moves θ of a cell in place by random numbers; counts how often that is called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, theta: Tensor, x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        theta.add_(functional.dropout(x) * scale)
        return theta * 2, x.sum()


def otherwise(theta: Tensor, x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The same for all cells."""
    theta.add_(functional.dropout(x) * scale[:, None])
    return theta * 2, x.sum().expand(len(theta))


def make_program(noted: Noted, programs: Programs) -> CellProgram:
    return CellProgram(noted, "noted", otherwise, programs, frozenset({1}))


def tensors(cells: int = 3, size: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    theta = torch.arange(float(cells * size)).view(cells, size)
    return theta, torch.full((size,), 0.5), torch.arange(float(cells))


def assert_right(program: CellProgram, cells: int = 3, size: int = 4) -> None:
    """With the same random numbers, over and over."""
    ours, theirs = tensors(cells, size), tensors(cells, size)
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.manual_seed(seed)
            found = program(*ours)
            torch.manual_seed(seed)
            for one, other in zip(found, otherwise(*theirs), strict=True):
                assert torch.equal(one, other)
    assert torch.equal(ours[0], theirs[0])


def test_any_number_of_cells_is_served_by_what_was_compiled_once():
    programs, noted = Programs(), Noted()
    for cells in (3, 1, 8):
        assert_right(make_program(noted, programs), cells)
    assert noted.calls == 1
    assert len(programs.libraries) == 1


def test_a_few_other_shapes_are_compiled_and_no_more():
    programs, noted = Programs(), Noted()
    program = make_program(noted, programs)
    for size in range(2, 4 + FORMS):
        assert_right(program, size=size)
    assert noted.calls == FORMS == len(programs.libraries)


def test_what_is_known_to_be_compiled_is_not_even_traced():
    first, noted = Programs(), Noted()
    assert_right(make_program(Noted(), first))
    assert_right(make_program(noted, Programs(first.libraries)))
    assert noted.calls == 0


def test_a_library_that_is_gone_is_compiled_anew(own_cache: Path):
    first, noted = Programs(), Noted()
    assert_right(make_program(Noted(), first))
    for path in own_cache.iterdir():
        path.unlink()
    assert_right(make_program(noted, Programs(first.libraries)))
    assert noted.calls == 1


def test_what_is_only_looked_for_is_not_compiled(own_cache: Path):
    looking = Programs(known_only=True)
    assert_right(make_program(Noted(), looking))
    assert looking.libraries == {}
    compiling = Programs()
    assert_right(make_program(Noted(), compiling))
    again = Programs(known_only=True)
    assert_right(make_program(Noted(), again))
    assert again.libraries == compiling.libraries != {}


def test_what_cannot_be_compiled_is_done_otherwise_if_that_may_be():
    def sorts(theta: Tensor, x: Tensor, scale: Tensor) -> tuple[Tensor]:
        return (theta.sort().values,)

    def all_sorted(theta: Tensor, *_: Tensor) -> tuple[Tensor]:
        return (theta.sort(dim=1).values,)

    told: list[str] = []
    program = CellProgram(sorts, "sorting", all_sorted, Programs(do_without=told.append))
    theta = torch.tensor([[3.0, 1.0], [2.0, 5.0]])
    for _ in range(2):
        (found,) = program(theta, *tensors(2)[1:])
        assert found.tolist() == [[1.0, 3.0], [2.0, 5.0]]
    assert told == ["sorting is not compiled: the operation aten.sort.default"]
    strict = CellProgram(sorts, "sorting", all_sorted, Programs())
    with pytest.raises(Exception, match=r"the operation aten\.sort\.default"):
        strict(theta, *tensors(2)[1:])


def test_what_cells_have_in_common_none_of_them_changes():
    def overwrites(theta: Tensor, x: Tensor) -> tuple[Tensor]:
        x.add_(theta)
        return (x * 2,)

    def whole(theta: Tensor, x: Tensor) -> tuple[Tensor]:
        return (2 * (x + theta),)

    theta, x, _ = tensors()
    program = CellProgram(overwrites, "overwriting", whole, Programs(), frozenset({1}))
    (found,) = program(theta, x)
    assert torch.equal(found, whole(theta, x)[0])
    assert x.tolist() == [0.5] * 4
