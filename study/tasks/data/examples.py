"""What training and tests take their batches from, wherever the examples lie.

Letters: B examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

# Batches that are read at a time: so many, or as many as make so many bytes.
READ_TOGETHER = 8
READ_BYTES = 2**20

Batch = tuple[Tensor, Tensor]  # inputs [B, …] and targets [B, …]


@dataclass(frozen=True)
class Epoch:
    """An epoch of a training, and all that may decide which batches come in it.

    Attributes:
        number: from 0.
        seed: of this epoch of this training, below 2**31: every library takes it.
        order: for the order of examples that lie still; it goes on from epoch to epoch.
        on_skip: called for each batch that has to be read to get behind it.
    """

    number: int
    seed: int
    order: torch.Generator
    on_skip: Callable[[], None] = lambda: None


class Examples(Protocol):
    """Examples to train on or to test on, in batches that are whoever's who takes them."""

    @property
    def count(self) -> int:
        """How many an epoch, or a test, has."""
        ...

    @property
    def own_batch(self) -> int | None:
        """How many a batch has, where they come in batches already; None where any number may."""
        ...

    @property
    def reading(self) -> float:
        """Seconds that one of them takes to be read, about; 0 where they lie in memory."""
        ...

    def steps(self, size: int) -> int:
        """How many batches of `size` an epoch has."""
        ...

    def shuffled(self, epoch: Epoch, size: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from the `first` on; the same ones for the same epoch.

        Raises:
            DataError: they do not come as they should.
        """
        ...

    def in_order(self, most: int) -> Iterator[Batch]:
        """All examples, each time in the same order, about `most` at once.

        Raises:
            DataError: they do not come as they should.
        """
        ...

    def sample(self, count: int) -> Batch:
        """So many of them, or all if there are fewer, on the CPU as they are stored.

        Spread over all of them, where they can be had one by one.
        """
        ...

    def identifying(self) -> dict[str, Tensor]:
        """What these are told by from others: inputs, targets, and what else there is to it."""
        ...


class TaskData(Protocol):
    """All that a task is trained and tested on."""

    @property
    def train(self) -> Examples:
        """What to train on."""
        ...

    @property
    def test(self) -> Examples:
        """What to test on."""
        ...

    def to(self, device: str | torch.device, dtype: torch.dtype) -> TaskData:
        """The same, whose batches lie on `device`, floating-point numbers as `dtype`."""
        ...


def read_together(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, several small ones read at a time.

    Training leaves nothing of what reading needs in the processor's caches: one by one, small
    batches take twice as long to be read.
    """
    held: list[Batch] = []
    for batch in batches:
        held.append(batch)
        held_bytes = sum(tensor.nbytes for one in held for tensor in one)
        if len(held) == READ_TOGETHER or held_bytes >= READ_BYTES:
            yield from held
            held = []
    yield from held


def whole_steps(count: int, size: int) -> int:
    """How many batches of `size` so many examples make, the last one perhaps smaller."""
    return math.ceil(count / size)


def spread(count: int, of: int) -> Tensor:
    """Indices of so many of `of` examples, from the first to the last."""
    some = min(count, of)
    return torch.arange(some) * (of - 1) // max(1, some - 1)


def even_slices(count: int, most: int) -> list[slice]:
    """So many examples in slices of nearly one size, at most `most`, or half as many more."""
    size = math.ceil(count / math.ceil(count / most))
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] <= size // 2:
        del starts[-1]  # the last slice takes what is too little for one of its own
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], count], strict=True)]
