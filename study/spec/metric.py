"""Metrics: what is recorded of a cell after every epoch, and in which unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
