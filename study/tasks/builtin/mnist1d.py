"""MNIST-1D: signals of 40 values in ten classes, generated and not downloaded.

Source: Greydanus & Kobak, "Scaling down deep learning with MNIST-1D" (ICML 2024).
"""

import functools
import random

import numpy as np
import torch

from landscape_study.study.tasks.builtin.kept_data import kept
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.networks.convnet import bn_convnet
from landscape_study.study.tasks.task import Task


@functools.cache
def mnist1d_data() -> Data:
    """4,000 signals [1, 40] to train on and 1,000 to test on, as the package generates them."""
    return kept(_generated, packages=("mnist1d", "numpy", "scipy"))


def _generated() -> Data:
    from mnist1d.data import make_dataset  # imports Matplotlib: a second

    generators = random.getstate(), np.random.get_state()  # the package seeds the global ones
    try:
        made = make_dataset()
    finally:
        random.setstate(generators[0])
        np.random.set_state(generators[1])
    train, test = (torch.tensor(made[key], dtype=torch.float32) for key in ("x", "x_test"))
    train_targets, test_targets = (torch.tensor(made[key]).long() for key in ("y", "y_test"))
    return Data(train[:, None], train_targets, test[:, None], test_targets)


mnist1d = Task(
    name="mnist1d",
    network=functools.partial(bn_convnet, 1, (1, 8, 16, 32), 10),
    data=mnist1d_data,
    classes=10,
    batch_size=32,
    epochs=15,
)
