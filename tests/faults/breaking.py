"""Ways to break engines for a while, and the referee never.

A fault is a function `around(go, self, *arguments)` that is called in place of a method: `go` is
the method as it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from unittest import mock

from torch import Tensor

from landscape_study.study.pairs.optimizer import PairOptimizer
from landscape_study.study.tasks.data import tensors
from landscape_study.study.training import course
from landscape_study.study.training.course import Training
from landscape_study.study.training.engines import Engine, Referee, stacked
from landscape_study.study.training.engines.stacked import StackedEngine
from landscape_study.study.training.engines.vmapped import VmapEngine

Around = Callable[..., Any]
Broken = Callable[[], AbstractContextManager[None]]
Batch = tuple[float, Tensor, Tensor]


class FusedOptimizer(PairOptimizer):
    """What fused engines update by, apart from what the referee does."""


def broken_method(owner: type, name: str, around: Around) -> Broken:
    """Within it, the method of that name goes through `around`."""

    @contextmanager
    def broken() -> Iterator[None]:
        original = getattr(owner, name)

        def method(self: Any, *arguments: Any, **named: Any) -> Any:
            return around(partial(original, self), self, *arguments, **named)

        with mock.patch.object(owner, name, method):
            yield

    return broken


def engine_with(around: Around, method: str = "step") -> Broken:
    """Within it, fused engines have this fault."""
    return broken_method(VmapEngine, method, around)  # of which the captured one is a kind


def update_with(around: Around, method: str = "step") -> Broken:
    """Within it, the optimizer of fused engines has this fault."""

    @contextmanager
    def broken() -> Iterator[None]:
        changed = broken_method(FusedOptimizer, method, around)
        with mock.patch.object(stacked, "PairOptimizer", FusedOptimizer), changed():
            yield

    return broken


def loop_with(around: Around, method: str) -> Broken:
    """Within it, the training loop has this fault where fused engines train."""

    def unless_referee(go: Around, training: Training, *arguments: Any, **named: Any) -> Any:
        if isinstance(training.engine, Referee):
            return go(*arguments, **named)
        return around(go, training, *arguments, **named)

    return broken_method(Training, method, unless_referee)


def batches_with(change: Callable[[list[Batch]], list[Batch]]) -> Broken:
    """Within it, fused engines get other batches in each epoch."""

    def changed(go: Around, training: Training, *arguments: Any, **named: Any) -> Iterator[None]:
        original = training.batches.of_epoch

        def of_epoch(epoch: int, first: int = 0, on_skip: Any = None) -> Iterator[Batch]:
            return iter(change(list(original(epoch)))[first:])

        with mock.patch.object(training.batches, "of_epoch", of_epoch):
            yield from go(*arguments, **named)

    return loop_with(changed, "steps_of_epoch")


@contextmanager
def last_slice_skipped() -> Iterator[None]:
    """Within it, fused engines are tested on all but the last slice."""
    slices, evaluate = tensors.even_slices, course.evaluate

    def fewer(engine: Engine, *arguments: Any) -> Any:
        if isinstance(engine, Referee):
            return evaluate(engine, *arguments)
        with mock.patch.object(tensors, "even_slices", lambda *a: slices(*a)[:-1]):
            return evaluate(engine, *arguments)

    with mock.patch.object(course, "evaluate", fewer):
        yield


def from_step(first: int, around: Around) -> Around:
    """The fault, which begins when an engine or an optimizer has done so many steps."""

    def late(go: Around, self: Any, *arguments: Any, **named: Any) -> Any:
        if steps_of(self) < first:
            return go(*arguments, **named)
        return around(go, self, *arguments, **named)

    return late


def steps_of(self: StackedEngine | PairOptimizer) -> int:
    """How many an engine or an optimizer has done."""
    optimizer = self.optimizer if isinstance(self, StackedEngine) else self
    return max(optimizer.steps)
