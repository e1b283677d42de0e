"""Calls of compiled programs: one after the other, of each cell and step.

Letters: K cells, S steps.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from landscape_study.study.training.compiling.library import Compiled


@dataclass(frozen=True)
class Argument:
    """Where a program finds an argument, or writes a result; without gaps within a cell's step.

    Attributes:
        by_cell: how many bytes that of the next cell lies behind; 0 where all have the same.
        by_step: likewise, that of the next step.
    """

    tensor: Tensor
    by_cell: int = 0
    by_step: int = 0


def of_cells(tensor: Tensor) -> Argument:
    """Of each cell its own, [K, …]."""
    return Argument(tensor, by_cell=_bytes(tensor, 0))


def of_steps(tensor: Tensor) -> Argument:
    """Of each step its own, [S, …]."""
    return Argument(tensor, by_step=_bytes(tensor, 0))


def of_both(tensor: Tensor) -> Argument:
    """Of each cell and step its own, [K, S, …]."""
    return Argument(tensor, _bytes(tensor, 0), _bytes(tensor, 1))


def _bytes(tensor: Tensor, dimension: int) -> int:
    return tensor.stride(dimension) * tensor.element_size()


@dataclass(frozen=True)
class Call:
    """A program with all that it reads and writes.

    Attributes:
        arguments: of the function that it was made of.
        results: where what that gives is written; one for all cells and steps is overwritten.
    """

    program: Compiled
    arguments: Sequence[Argument]
    results: Sequence[Argument] = field(default_factory=tuple)


def run_all(cells: int, steps: int, calls: Sequence[Call]) -> None:
    """Call the programs one after the other, of each cell and step.

    Random numbers are drawn step by step, and are the same for all cells.

    Raises:
        IndexError: an index, as of a class or a token, is out of range.
    """
    given = [
        [*call.arguments, *map(Argument, call.program.source.constants), *drawn, *call.results]
        for call, drawn in zip(calls, _drawn(steps, calls), strict=True)
    ]
    words = [
        word
        for arguments in given
        for one in arguments
        for word in (one.tensor.data_ptr(), one.by_cell, one.by_step)
    ]
    count, programs = len(calls), [call.program for call in calls]
    largest = max((program.scratch for program in programs), key=lambda memory: memory.size)
    wrong = programs[0].run_all(
        *(ctypes.c_int64(cells), ctypes.c_int64(steps), ctypes.c_int64(count)),
        (ctypes.c_void_p * count)(*(program.address for program in programs)),
        (ctypes.c_void_p * count)(*(program.kept.start for program in programs)),
        (ctypes.c_int64 * count)(*map(len, given)),
        (ctypes.c_int64 * len(words))(*words),
        ctypes.c_void_p(largest.start),
        ctypes.c_bool(any(program.kept.size for program in programs)),
    )
    if wrong:
        raise IndexError(f"{wrong} indices are out of range")


def _drawn(steps: int, calls: Sequence[Call]) -> list[list[Argument]]:
    """The random numbers of each call, drawn in the order in which a plain loop draws them."""
    draws = [call.program.source.draws for call in calls]
    if not any(draws):
        return [[] for _ in calls]
    each = [[[draw.now() for draw in some] for some in draws] for _ in range(steps)]
    of_calls = zip(*each, strict=True)
    return [
        [of_steps(torch.stack(one)) for one in zip(*of_call, strict=True)] for of_call in of_calls
    ]
