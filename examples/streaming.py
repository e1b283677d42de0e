"""Bring data that are read while they are trained on: noisy waves, told apart by their rhythm.

    landscape run --task examples/streaming.py:waves --seeds 1 --epochs 4

`waves` are two data sets whose items are had by their number, as those that read a file for
each; this tool shuffles them and makes the batches. `waves_in_shards` come in batches, in an order
that a function makes of a seed, as from archives that are read from beginning to end.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from landscape_study import Streams, Task

RHYTHMS = 3  # cycles in a wave: 2, 3 or 4
LENGTH = 24  # values of a wave
SHARD = 100  # waves


class Waves(Dataset[tuple[Tensor, int]]):
    """So many waves, each made when it is asked for."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.count, self.first = count, first

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        """A wave [LENGTH] of any phase, and its rhythm."""
        dice, rhythm = torch.Generator().manual_seed(self.first + i), i % RHYTHMS
        phase = 2 * torch.pi * torch.rand((), generator=dice)
        angle = 2 * torch.pi * (rhythm + 2) * torch.arange(LENGTH) / LENGTH
        return (angle + phase).sin() + 0.9 * torch.randn(LENGTH, generator=dice), rhythm


def shards(seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of 20: shard after shard in an order of the seed, and in each as it lies there."""
    order = torch.randperm(600 // SHARD, generator=torch.Generator().manual_seed(seed))
    for shard in order.tolist():
        waves = [Waves(600)[i] for i in range(shard * SHARD, (shard + 1) * SHARD)]
        for start in range(0, SHARD, 20):
            inputs, rhythms = zip(*waves[start : start + 20], strict=True)
            yield torch.stack(inputs), torch.tensor(rhythms)


def network() -> nn.Module:
    """A hidden layer of 32."""
    return nn.Sequential(nn.Linear(LENGTH, 32), nn.Tanh(), nn.Linear(32, RHYTHMS))


waves = Task(
    name="waves",
    network=network,
    data=lambda: (Waves(600), Waves(200, first=600)),
    classes=RHYTHMS,
    batch_size=20,
    epochs=10,
)
waves_in_shards = replace(waves, data=lambda: Streams(shards, Waves(200, first=600)))
