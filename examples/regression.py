"""Bring a task that is no classification: what do nine of ten values stay below?

    landscape run --task examples/regression.py:ninth_decile --seeds 1 --epochs 20

Data are made here: Friedman's function of five of ten numbers (Annals of Statistics, 1991), with
noise that grows with the sixth. The loss is that of quantile regression (Koenker & Bassett,
Econometrica, 1978); what the landscape is of is the same loss, in the units of the function.
"""

import torch
from torch import Tensor, nn

from landscape_study import Data, Measure, Metric, Task

QUANTILE = 0.9
TRAIN, TEST = 800, 800
MIDDLE, SCALE = 14.4, 5.0  # of the values: their mean and deviation, about


def made_data() -> Data:
    """Inputs [B, 10], uniform, and targets [B, 1], standardized."""
    coins = torch.Generator().manual_seed(0)
    x = torch.rand(TRAIN + TEST, 10, generator=coins)
    y = 10 * torch.sin(torch.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y += 10 * x[:, 3] + 5 * x[:, 4]
    y += 3 * x[:, 5] * torch.randn(len(x), generator=coins)
    targets = (y[:, None] - MIDDLE) / SCALE
    return Data(x[:TRAIN], targets[:TRAIN], x[TRAIN:], targets[TRAIN:])


def network() -> nn.Module:
    """A hidden layer of 32: [B, 10] → [B, 1]."""
    return nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1))


def pinball(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean loss, least where `QUANTILE` of the targets lie below the outputs."""
    above = targets - outputs
    return torch.maximum(QUANTILE * above, (QUANTILE - 1) * above).mean()


def in_units(outputs: Tensor, targets: Tensor) -> Tensor:
    """Summed over the examples: tests add the totals of their slices up."""
    return SCALE * pinball(outputs, targets) * len(targets)


ninth_decile = Task(
    name="ninth_decile",
    network=network,
    data=made_data,
    batch_size=20,
    epochs=40,
    loss=pinball,
    metrics=(Measure(Metric("pinball", "pinball loss", unit="points"), in_units),),
)
