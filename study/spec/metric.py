"""Metrics: what is measured of a cell, in which unit, and which values are better."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from landscape_study.study.quantities import format_number

LONGEST_NAME = 32  # characters: databases and frames name columns by it
TAKEN = {
    *("study", "panel", "pair", "schedule", "epochs", "normalized", "seed", "alpha", "lambda"),
    *("state", "diverged", "diverged_epoch", "clipped", "extra", "seconds", "trial", "attempts"),
    *("doubtful", "epoch", "timescale"),
}  # other columns of frames


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

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=False)

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    title: str
    unit: str = ""
    goal: Literal["minimize", "maximize"] = "minimize"
    matters: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None

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
SPAN = 12 * MATTERS  # points from the best value to where all are equally bad
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
LOSSES = ("train_loss", "test_loss")  # recorded of every task
RECORDED = (*LOSSES, "test_error")  # of every task of classification
TOP5 = TOP5_ERROR.name  # besides, of tasks with more than TOP5_CLASSES classes
TOP5_CLASSES = 10


def filled(written: Any) -> Any:
    """A metric as a user writes it, its name or a table, with all that its name tells.

    >>> filled("val_loss")["title"]
    'val_loss'
    >>> filled({"name": "test_loss", "matters": 0.01})["title"]
    'test loss'
    """
    table = {"name": written} if isinstance(written, str) else written
    name = table.get("name") if isinstance(table, dict) else None
    if not isinstance(name, str):
        return table  # and be told what is wrong with it
    known = METRICS.get(name)
    return ({"title": name} if known is None else asdict(known)) | table


def completed(metric: Metric, known: Metric) -> Metric:
    """What was said of a metric, and the rest as who takes it knows it by this name."""
    by_name = asdict(Metric(**filled(metric.name)))
    said = {key: value for key, value in asdict(metric).items() if value != by_name[key]}
    return replace(known, **said)


def written(metric: Metric) -> str | dict[str, Any]:
    """A metric as `filled` takes it: its name where that tells all."""
    table = {key: value for key, value in asdict(metric).items() if value is not None}
    known = filled(metric.name)
    own = {key: value for key, value in table.items() if known.get(key, "") != value}
    if metric.goal == "minimize" and "goal" not in known:
        own.pop("goal", None)
    return {"name": metric.name} | own if own.keys() - {"name"} else metric.name
