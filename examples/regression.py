"""Bring a task that is no classification: how far will a patient's diabetes get in a year?

    landscape run --task examples/regression.py:diabetes --seeds 1 --epochs 20

Ten numbers of each of 442 patients and a measure of how the disease got on, which scikit-learn
brings. The loss is the squared error of standardized targets; what the landscape is of is the
mean absolute error, in the units of that measure.
"""

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from torch import Tensor, nn

from landscape_study import Data, Measure, Metric, Task

SCALE = 77.0  # one standard deviation of the targets, 25 to 346
MIDDLE = 152.0  # their mean
TRAIN = 300  # patients


def patients() -> Data:
    """Inputs [B, 10] and targets [B, 1], both standardized."""
    inputs, targets = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(targets))
    x = torch.tensor(inputs[order] * len(targets) ** 0.5, dtype=torch.float32)
    y = torch.tensor((targets[order] - MIDDLE) / SCALE, dtype=torch.float32)[:, None]
    return Data(x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:])


def network() -> nn.Module:
    """A hidden layer of 32: [B, 10] → [B, 1]."""
    return nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1))


def absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Summed over the examples: tests add the totals of their slices up."""
    return SCALE * (outputs - targets).abs().sum()


diabetes = Task(
    name="diabetes",
    network=network,
    data=patients,
    batch_size=20,
    epochs=60,
    loss=nn.functional.mse_loss,
    metrics=(
        Measure(
            Metric("mae", "mean absolute error", unit="points of progression"), absolute_error
        ),
    ),
)
