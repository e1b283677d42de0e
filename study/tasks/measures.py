"""What is measured of a cell in tests: functions that give sums over examples.

Letters: B examples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from landscape_study.study.spec.metric import TEST_ERROR, TOP5_CLASSES, TOP5_ERROR, Metric


@dataclass(frozen=True)
class Measure:
    """A metric, and how it is taken of test examples.

    The test set is scored in slices: a metric's value is the total over all of them, divided by
    the number of examples. So what is measured must be a mean over examples.

    Attributes:
        metric: name, title, unit and goal.
        total: of the outputs [B, …] and targets [B, …] of one network, the sum over the B
            examples, a scalar, in the metric's unit: percent counts 100 for each example.
        chance: what a cell that diverged is given; None where it has no value then.
    """

    metric: Metric
    total: Callable[[Tensor, Tensor], Tensor]
    chance: float | None = None

    @property
    def name(self) -> str:
        """The metric's."""
        return self.metric.name


def classification(classes: int) -> tuple[Measure, ...]:
    """Errors in percent, of outputs [B, C] and class numbers [B]."""
    top1 = Measure(TEST_ERROR, wrong, chance_error(classes))
    top5 = Measure(TOP5_ERROR, partial(missed, guesses=5), chance_error(classes, 5))
    return (top1, top5) if classes > TOP5_CLASSES else (top1,)


def wrong(outputs: Tensor, targets: Tensor) -> Tensor:
    """100 times the examples whose highest score is another class's."""
    return 100 * (outputs.argmax(dim=-1) != targets).sum()


def missed(outputs: Tensor, targets: Tensor, guesses: int) -> Tensor:
    """100 times the examples whose class is not among those of the highest scores."""
    best = outputs.topk(guesses, dim=-1).indices
    return 100 * (best != targets[:, None]).all(dim=-1).sum()


def chance_error(classes: int, guesses: int = 1) -> float:
    """Test error of guessing so many classes, in percent: what diverged cells are given."""
    return 100 * (1 - guesses / classes)
