"""Data that lie in memory as tensors.

Letters: B examples, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from landscape_study.study.tasks.data.examples import (
    Batch,
    Epoch,
    even_slices,
    spread,
    whole_steps,
)

Place = tuple[str | torch.device, torch.dtype]  # where, and floating-point numbers as what

WIDE = {torch.float32: torch.complex64, torch.float64: torch.complex128}


@dataclass(frozen=True)
class Held:
    """Examples in memory: inputs [B, …] and targets [B, …]. See `Examples`."""

    inputs: Tensor
    targets: Tensor
    own_batch: int | None = None
    reading: float = 0.0

    @property
    def count(self) -> int:  # noqa: D102
        return len(self.targets)

    def steps(self, size: int) -> int:  # noqa: D102
        return whole_steps(self.count, size)

    def shuffled(self, epoch: Epoch, size: int, first: int = 0) -> Iterator[Batch]:  # noqa: D102
        order = torch.randperm(self.count, generator=epoch.order).to(self.targets.device)
        for indices in order.split(size)[first:]:
            yield self.inputs[indices], self.targets[indices]

    def in_order(self, most: int) -> Iterator[Batch]:  # noqa: D102
        for some in even_slices(self.count, most):
            yield self.inputs[some].clone(), self.targets[some].clone()

    def sample(self, count: int) -> Batch:  # noqa: D102
        some = spread(count, self.count)
        return self.inputs[some], self.targets[some]

    def identifying(self) -> dict[str, Tensor]:  # noqa: D102
        return {"inputs": self.inputs, "targets": self.targets}


@dataclass(frozen=True)
class Data:
    """Inputs [B, …] and targets [B, …] to train on and to test on.

    Targets are what the loss takes. Of classification they are class numbers [B] (int64, 0 to
    C − 1); else numbers, class maps, several labels an example, whatever has B rows.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor

    @property
    def train(self) -> Held:
        """What to train on."""
        return Held(self.train_inputs, self.train_targets)

    @property
    def test(self) -> Held:
        """What to test on."""
        return Held(self.test_inputs, self.test_targets)

    def to(self, device: str | torch.device, dtype: torch.dtype) -> Data:
        """A copy on `device`, floating-point numbers as `dtype`, complex ones as pairs of it."""
        return Data(*(moved(getattr(self, field.name), device, dtype) for field in fields(self)))


def moved(tensor: Tensor, device: str | torch.device, dtype: torch.dtype) -> Tensor:
    """A copy on `device`, floating-point numbers as `dtype`, complex ones as pairs of it."""
    return in_precision(tensor, dtype).to(device, copy=True)


def placed(batch: Batch, place: Place | None) -> Batch:
    """A batch that is whoever's who takes it, where and in the precision that is wanted."""
    if place is None:
        return batch
    device, dtype = place
    inputs, targets = (in_precision(tensor, dtype).to(device) for tensor in batch)
    return inputs, targets


def in_precision(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Floating-point numbers as `dtype`, complex ones as pairs of it; others as they are."""
    if tensor.is_complex():
        return tensor.to(WIDE[dtype])
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def same_values(a: Tensor, b: Tensor) -> bool:
    """Whether all values are equal, NaN to NaN."""
    a, b = dense(a), dense(b)
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def dense(tensor: Tensor) -> Tensor:
    """The tensor with all of its values in rows, where it holds them otherwise: sparse ones."""
    return tensor if tensor.layout == torch.strided else tensor.to_dense()
