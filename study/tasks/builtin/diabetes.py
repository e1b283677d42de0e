"""scikit-learn's diabetes patients: a regression, measured in its own unit; no download needed.

Letters: B patients.
"""

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from landscape_study.study.spec.metric import Metric
from landscape_study.study.tasks.builtin.shipped_tables import shipped_table
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.measures import Measure
from landscape_study.study.tasks.networks.mlp import bn_mlp
from landscape_study.study.tasks.task import Task

TRAIN_PATIENTS = 300
SPLIT_SEED = 0
SCALE = 77.0  # points of progression: one standard deviation of the targets, 25 to 346
MIDDLE = 152.0  # their mean


@functools.cache
def diabetes_data() -> Data:
    """Ten numbers of each of 442 patients [B, 10], and how the disease got on in a year, [B, 1].

    A fixed split of 300 and 142. Inputs are standardized by mean and deviation over the 300,
    targets by `MIDDLE` and `SCALE`.
    """
    numbers = shipped_table("diabetes_data_raw.csv.gz", "diabetes")
    progression = shipped_table("diabetes_target.csv.gz", "diabetes")
    order = np.random.default_rng(SPLIT_SEED).permutation(len(progression))
    train, test = order[:TRAIN_PATIENTS], order[TRAIN_PATIENTS:]
    standardized = (numbers - numbers[train].mean(axis=0)) / numbers[train].std(axis=0)
    inputs = torch.tensor(standardized, dtype=torch.float32)
    targets = torch.tensor((progression - MIDDLE) / SCALE, dtype=torch.float32)[:, None]
    return Data(inputs[train], targets[train], inputs[test], targets[test])


def absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """In points of progression, summed over the B patients."""
    return SCALE * (outputs - targets).abs().sum()


diabetes = Task(
    name="diabetes",
    network=functools.partial(bn_mlp, (10, 32, 32, 1)),
    data=diabetes_data,
    batch_size=20,
    epochs=40,
    loss=mse_loss,
    metrics=(
        Measure(
            Metric("mae", "mean absolute error", unit="points of progression"), absolute_error
        ),
    ),
)
