"""Progress in a terminal: bars that fill, lines for a log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.control import Control
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from landscape_study.study.quantities import MINUTE, format_seconds
from landscape_study.study.spec.metric import TEST_ERROR, Metric

if TYPE_CHECKING:
    from landscape_study.study.console.live import LiveView
    from landscape_study.study.store import PanelProgress

DRAWING = 0.01  # of the time may go into drawing the bar and what is above it
LONG = 1.5  # seconds, after which a user is told what takes so long
ECHO = 3  # characters that stay free behind the bar: the ^C that a terminal echoes, and one more
BESIDE_NEWS = 34 + ECHO  # characters of its line that are neither news nor counts; a bar of 5


class ProgressBar:
    """A bar with cells done, ETA, best value so far and diverged cells; silent in a pipe.

    Use as a context manager, and call with the progress of the study's panels. What it shows
    changes with these calls only, and its last state stays in the terminal.

    Args:
        console: where to show it.
        total: cells of the study.
        finished: how many of them were finished before.
        view: the heatmaps above the bar, if any.
        metric: what is measured of the cells.
    """

    def __init__(
        self,
        console: Console,
        total: int,
        finished: int,
        view: LiveView | None = None,
        metric: Metric = TEST_ERROR,
    ) -> None:
        self.started, self.finished_before = time.monotonic(), finished
        self.view, self.metric = view, metric
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f} of {task.total:.0f} cells"),
            TextColumn("{task.fields[news]}"),
            TimeElapsedColumn(),
            console=console,
            auto_refresh=False,
        )
        self.task = self.bar.add_task("", total=total, completed=finished, news="starting workers")
        bar = _Narrower(self.bar)
        shown = bar if view is None else Group(view, bar)
        self.live = Live(shown, console=console, auto_refresh=False)
        self.size = console.size
        self.next_refresh = 0.0  # on the monotonic clock

    def __enter__(self) -> ProgressBar:
        if self.live.console.is_terminal:
            self.live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.live.stop()

    def __call__(self, progress: list[PanelProgress]) -> None:
        """Show this progress."""
        finished = sum(p.ended for p in progress)
        total = sum(p.total for p in progress)  # fewer than at first where a sampler stops early
        elapsed = time.monotonic() - self.started
        eta = remaining_seconds(
            total=total,
            finished=finished,
            finished_before=self.finished_before,
            elapsed=elapsed,
        )
        counts = 2 * len(str(self.bar.tasks[0].total))
        width = self.live.console.width - BESIDE_NEWS - counts
        news = news_line(progress, eta, width, self.metric)
        self.bar.update(self.task, completed=finished, total=total, news=news)
        if self.view is not None:
            self.view(progress)
        if self.live.is_started:
            self._refresh()

    def _refresh(self) -> None:
        """Draw, unless the last time is so short ago that it would take more than `DRAWING`."""
        started, console = time.monotonic(), self.live.console
        if started < self.next_refresh:
            return  # the last state is drawn in any case, when the bar is left
        if self.view is not None and console.size != self.size:
            # Terminals break the lines drawn for another size, so that they cannot be found again.
            console.control(Control.clear(), Control.home())
        self.size = console.size
        self.live.refresh()
        ended = time.monotonic()
        self.next_refresh = ended + (ended - started) / DRAWING


class _Narrower:
    """The bar with room behind it for an echoed ^C.

    Where that breaks the line, one line too few is drawn over, and the top one stands twice.
    """

    def __init__(self, bar: Progress) -> None:
        self.bar = bar

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(options.max_width - ECHO, 1)
        yield from console.render(self.bar, options.update_width(width))


class ProgressLines:
    """A line with the cells done, now and then: for a log that nobody watches.

    Call it with the progress of the study's panels.
    """

    def __init__(self, console: Console, every: float = MINUTE) -> None:
        self.console, self.every = console, every
        self.told: tuple[int, int] | None = None
        self.next = 0.0  # on the monotonic clock

    def __call__(self, progress: list[PanelProgress]) -> None:
        """Write a line if something is new since the last one, which is long enough ago."""
        total = sum(p.total for p in progress)
        settled = sum(p.ended for p in progress)
        due = time.monotonic() >= self.next or settled == total
        if due and (settled, total) != self.told:
            self.told, self.next = (settled, total), time.monotonic() + self.every
            line = f"{datetime.now():%Y-%m-%d %H:%M:%S}  {settled} of {total} cells"
            self.console.print(line, highlight=False)


@contextmanager
def download_bar(console: Console, name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar to be called with the bytes there so far and in all; silent in a pipe."""
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    remaining = TimeRemainingColumn()
    bar = Progress(*columns, remaining, console=console, disable=not console.is_terminal)

    def show(there: int, size: int) -> None:
        if not bar.tasks:  # what was there before is no speed
            bar.add_task(name, total=size, completed=there)
        bar.update(bar.task_ids[0], completed=there)

    with bar:
        yield show


@contextmanager
def trial_bar(console: Console, what: str, steps: int) -> Iterator[Callable[[], None]]:
    """A bar to be advanced step by step, for what is mostly done before anybody would see it.

    In a pipe it is a line that says what takes long.
    """
    bar = Progress(TextColumn(what), BarColumn(), console=console, transient=True)
    task, started, told = bar.add_task(what, total=steps), time.monotonic(), False

    def advance() -> None:
        nonlocal told
        bar.advance(task)
        if not told and time.monotonic() - started > LONG:
            told = True
            if console.is_terminal:
                bar.start()
            else:
                console.print(what, highlight=False, markup=False, soft_wrap=True)

    try:
        yield advance
    finally:
        if told and console.is_terminal:
            bar.stop()


def news_line(
    progress: Sequence[PanelProgress],
    eta: float | None,
    width: int,
    metric: Metric = TEST_ERROR,
) -> str:
    """Time left (seconds, if known), then the best value and diverged cells if they fit."""
    line = f"{format_seconds(eta)} left" if eta is not None else "first chunks running"
    best = best_so_far(progress, metric)
    diverged = sum(p.diverged for p in progress)
    for part in (
        f" · best {metric.told(best[0])} ({best[1]})" if best is not None else "",
        f" · {diverged} diverged" if diverged else "",
    ):
        if len(line) + len(part) <= width:
            line += part
    return line


def remaining_seconds(
    *, total: int, finished: int, finished_before: int, elapsed: float
) -> float | None:
    """Seconds until all cells are done at this run's pace; None before its first cells."""
    gained = finished - finished_before
    return elapsed / gained * (total - finished) if gained > 0 else None


def best_so_far(
    progress: Sequence[PanelProgress], metric: Metric = TEST_ERROR
) -> tuple[float, str] | None:
    """The best value of a cell and its panel, if any cell is finished."""
    known = [(p.best, p.panel) for p in progress if p.best is not None and math.isfinite(p.best)]
    return min(known, key=lambda one: metric.sign * one[0], default=None)
