"""Tasks that are no classification, small enough to train in milliseconds.

Letters: B examples, D numbers an example, T tokens, V words, C classes of pixels, H × W pixels.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscape_study import Data, Measure, Metric, Task

TRAIN, TEST = 23, 17  # in batches of 5, the last one has 3
LABELS, WORDS, PIXEL_CLASSES = 3, 7, 3


def split(inputs: Tensor, targets: Tensor) -> Data:
    """To train on and to test on."""
    return Data(inputs[:TRAIN], targets[:TRAIN], inputs[TRAIN:], targets[TRAIN:])


def drawn(*shape: int) -> Tensor:
    """Normal numbers [B, …], the same at each call."""
    return torch.randn(TRAIN + TEST, *shape, generator=torch.Generator().manual_seed(0))


def numbers() -> Data:
    """Inputs [B, 6], targets [B, 2]."""
    inputs = drawn(6)
    return split(inputs, torch.stack([inputs[:, 0] - inputs[:, 1], inputs[:, 2].sin()], dim=1))


def labels() -> Data:
    """Inputs [B, 6], several labels an example, [B, 3] of 0 and 1."""
    inputs = drawn(6)
    return split(inputs, (inputs[:, :LABELS] + inputs[:, LABELS:] > 0).float())


def maps() -> Data:
    """Images [B, 2, 5, 5], a class for each pixel, [B, 5, 5]."""
    inputs = drawn(2, 5, 5)
    return split(inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0.5).long())


def sequences() -> Data:
    """Tokens [B, 4], and those that follow them, [B, 4]."""
    tokens = torch.randint(WORDS, (TRAIN + TEST, 5), generator=torch.Generator().manual_seed(0))
    return split(tokens[:, :-1], tokens[:, 1:])


def two_layers(outputs: int) -> nn.Module:
    """[B, 6] → [B, outputs]."""
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, outputs))


def pixelwise() -> nn.Module:
    """[B, 2, H, W] → [B, C, H, W]."""
    hidden = nn.Conv2d(2, 4, 3, padding=1)
    return nn.Sequential(hidden, nn.Tanh(), nn.Conv2d(4, PIXEL_CLASSES, 1))


def bigrams() -> nn.Module:
    """[B, T] → [B, T, V]."""
    return nn.Sequential(nn.Embedding(WORDS, 8), nn.Tanh(), nn.Linear(8, WORDS))


def absolute(outputs: Tensor, targets: Tensor) -> Tensor:
    """Absolute errors [B, D], their mean over D, summed over B."""
    return (outputs - targets).abs().mean(dim=1).sum()


def exact(outputs: Tensor, targets: Tensor) -> Tensor:
    """100 times the examples of which each label is right."""
    return 100 * ((outputs > 0) == (targets > 0.5)).all(dim=1).sum()


def right_pixels(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of right pixels in percent, summed over B."""
    return 100 * (outputs.argmax(dim=1) == targets).double().mean(dim=(1, 2)).sum()


def of_tokens(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of outputs [B, T, V] against tokens [B, T], in nats a token."""
    return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def bits(outputs: Tensor, targets: Tensor) -> Tensor:
    """Bits a token, their mean over T, summed over B."""
    return of_tokens(outputs, targets) * len(targets) / torch.log(torch.tensor(2.0))


MAE = Metric("mae", "mean absolute error", unit="mg")
EXACT = Metric("exact", "exact matches", unit="%", goal="maximize")
ACCURACY = Metric("pixel_accuracy", "pixel accuracy", unit="%", goal="maximize")
BITS = Metric("bits", "bits per character", unit="bits")

regression = Task(
    name="regression",
    network=partial(two_layers, 2),
    data=numbers,
    batch_size=5,
    epochs=3,
    loss=functional.mse_loss,
    metrics=(Measure(MAE, absolute),),
)
multi_label = Task(
    name="multi-label",
    network=partial(two_layers, LABELS),
    data=labels,
    batch_size=5,
    epochs=3,
    loss=functional.binary_cross_entropy_with_logits,
    metrics=(Measure(EXACT, exact, chance=0.0),),
)
segmentation = Task(
    name="segmentation",
    network=pixelwise,
    data=maps,
    batch_size=5,
    epochs=3,
    metrics=(Measure(ACCURACY, right_pixels),),
)
language = Task(
    name="language",
    network=bigrams,
    data=sequences,
    batch_size=5,
    epochs=3,
    loss=of_tokens,
    metrics=(Measure(BITS, bits),),
)
EVERY = {task.name: task for task in (regression, multi_label, segmentation, language)}
