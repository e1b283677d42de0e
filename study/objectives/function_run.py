"""A run of a user's function, within its own process: what it is given, and what it leaves.

What it reports and returns is written line by line into a file of the run's folder: whatever
happens to the process, what was written is there. It imports nothing that takes a while.
"""

from __future__ import annotations

import json
import math
import os
import random
import reprlib
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from landscape_study.study.objectives.number_records import flat, lacking, scalar

REPORTS = "reports.jsonl"  # in a run's folder
LONGEST = 500  # characters of what is told of an exception


@dataclass(frozen=True)
class FunctionCell:
    """The cell that a function trains."""

    alpha: float
    lambda_: float
    seed: int
    pair: str  # a label of the user's
    panel: str
    numbers: Mapping[str, float] = field(default_factory=dict)  # beside α and λ, by name


@dataclass
class FunctionRun:
    """What a function is given beside its cell.

    Attributes:
        device: to train on, as PyTorch writes it: "cpu", or "cuda:0", the only GPU in sight.
        folder: the cell's own. What is kept there is there again when the run is repeated after a
            crash, a time-out or Ctrl-C; it is removed when the cell is finished.
    """

    device: str
    folder: Path
    _asked: bool = field(default=False, repr=False)  # whether the function looks if it is to stop
    _told: bool = field(default=False, repr=False)  # to stop

    def report(self, epoch: float, **metrics: Any) -> None:
        """Add points to the curves: one for each metric, at this epoch.

        Epochs may come in any order, several times (later values count), and with other metrics
        each time. A run that is repeated goes on from what it reported before: its first epoch,
        and what came after it, take the place of the former.

        Raises:
            TypeError: the epoch or a metric is no number.
        """
        numbers = {"epoch": epoch, **metrics}
        found = {name: scalar(value) for name, value in numbers.items()}
        for name, number in found.items():
            if number is None or (name == "epoch" and not math.isfinite(number)):
                raise TypeError(
                    f"run.report: {name} is {_shown(numbers[name])}: give a number, or a tensor "
                    "with one element"
                )
        self.write("report", found)

    def should_stop(self) -> bool:
        """Whether the run is told to end: write down what to go on from, and return.

        That is so after Ctrl-C, SIGTERM, at the time limit, and when the run is not wanted any
        more. What is returned then is not recorded. Without any call of this, the process is
        ended where it stands; with one, seconds later.
        """
        if not self._asked:
            self._asked = True
            with suppress(ValueError):  # not the main thread, which alone hears signals
                signal.signal(signal.SIGTERM, self._hear)
        return self._told

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._told = True

    def write(self, what: str, content: object) -> None:
        """Add a line to the file of reports."""
        line = f"{json.dumps({what: content})}\n"
        descriptor = os.open(self.folder / REPORTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(
                descriptor, line.encode()
            )  # at once: other processes of the run may write too
        finally:
            os.close(descriptor)

    def end_if_told(self) -> None:
        """End by SIGTERM, if that was asked for: so it is told from a run that is complete."""
        if self._told:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)


def carry_out(
    function: Callable[[FunctionCell, FunctionRun], Any],
    cell: FunctionCell,
    run: FunctionRun,
    metric: str,
) -> int:
    """Call the function, write down what it returned or raised, and give the exit code."""
    own = os.getpid()
    run.write("began", own)
    _seed(cell.seed)
    try:
        returned = function(cell, run)
    except BaseException as e:  # sys.exit and KeyboardInterrupt too
        if os.getpid() != own:  # a child that the function forked
            raise
        run.end_if_told()
        if e.__traceback__ is not None:
            e.__traceback__ = e.__traceback__.tb_next  # it begins in the user's code
        traceback.print_exception(e)
        run.write("failed", _told_of(e))
        return 1
    if os.getpid() != own:
        return 0
    run.end_if_told()
    numbers = _numbers(returned, metric)
    if metric in numbers:
        run.write("returned", numbers)
        return 0
    run.write("failed", _not_returned(returned, numbers, metric))
    return 1


def _seed(seed: int) -> None:
    """Start the generators that need no name from the cell's seed, as far as they are there."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _numbers(returned: object, metric: str) -> dict[str, float]:
    """The numbers that a function returned, by name."""
    if isinstance(returned, Mapping):
        return flat(returned, scalar)
    number = scalar(returned)
    return {} if number is None else {metric: number}


def _not_returned(returned: object, numbers: Mapping[str, float], metric: str) -> str:
    """What a function returned in the place of its metric."""
    remedy = f"return '{metric}', a number, or a dict that has it"
    if isinstance(returned, Mapping):
        if metric in returned:
            return f"it returned {_shown(returned[metric])} as '{metric}': {remedy}"
        return lacking(
            metric, numbers, "returned", f"it returned a dict without numbers: {remedy}"
        )
    return f"it returned {_shown(returned)}: {remedy}"


def _shown(value: object) -> str:
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    if isinstance(shape, tuple):
        return f"a {kind} of shape {tuple(shape)}"
    return "None" if value is None else f"{reprlib.repr(value)} ({kind})"


def _told_of(e: BaseException) -> str:
    """What was raised, and where in the user's code."""
    frames = traceback.extract_tb(e.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    if isinstance(e, SystemExit):
        return f"it called sys.exit({e.code!r}){where}: return the metric"
    return f"it raised {type(e).__name__}: {e}"[:LONGEST] + where
