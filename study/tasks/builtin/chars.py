"""Characters of Python's own language reference, as `help()` prints it: no download needed.

Letters: B windows, T characters of one, V kinds of characters.

The text comes with Python and changes with its version, and so does the task's fingerprint:
results of one version are not mixed with those of another.
"""

from __future__ import annotations

import functools
import math
import string
from pydoc_data.topics import topics

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from landscape_study.study.spec.metric import Metric
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.measures import Measure
from landscape_study.study.tasks.networks.gpt import GPT
from landscape_study.study.tasks.task import Task

LENGTH = 32  # T
ALPHABET = "\n" + "".join(c for c in string.printable if c.isprintable())
CLASSES = len(ALPHABET)  # V
# So little text, read so often, that a network of this size learns it by heart: as where data are
# scarcer than computing, and weight decay has something to do.
WINDOWS = 512  # of the text, from its beginning
STRETCH = 16  # windows
HELD_OUT = 4  # one in so many stretches is to test on


@functools.cache
def chars_data() -> Data:
    """Windows [B, T] to train and to test on, int64, with what comes next at each position."""
    numbers = {character: number for number, character in enumerate(ALPHABET)}
    text = torch.tensor([numbers[c] for c in _text() if c in numbers][: WINDOWS * LENGTH + 1])
    inputs, targets = text[:-1].view(-1, LENGTH), text[1:].view(-1, LENGTH)
    is_test = torch.arange(len(inputs)) // STRETCH % HELD_OUT == HELD_OUT - 1
    return Data(inputs[~is_test], targets[~is_test], inputs[is_test], targets[is_test])


def _text() -> str:
    """All pages, in the order of their names."""
    return "\n".join(topics[name] for name in sorted(topics))


def next_character(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of scores [B, T, V] against what comes next, [B, T]; nats."""
    return cross_entropy(outputs.flatten(0, 1), targets.flatten())


def bits(outputs: Tensor, targets: Tensor) -> Tensor:
    """The same in bits per character, summed over the B windows."""
    return next_character(outputs, targets) * len(targets) / math.log(2)


chars = Task(
    name="chars",
    network=functools.partial(GPT, CLASSES, LENGTH, width=32, heads=4, blocks=2),
    data=chars_data,
    batch_size=8,
    epochs=18,
    loss=next_character,
    metrics=(Measure(Metric("test_bits", "test loss", unit="bits per character"), bits),),
)
