"""The paper's way to train on photographs of 32×32 pixels, whatever the data set."""

from collections.abc import Callable
from functools import partial

from landscape_study.study.tasks.builtin.augmentation import flip_and_crop, normalize
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.networks.shake_shake import shake_shake_26
from landscape_study.study.tasks.task import Task

Colour = tuple[float, float, float]  # red, green, blue


def photographs_task(
    name: str,
    *,
    width: int,
    classes: int,
    data: Callable[[], Data],
    epochs: int,
    mean: Colour,
    deviation: Colour,
) -> Task:
    """A ResNet 26 2x`width`d with Shake-Shake; batches of 128, normalized, flipped, cropped.

    `mean` and `deviation` are on the scale of the pixels, 0 to 255.
    """
    return Task(
        name=name,
        network=partial(shake_shake_26, width, classes),
        data=data,
        classes=classes,
        batch_size=128,
        epochs=epochs,
        normalize=partial(normalize, mean=mean, deviation=deviation),
        augment=flip_and_crop,
    )
