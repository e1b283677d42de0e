"""Bring your own task: two spirals, told apart by a small network.

    landscape run --task examples.spirals:spirals --seeds 1 --epochs 30

A task is data, a network and a few facts, put together as a `landscape_study.Task`. Every
network that `torch.func.vmap` can handle is trained many cells at once without any change.
"""

import math

import torch
from torch import nn

from landscape_study import Data, Task


def spiral_data(examples: int = 400, turns: float = 1.5, noise: float = 0.08) -> Data:
    """Points on two interleaved spirals, half of them to train on, half to test on."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(examples) % 2
    radius = torch.rand(examples, generator=generator).sqrt()
    angle = 2 * math.pi * turns * radius + math.pi * targets
    points = radius * torch.stack([angle.cos(), angle.sin()])
    inputs = points.T + noise * torch.randn(examples, 2, generator=generator)
    half = examples // 2
    return Data(inputs[:half], targets[:half], inputs[half:], targets[half:])


def network() -> nn.Module:
    """Two hidden layers of 32."""
    return nn.Sequential(
        nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 2)
    )


spirals = Task(
    name="spirals",
    network=network,
    data=spiral_data,
    classes=2,
    batch_size=20,
    epochs=60,
)
