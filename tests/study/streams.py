"""Data that stream, in tests: the tiny task's, as data sets, loaders and what others give.

Letters: B examples.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from landscape_study import Streams
from tests.study.chunks import BATCH
from tests.study.conftest import tiny_data

Pair = tuple[Tensor, Tensor]


def sides(kind: str = "vector") -> tuple[Pair, Pair]:
    """Inputs and targets, to train on and to test on."""
    data = tiny_data(kind)
    return (data.train_inputs, data.train_targets), (data.test_inputs, data.test_targets)


def data_sets(kind: str = "vector") -> tuple[TensorDataset, TensorDataset]:
    """A pair of torch's data sets."""
    train, test = sides(kind)
    return TensorDataset(*train), TensorDataset(*test)


def loaders(**options: Any) -> Streams:
    """Torch's loaders: shuffled batches to train on, batches of 7 to test on."""
    train, test = data_sets()
    options = {"batch_size": BATCH, "shuffle": True} | options
    return Streams(DataLoader(train, **options), DataLoader(test, batch_size=7))


@dataclass
class Rows:
    """As a Hugging Face data set: items are dicts of Python's own numbers, several at once."""

    inputs: Tensor
    targets: Tensor
    fetched: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> dict[str, Any]:
        self.fetched.append(i)
        return {
            "id": f"row {i}",
            "pixels": self.inputs[i].tolist(),
            "label": int(self.targets[i]),
        }

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        return [self[i] for i in indices]


@dataclass
class RowStream:
    """As a Hugging Face stream that is batched: dicts of lists, in an order of the epoch."""

    inputs: Tensor
    targets: Tensor
    size: int = BATCH
    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        order = torch.from_numpy(np.random.default_rng(self.epoch).permutation(len(self.targets)))
        for some in order.split(self.size):
            yield {"pixels": self.inputs[some].tolist(), "label": self.targets[some].tolist()}


@dataclass
class Noisy:
    """A data set whose items have noise of all three generators, as augmentation makes it."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> Pair:
        noise = torch.randn(()) + np.random.normal() + random.gauss(0, 1)
        return self.inputs[i] + 0.1 * noise, self.targets[i]


def batches(pair: Pair, size: int = BATCH) -> list[Pair]:
    """In the order in which the examples are."""
    return list(zip(*(tensor.split(size) for tensor in pair), strict=True))


@dataclass
class Batched:
    """A loader of these batches."""

    held: Sequence[Any]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.held)
