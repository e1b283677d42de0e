"""What a user's function reported and returned, read from the file that its runs left."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from landscape_study.study.objectives.function_run import REPORTS
from landscape_study.study.objectives.measurements import MOST_POINTS, STEPS, curves_of


class News:
    """Whether there is more in the file of reports of a run's folder than at the last call."""

    def __init__(self, folder: Path) -> None:
        self.path, self.size = folder / REPORTS, 0

    def __call__(self) -> bool:  # noqa: D102
        with suppress(FileNotFoundError):
            before, self.size = self.size, self.path.stat().st_size
            return self.size != before
        return False


class Reports:
    """What is in the file of reports of a run's folder, of all attempts at the cell.

    Attributes:
        value: of the metric that the last attempt returned; None if it returned none.
        failed: why the last attempt returned none; None if it did not say.
    """

    def __init__(self, folder: Path, metric: str) -> None:
        self.metric = metric
        self.points: dict[float, dict[str, float]] = {}
        self.value: float | None = None
        self.failed: str | None = None
        self._goes_on = False  # from what an earlier attempt reported
        with suppress(FileNotFoundError), (folder / REPORTS).open("rb") as file:
            for line in file:
                with suppress(ValueError):  # the last line of what was killed may be torn
                    ((what, content),) = json.loads(line).items()
                    self._take(what, content)

    def _take(self, what: str, content: object) -> None:
        if what == "began":
            self.value, self.failed, self._goes_on = None, None, True
        elif what == "failed":
            self.failed = str(content)
        elif isinstance(content, dict) and what == "report":
            self._report(content)
        elif isinstance(content, dict) and what == "returned":
            self._return(content)

    def _report(self, numbers: dict[str, float]) -> None:
        step = numbers["epoch"]
        if self._goes_on:  # what follows is reported anew
            self.points = {s: point for s, point in self.points.items() if s < step}
            self._goes_on = False
        if step in self.points or len(self.points) < MOST_POINTS:
            self.points.setdefault(step, {}).update(numbers)

    def _return(self, numbers: dict[str, float]) -> None:
        """The value; other numbers that were returned belong to the last point of the curves."""
        self.value = numbers[self.metric]
        step = next((numbers[name] for name in STEPS if name in numbers), None)
        if step is not None:
            self.points.setdefault(step, {}).update(numbers)
        elif self.points:
            others = {name: one for name, one in numbers.items() if name != self.metric}
            last = max(self.points)
            self.points[last] = others | self.points[last]

    @property
    def lacking(self) -> str:
        """That there is no value, and why if that is known."""
        return self.failed or "it ended without returning"

    @property
    def last(self) -> dict[str, float]:
        """The last point that was reported, with what was returned beside the metric."""
        return self.points[max(self.points)] if self.points else {}

    @property
    def count(self) -> int:
        """How many points there are."""
        return len(self.points)

    def curves(self) -> dict[str, np.ndarray]:
        """The curves by epoch, float32 [points] each; see `measurements.curves_of`."""
        return curves_of(dict(sorted(self.points.items())))
