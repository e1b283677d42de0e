"""Metrics: what is recorded of a cell after every epoch, and in which unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from landscape_study.study.quantities import format_number


@dataclass(frozen=True)
class Metric:
    """Something that is measured of a cell.

    Attributes:
        name: in databases and tables.
        title: in sentences.
        unit: of its values; "" where it has none.
        goal: which values are better.
        matters: the difference below which a user would not care; None where nobody said.
    """

    name: str
    title: str
    unit: str = ""
    goal: Literal["minimize", "maximize"] = "minimize"
    matters: float | None = None

    @property
    def sign(self) -> int:
        """1 where less is better, −1 where more is."""
        return 1 if self.goal == "minimize" else -1

    @property
    def differences(self) -> str:
        """The unit of differences: "points" of a percentage; "" where there is none."""
        return "points" if self.unit == "%" else self.unit

    @property
    def label(self) -> str:
        """On axes and colour bars: "test error (%)"."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def is_percent_error(self) -> bool:
        """Whether it is an error in percent: never below 0, and the better the nearer to it."""
        return self.unit == "%" and self.sign > 0

    @property
    def noun(self) -> str:
        """In sentences that need no more: "error" of any error in percent, else the title."""
        return "error" if self.is_percent_error else self.title

    @property
    def best_word(self) -> str:
        """What the best value is: the "lowest" or the "highest"."""
        return "lowest" if self.sign > 0 else "highest"

    def number(self, value: float) -> str:
        """A value without its unit: "2.31"; in four digits where nobody said what matters."""
        digits = None if self.matters is None else telling_digits(self.matters)
        return format_number(value, digits)

    def told(self, value: float) -> str:
        """A value for people: "2.31 %", "−0.534 nats"."""
        return f"{self.number(value)} {self.unit}".rstrip()

    def apart(self, distance: float) -> str:
        """How far two values lie from each other: "0.25 points", "0.012 nats"."""
        return f"{self.number(distance)} {self.differences}".rstrip()


def telling_digits(matters: float) -> int:
    """Digits after the point that tell what matters: 2 for errors in percent."""
    return max(0, math.ceil(-math.log10(matters)) + 1)


MATTERS = 0.25  # points of percent
TEST_ERROR = Metric("test_error", "test error", unit="%", matters=MATTERS)
TOP5_ERROR = Metric("top5_error", "Top-5 test error", unit="%", matters=MATTERS)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("train_loss", "training loss"),
        Metric("test_loss", "test loss"),
        TEST_ERROR,
        TOP5_ERROR,
    )
}
RECORDED = ("train_loss", "test_loss", "test_error")  # of every task
TOP5 = TOP5_ERROR.name  # besides, of tasks with more than TOP5_CLASSES classes
TOP5_CLASSES = 10


def metrics_of(classes: int) -> tuple[str, ...]:
    """The names of the metrics that are recorded for a task of so many classes."""
    return (*RECORDED, TOP5) if classes > TOP5_CLASSES else RECORDED
