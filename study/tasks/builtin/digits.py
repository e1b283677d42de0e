"""scikit-learn's handwritten digits: the embedded default task, no download needed."""

import functools

import numpy as np
import torch

from landscape_study.study.tasks.builtin.shipped_tables import shipped_table
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.networks.mlp import bn_mlp
from landscape_study.study.tasks.task import Task

TRAIN_EXAMPLES = 500
SPLIT_SEED = 0


@functools.cache
def digits_data() -> Data:
    """1797 digits of 8×8 pixels as vectors of 64, a fixed split of 500 and 1297.

    Each pixel is standardized by its mean and deviation over the 500 training digits; pixels
    that never vary there are only centred.
    """
    table = shipped_table("digits.csv.gz", "digits", delimiter=",")
    pixels, labels = table[:, :-1], table[:, -1].astype(int)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    train, test = order[:TRAIN_EXAMPLES], order[TRAIN_EXAMPLES:]
    mean, deviation = pixels[train].mean(axis=0), pixels[train].std(axis=0)
    standardized = (pixels - mean) / np.where(deviation > 0, deviation, 1)
    inputs = torch.tensor(standardized, dtype=torch.float32)
    targets = torch.tensor(labels, dtype=torch.int64)
    return Data(inputs[train], targets[train], inputs[test], targets[test])


digits = Task(
    name="digits",
    network=functools.partial(bn_mlp, (64, 64, 64, 10)),
    data=digits_data,
    classes=10,
    batch_size=50,
    epochs=60,
)
