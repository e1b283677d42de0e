"""Tasks that only the benchmarks train: `landscape run --task benchmarks.tasks:mlp1d`."""

import functools
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.networks.shake_shake import IMAGE, shake_shake_26
from landscape_study.study.tasks.task import Task

CLASSES = 10
IMAGES = 32  # to train on; half as many to test on


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """A plain perceptron: linear layers with ReLU between them, no batch norm."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@functools.cache
def flat_signals() -> Data:
    """MNIST-1D, each signal a vector of 40."""
    data = load_task("mnist1d").data()
    return Data(
        data.train_inputs.flatten(1),
        data.train_targets,
        data.test_inputs.flatten(1),
        data.test_targets,
    )


@functools.cache
def made_up_images() -> Data:
    """Random images [3, 32, 32]: each class has one of its own, and each example adds noise.

    So there is something to learn within a few steps, which shows whether a row trains.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (3, IMAGE, IMAGE)
    prototypes = torch.randn(CLASSES, *shape, generator=generator)
    examples = IMAGES + IMAGES // 2
    targets = torch.randint(CLASSES, (examples,), generator=generator)
    inputs = prototypes[targets] + 0.5 * torch.randn(examples, *shape, generator=generator)
    return Data(inputs[:IMAGES], targets[:IMAGES], inputs[IMAGES:], targets[IMAGES:])


mlp1d = Task(
    name="mlp1d",
    network=functools.partial(mlp, (40, 100, 100, CLASSES)),
    data=flat_signals,
    classes=CLASSES,
    batch_size=128,
    epochs=20,
)

resnet26 = Task(
    name="resnet26",
    network=functools.partial(shake_shake_26, 32, CLASSES),
    data=made_up_images,
    classes=CLASSES,
    batch_size=8,
    epochs=2,
)
