"""What is measured of a cell in tests: functions that give sums over examples.

Letters: B examples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from landscape_study.study.errors import TaskError
from landscape_study.study.spec.metric import (
    LONGEST_NAME,
    TAKEN,
    TEST_ERROR,
    TOP5_CLASSES,
    TOP5_ERROR,
    Metric,
)


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


def require_measures(metrics: object, taken: Collection[str], where: str) -> None:
    """Check what a task gives as its metrics.

    Args:
        taken: names of what is recorded of the task besides.
        where: names the task in errors.

    Raises:
        TaskError: they are no measures, or cannot be told apart.
    """
    expected = (
        "expected a tuple of landscape_study.Measure, as in "
        '(Measure(Metric("mae", "error"), function),)'
    )
    if not isinstance(metrics, list | tuple):
        raise TaskError(f"{where}: metrics are a {type(metrics).__name__}; {expected}")
    for one in metrics:
        if not isinstance(one, Measure) or not isinstance(one.metric, Metric):
            raise TaskError(f"{where}: metrics hold a {type(one).__name__}; {expected}")
    measures: Sequence[Measure] = metrics
    names = [measure.name for measure in measures]
    for measure in measures:
        found = _wrong_with(measure.metric, {*taken, *TAKEN}, names)
        if found:
            raise TaskError(f"{where}: metric '{measure.name}' {found}")


def _wrong_with(metric: Metric, taken: Collection[str], names: list[str]) -> str:
    """What is wrong with a metric's name or goal; "" if nothing."""
    if not 1 <= len(metric.name) <= LONGEST_NAME:
        return f"has a name of {len(metric.name)} characters: give one of 1 to {LONGEST_NAME}"
    if metric.name in taken:
        return f"is called as another column of all tables: call it {metric.name}_measured, say"
    if names.count(metric.name) > 1:
        return "stands there twice: give each a name of its own"
    if metric.goal not in ("minimize", "maximize"):
        return f'has the goal "{metric.goal}": give "minimize" or "maximize"'
    return ""
