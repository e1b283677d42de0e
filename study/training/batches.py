"""The batches of a chunk: those of each epoch of its training, and those of its tests.

Letters: K cells, B examples of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor

from landscape_study.study.tasks.data.examples import Epoch, Examples
from landscape_study.study.tasks.randomness import (
    AUGMENTATION,
    LOADING,
    Stream,
    derived_seed,
    library_seed,
)
from landscape_study.study.tasks.task import TaskProtocol, no_augmentation, normalized
from landscape_study.study.training.checkpoint import State
from landscape_study.study.training.engines import Engine
from landscape_study.study.training.engines.base import Batch, Tensors
from landscape_study.study.training.engines.python_state import object_state, set_object_state

# Test examples held at once: with the cells of a usual chunk, larger slices leave a CPU's cache.
TEST_SLICE = 192
# Nor more than so many training batches: without gradients they take less memory.
TEST_BATCHES = 4


class Batches:
    """The training batches of each epoch, as the network takes them.

    Each is a copy of its own: whoever gets it may change it.

    Attributes:
        per_epoch: how many there are.
    """

    def __init__(
        self, task: TaskProtocol, examples: Examples, size: int, seed: int, dtype: torch.dtype
    ) -> None:
        self.task, self.examples, self.size = task, examples, size
        self.seed, self.dtype = seed, dtype
        self.per_epoch = examples.steps(size)
        self.order = _generator(seed, 0)
        self.augmentation = _generator(seed, 1)
        self.others = Stream(seed, AUGMENTATION)  # of an augmentation that asks other generators
        self.before = self.order.get_state()  # this epoch's order was drawn

    def of_epoch(
        self, epoch: int, first: int = 0, on_skip: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[float, Tensor, Tensor]]:
        """Time t in epochs, inputs [B, …] and targets [B, …] of each batch from the `first` on.

        `on_skip` is called for those before it that have to be read.
        """
        self.before = self.order.get_state()
        this = Epoch(epoch, library_seed(self.seed, LOADING, epoch), self.order, on_skip)
        batches = self.examples.shuffled(this, self.size, first)
        for i, (inputs, targets) in enumerate(batches, first):
            inputs = normalized(self.task, inputs, self.dtype)
            # Compiled code reads its inputs as they lay when it was traced.
            yield epoch + i / self.per_epoch, self._augmented(inputs).contiguous(), targets
        self.before = self.order.get_state()  # of the next epoch

    def _augmented(self, inputs: Tensor) -> Tensor:
        if self.task.augment is no_augmentation:
            return inputs
        with self.others.entered():
            return self.task.augment(inputs, self.augmentation)

    def state(self) -> State:
        """Of the streams, as they must be to give the rest of this epoch and those after it."""
        return {
            "order": self.before,
            "augmentation": self.augmentation.get_state(),
            "others": self.others.state,
            "augment": object_state(self.task.augment),
            "normalize": object_state(self.task.normalize),
        }

    def restore(self, state: State) -> None:
        """Go on where that was the state."""
        self.order.set_state(state["order"])
        self.augmentation.set_state(state["augmentation"])
        self.others.state = state["others"]
        set_object_state(self.task.augment, state["augment"])
        set_object_state(self.task.normalize, state["normalize"])


def _generator(seed: int, purpose: int) -> torch.Generator:
    """A generator on the CPU, independent for each seed and purpose."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose))


def slice_size(batch_size: int) -> int:
    """About how many test examples are tested at once.

    That does not depend on the chunk, and so no score does: where a network's outputs depend on
    what else is in the batch, or a loss weighs its examples.
    """
    return min(TEST_SLICE, TEST_BATCHES * batch_size)


@torch.no_grad()
def evaluate(
    engine: Engine, examples: Examples, batch_size: int, on_step: Callable[[], None] = lambda: None
) -> Tensors:
    """What the task measures of every cell, by name, each [K]: means over the test examples.

    `on_step` is called before each slice; what it raises ends the evaluation.
    """
    engine.train(False)
    totals: dict[str, Tensor] = {}
    slices = _slices(engine, examples, batch_size, on_step)
    while some := list(islice(slices, engine.at_once)):
        for scores in engine.all_scores(some):
            for metric, value in scores.items():
                value = value.to(engine.assignment.dtype)
                totals[metric] = totals[metric] + value if metric in totals else value
    return {metric: total / examples.count for metric, total in totals.items()}


def _slices(
    engine: Engine, examples: Examples, batch_size: int, on_step: Callable[[], None]
) -> Iterator[Batch]:
    for inputs, targets in examples.in_order(slice_size(batch_size)):
        on_step()
        inputs = normalized(engine.task, inputs, engine.assignment.dtype)
        # Compiled code reads them as they lay when it was traced.
        yield Batch(inputs.contiguous(), targets)
