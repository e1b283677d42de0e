"""What a command prints or writes, as values and curves.

A line that is a JSON object counts, whatever stands between; so does a line in which a pattern is
found. `{"epoch": 3, "val_loss": 0.41, "acc": 0.9}` gives a point of three curves.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from landscape_study.study.objectives.number_records import flat, lacking, written_number

LONGEST_LINE = 100_000  # characters that are looked at
LARGEST_RESULT = 16 * 1024**2  # bytes of a result file
MOST_POINTS = 20_000  # of a curve: of more, every second one is kept, then every fourth, …
MOST_NAMES = 1000  # of numbers that are remembered, to say which was meant
TAKEN = ("study", "panel", "seed", "alpha", "lambda", "doubtful", "metric")  # columns of frames
STEPS = ("epoch", "step", "iteration", "global_step", "training_iteration")


class Measurements:
    """What was measured of one run.

    Args:
        metric: the name of the study's metric in the lines.
        pattern: finds the metric in a line that is no JSON, as its first group; None for none.
    """

    def __init__(self, metric: str, pattern: str | None = None) -> None:
        self.metric = metric
        self.pattern = re.compile(pattern) if pattern else None
        self.count = 0  # of points that were given
        self.last: dict[str, float] = {}  # point that was given
        self.every = 1  # of so many points, one is kept
        self.kept: list[tuple[float, dict[str, float]]] = []  # places and points, but the last
        self.names: set[str] = set()  # that were seen, to say which was meant
        self._written = _written_otherwise(metric)
        self._missed: str | None = None  # what a pattern would find

    def read_line(self, line: str) -> None:
        """Take in a line of output; what tells nothing is passed over."""
        line = line.strip()[:LONGEST_LINE]
        if line.startswith("{") and line.endswith("}"):
            try:
                self.take(json.loads(line))
            except (ValueError, RecursionError):
                return
        elif self.pattern is not None and (found := self.pattern.search(line)):
            number = written_number(found.group(1) if self.pattern.groups else found.group(0))
            if number is not None:
                self._add({self.metric: number})
        elif self._missed is None and (found := self._written.search(line)):
            self._missed = found.group(1)

    def read_result(self, path: Path) -> None:
        """Take in a result file, if there is one: JSON, a record a line, or a number alone."""
        if not path.is_file() or path.stat().st_size > LARGEST_RESULT:
            return
        text = path.read_text("utf-8", "replace").strip()
        number = written_number(text)
        if number is not None:
            self._add({self.metric: number})
            return
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError):
            for line in text.splitlines():
                self.read_line(line)
            return
        for record in whole if isinstance(whole, list) else [whole]:
            self.take(record)

    def take(self, record: object) -> None:
        """Take in a record, nested or not: {"eval": {"loss": 1}} has eval.loss."""
        numbers = flat(record, written_number)
        if len(self.names) < MOST_NAMES:
            self.names |= numbers.keys()
        self._add(numbers)

    def _add(self, numbers: dict[str, float]) -> None:
        if self.metric not in numbers:
            return
        if self.count and (self.count - 1) % self.every == 0:
            self.kept.append(self._placed())
        if len(self.kept) == MOST_POINTS:
            del self.kept[1::2]
            self.every *= 2
        self.count += 1
        self.last = numbers

    def _placed(self) -> tuple[float, dict[str, float]]:
        """The last point, and what it says of its place; its number if nothing."""
        said = (self.last[name] for name in STEPS if name in self.last)
        return next(said, float(self.count)), self.last

    @property
    def value(self) -> float | None:
        """The last value of the metric; None where it was never given."""
        return self.last.get(self.metric)

    @property
    def lacking(self) -> str:
        """That the metric was never given, and which name may be meant."""
        else_ = f"it printed no JSON line with '{self.metric}'"
        if self._missed is not None and not self.names:
            pattern = re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", self._missed)
            return f"{else_}; --pattern '{pattern}(\\S+)' finds it in its lines"
        return lacking(self.metric, self.names, "printed", else_)

    def curves(self) -> dict[str, np.ndarray]:
        """The curves, float32 [points] each; none of a single point.

        All numbers of the lines that have the metric; NaN where a line lacks one. Lines that say
        the same step again, as after a restart from a checkpoint, take the place of the former.
        What a line calls its epoch or step is the curve `step`, unless it counts from 1.
        """
        return curves_of(dict([*self.kept, self._placed()] if self.count else []))


def _written_otherwise(metric: str) -> re.Pattern[str]:
    """Finds a metric that no JSON holds, as in "Val loss: 0.3"; its group is what precedes it."""
    words = "[ _-]".join(map(re.escape, re.split("[ _-]", metric)))
    return re.compile(rf"\b({words}\s?[=:]?\s?)[-+.\d]", re.IGNORECASE)


def curves_of(points: Mapping[float, Mapping[str, float]]) -> dict[str, np.ndarray]:
    """The curves of points by step, float32 [points] each; none of a single point.

    NaN where a point lacks a number. The steps are the curve `step`, unless they count from 1.
    """
    if len(points) < 2:
        return {}
    found = points.values()
    names = sorted({name for point in found for name in point} - {*STEPS, *TAKEN})
    curves = {name: [point.get(name, math.nan) for point in found] for name in names}
    if [*points] != [*range(1, len(points) + 1)]:
        curves["step"] = [*points]
    return {name: np.array(curve, np.float32) for name, curve in curves.items()}
