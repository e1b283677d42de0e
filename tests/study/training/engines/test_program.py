"""Programs: traced once, replayed as if they had been called."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from landscape_study.study.training.engines import Programs
from landscape_study.study.training.engines.program import (
    Program,
    _lasting,
    copy_where_moved,
    replayed,
)


class Noted:
    """A function that moves its first argument in place by random numbers, and counts calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        theta.add_(functional.dropout(x))
        return theta * 2, x.sum()


def make_program(function: Callable[..., object], programs: Programs | None = None) -> Program:
    return Program(function, "noted", programs or Programs())


def tensors(size: int = 4) -> tuple[Tensor, Tensor]:
    return torch.arange(float(size)), torch.full((size,), 0.5)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        yield


def test_tracing_leaves_arguments_and_random_state_alone():
    theta, x = tensors()
    before = torch.get_rng_state()
    replayed(Noted(), (theta, x))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(theta, tensors()[0])
    assert torch.equal(x, tensors()[1])


def test_what_is_replayed_is_what_would_be_called():
    """In place, with the same random numbers, over and over."""
    runs = []
    for function in (Noted(), make_program(Noted())):
        torch.manual_seed(3)
        theta, found = tensors()[0], []
        for step in range(3):
            found += [*function(theta, torch.full((4,), step + 0.5)), theta.clone()]
        runs.append([*found, torch.get_rng_state()])
    for called, again in zip(*runs, strict=True):
        assert torch.equal(called, again)
    assert not torch.equal(runs[0][2], runs[0][5])


def test_other_shapes_are_called_as_they_are():
    """A last partial batch: it is not traced, and the first graph is kept."""
    noted = Noted()
    program = make_program(noted)
    for size, calls in ((4, 1), (4, 1), (3, 2), (4, 2), (3, 3), (2, 4)):
        theta, x = tensors(size)
        doubled, total = program(theta, x)
        assert torch.equal(doubled, 2 * theta)
        assert total == size * 0.5
        assert noted.calls == calls


def test_a_workers_chunks_share_what_was_traced():
    programs, first, second = Programs(), Noted(), Noted()
    for noted in (first, second):
        theta, x = tensors()
        assert torch.equal(make_program(noted, programs)(theta, x)[0], 2 * theta)
    assert (first.calls, second.calls) == (1, 0)
    make_program(second, programs)(*tensors(3))  # a smaller chunk
    Program(second, "another", programs)(*tensors())
    assert second.calls == 2


def test_what_python_decides_is_frozen():
    """Which is why `check.why_not` looks before anything is replayed."""
    draws = iter([1.0, 2.0])
    program = make_program(lambda x: (x * next(draws),))
    assert [program(torch.ones(1))[0].item() for _ in range(3)] == [1.0, 1.0, 1.0]
    assert next(draws) == 2.0


# ---- what a recorded program on a GPU works on --------------------------------------------------


def test_a_tensor_that_is_all_of_its_memory_lasts_and_a_view_is_copied():
    whole = torch.arange(6.0)
    assert _lasting(whole) is whole
    assert _lasting(whole.view(2, 3)).data_ptr() == whole.data_ptr()
    part = whole[2:4]
    copied = _lasting(part)
    assert torch.equal(copied, part)
    whole.zero_()
    assert copied.tolist() == [2.0, 3.0]


def test_only_what_lies_elsewhere_is_copied():
    theta, batch, other = torch.zeros(2), torch.zeros(2), torch.ones(2)
    versions = theta._version, batch._version
    copy_where_moved([theta, batch], [theta, other])
    assert batch.tolist() == [1.0, 1.0]
    assert (theta._version, batch._version) == (versions[0], versions[1] + 1)
    with pytest.raises(ValueError, match="zip"):
        copy_where_moved([theta, batch], [theta])
