"""What a study looks like in a terminal: the progress bar and the tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

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
from rich.table import Table

from landscape_study.study.records.witness_record import DOUBT, MARK, marked
from landscape_study.study.spec.metric import ERROR_NAMES

if TYPE_CHECKING:
    from landscape_study.study.console.live import LiveView
    from landscape_study.study.planning.plan import Plan
    from landscape_study.study.records.witness_record import Witness
    from landscape_study.study.spec.study import Study
    from landscape_study.study.store import Failure, PanelProgress, Store, WorkerNow
    from landscape_study.study.store.merging import Merged

TABLE: dict[str, Any] = {
    "box": None,
    "padding": (0, 2, 0, 0),
    "title_justify": "left",
    "caption_justify": "left",
}
MINUTE, HOUR = 60, 3600  # seconds
DRAWING = 0.01  # of the time may go into drawing the bar and what is above it
LONG = 1.5  # seconds, after which a user is told what takes so long
FAILURES = 20  # failed cells that are listed
ECHO = 3  # characters that stay free behind the bar: the ^C that a terminal echoes, and one more
BESIDE_NEWS = 34 + ECHO  # characters of its line that are neither news nor counts; a bar of 5


class ProgressBar:
    """A bar with cells done, ETA, best error so far and diverged cells; silent in a pipe.

    Use as a context manager, and call with the progress of the study's panels. What it shows
    changes with these calls only, and its last state stays in the terminal.

    Args:
        console: where to show it.
        total: cells of the study.
        finished: how many of them were finished before.
        view: the heatmaps above the bar, if any.
    """

    def __init__(
        self, console: Console, total: int, finished: int, view: LiveView | None = None
    ) -> None:
        self.started, self.finished_before = time.monotonic(), finished
        self.view = view
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
        finished = sum(p.finished + p.failed for p in progress)
        elapsed = time.monotonic() - self.started
        eta = remaining_seconds(
            total=sum(p.total for p in progress),
            finished=finished,
            finished_before=self.finished_before,
            elapsed=elapsed,
        )
        counts = 2 * len(str(self.bar.tasks[0].total))
        news = news_line(progress, eta, self.live.console.width - BESIDE_NEWS - counts)
        self.bar.update(self.task, completed=finished, news=news)
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
        settled = sum(p.finished + p.failed for p in progress)
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


def choice_lines(plan: Plan) -> Iterator[str]:
    """Why cells are trained by no faster engine, or cannot go on from checkpoints."""
    choice = plan.choice
    if choice.why:
        by = "the plain loop" if choice.engine == "referee" else f"engine {choice.engine}"
        times = choice.slower or 0
        slower = f", about {times:.0f} × slower" if times >= 1.5 else ""
        yield f"{choice.why}: trained by {by} instead{slower}"
    if plan.no_checkpoint:
        yield f"no checkpoints are kept, so what is interrupted begins anew: {plan.no_checkpoint}"


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


def news_line(progress: Sequence[PanelProgress], eta: float | None, width: int) -> str:
    """Time left (seconds, if known), then the best error and diverged cells if they fit."""
    line = f"{format_seconds(eta)} left" if eta is not None else "first chunks running"
    best = best_so_far(progress)
    diverged = sum(p.diverged for p in progress)
    for part in (
        f" · best {best.best:.2f} % ({best.panel})" if best is not None else "",
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


def best_so_far(progress: Sequence[PanelProgress]) -> PanelProgress | None:
    """The panel with the lowest error of a cell, if any cell is finished."""
    known = [p for p in progress if p.best is not None]
    return min(known, key=lambda p: p.best or 0.0, default=None)


def format_seconds(seconds: float) -> str:
    """A duration as a person says it: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole >= HOUR:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    if whole >= MINUTE:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    return f"{whole} s"


def format_bytes(count: float) -> str:
    """A size in MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(count / 1e6, 0.1):.1f} MB"


def workers_line(plan: Plan, store: Store) -> str:
    """What is to be done, by whom and how."""
    progress, workers = store.progress(plan.study.name), len(plan.layout.devices)
    total, finished = sum(p.total for p in progress), sum(p.finished for p in progress)
    return (
        f"study {plan.study.name}: {total} cells, {finished} of them finished; "
        f"{workers} worker{'s' * (workers > 1)}, engine {plan.choice.engine}; "
        f"database {store.name}"
    )


def print_plain(console: Console, line: str) -> None:
    """Print a line as it is, which may hold a user's own words."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_table(console: Console, table: Table) -> None:
    """Print a table whole, also where the terminal is narrower; wider where there is none."""
    width = max(console.width, 80 if console.is_terminal else 120)
    Console(file=console.file, width=width).print(table)


def status_table(
    study: Study, progress: Sequence[PanelProgress], witnesses: Sequence[Witness] = ()
) -> Table:
    """One row per panel: cells by state, error of the best cell, time summed over workers.

    Panels whose witness disagrees are marked.
    """
    doubtful = {witness.panel for witness in witnesses if not witness.agrees}
    seeds = f"{len(study.seeds)} seed" + "s" * (len(study.seeds) > 1)
    table = Table(title=f"study {study.name} · task {study.task} · {seeds}", **TABLE)
    error = ERROR_NAMES[study.error]
    table.caption = f"best: lowest {error} of one cell and seed; time: summed over workers"
    table.add_column("panel")
    for column in (
        "cells",
        "finished",
        "running",
        "open",
        "diverged",
        "failed",
        "best %",
        "time",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for p in progress:
        waiting = p.total - p.finished - p.running - p.failed
        counts = (p.total, p.finished, p.running, waiting, p.diverged, p.failed)
        best = f"{p.best:.2f}" if p.best is not None else "–"
        name = marked(p.panel, p.panel in doubtful)
        table.add_row(name, *map(str, counts), best, f"{p.seconds:.0f} s")
    return table


def workers_table(workers: Sequence[WorkerNow]) -> Table:
    """One row per worker that holds a chunk: where it is, what it trains, when it was heard."""
    table = Table(title="workers", **TABLE)
    if not all(w.alive for w in workers):
        table.caption = "lost: its cells are free for others"
    for column in ("host", "process", "device", "panel", "seed", "cells", "last heard"):
        table.add_column(column, justify="left" if column in ("host", "panel") else "right")
    for w in workers:
        heard = f"{format_seconds(max(w.silent, 0))} ago"
        facts = (w.pid, w.device, w.panel, w.seed, w.cells)
        table.add_row(w.host, *map(str, facts), heard if w.alive else f"{heard}: lost")
    return table


def failure_lines(failures: Sequence[Failure], retry: str) -> list[str]:
    """The cells that were given up, and the command that tries them again."""
    if not failures:
        return []
    lines = [
        f"failed: {f.panel}, seed {f.seed}, α = {f.alpha:g}, λ = {f.lambda_:g}: {f.reason}"
        for f in failures[:FAILURES]
    ]
    if len(failures) > FAILURES:
        lines.append(f"… and {len(failures) - FAILURES} more failed cells")
    return [*lines, f"try again:  {retry}"]


def witness_lines(
    study: Study, witnesses: Sequence[Witness], noise: Mapping[str, float]
) -> Iterator[str]:
    """How the witness of each panel lies, where there is one.

    Args:
        study: whose witnesses they are.
        witnesses: the one of each panel that counts.
        noise: standard deviation between seeds, in points, of panels with several.
    """
    for one in witnesses:
        name = marked(one.panel, not one.agrees)
        said = one.line(noise.get(one.panel), study.panel(one.panel).epochs)
        yield f"witness of {name}: {said}"
    if not all(one.agrees for one in witnesses):
        yield f"{MARK} {DOUBT}: train it with --engine referee under another --name"


def merged_line(merged: Merged, resume: str) -> str:
    """What a merge took of one study, and what it left for the command that resumes it."""
    parts = [f"{merged.taken} cells taken", f"{merged.there} were there"]
    if merged.differing:
        most = f"at most {merged.difference:.2f} points"
        parts.append(
            f"of which {merged.differing} have another error, by {most}: kept as they are"
        )
    if merged.torn:
        parts.append(f"{merged.torn} left out, which are not whole")
    if merged.open:
        parts.append(f"{merged.open} open ({resume})")
    return f"study {merged.study}: {', '.join(parts)}"


def plan_table(plan: Plan, missing: dict[str, list[int]], seconds: float) -> Table:
    """What `run` would do: per panel cells to train and chunks; memory and time below.

    Args:
        missing: cells still to be trained, by panel, for each seed.
        seconds: estimated wall time.
    """
    study, layout = plan.study, plan.layout
    table = Table(title=f"dry run of study {study.name} · task {study.task}", **TABLE)
    for column in ("panel", "pair", "schedule", "epochs"):
        table.add_column(column)
    for column in ("α × λ × seeds", "to train", "chunks"):
        table.add_column(column, justify="right")
    for panel in study.panels:
        shape = (len(panel.grid.alpha.values), len(panel.grid.lambda_.values), len(study.seeds))
        open_cells = sum(missing[panel.name])
        chunks = sum(-(-count // layout.chunk) for count in missing[panel.name])
        size = " × ".join(map(str, shape))
        label = panel.schedule.label
        epochs = str(panel.epochs)
        table.add_row(panel.name, panel.pair, label, epochs, size, str(open_cells), str(chunks))
    memory, workers = format_bytes(plan.worker_bytes), len(layout.devices)
    table.caption = (
        f"{plan.parameters:,} parameters a cell, engine {plan.choice.engine}, "
        f"at most {layout.chunk} cells a chunk: {memory} a worker beside PyTorch itself; "
        f"{workers} worker{'s' * (workers > 1)} on {', '.join(sorted(set(layout.devices)))}"
        f"{_threads(layout.threads)}; about {format_seconds(seconds)}"
        f"{_gpu_hours(plan, seconds)}"
    )
    return table


def _threads(count: int) -> str:
    """Of each worker, where there are several."""
    return "" if count == 1 else f", {count} threads each"


def _gpu_hours(plan: Plan, seconds: float) -> str:
    """What that wall time costs in GPU hours; on CPUs, that it is the time of these workers."""
    gpus = len({device for device in plan.layout.devices if device.startswith("cuda")})
    if gpus == 0:
        return " on these CPU workers"
    return f", {seconds * gpus / HOUR:.1f} GPU hours"


def run_lines(runs: Sequence[dict[str, Any]]) -> list[str]:
    """One line per run of a study: when, where, and with which versions."""
    lines = []
    for run in runs:
        try:
            lines.append(_run_line(run))
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError):
            lines.append("a run of which nothing can be read: what is stored of it is broken")
    return lines


def _run_line(run: dict[str, Any]) -> str:
    facts = run["provenance"]
    started = datetime.fromtimestamp(run["started"]).astimezone()
    took = "" if run["ended"] is None else format_seconds(run["ended"] - run["started"])
    versions = ", ".join(f"{name} {v}" for name, v in facts["versions"].items())
    devices = ", ".join(
        f"{facts['devices'].count(d)} × {d}" for d in sorted(set(facts["devices"]))
    )
    return (
        f"run {started:%Y-%m-%d %H:%M:%S %Z}, {took or 'not ended'}, on {facts['host']} "
        f"({devices}{_by(facts)}); Python {facts['python']}, {versions}; "
        f"git {facts['git'] or 'unknown'}"
    )


def _by(facts: dict[str, Any]) -> str:
    """The engine of a run; earlier runs did not say."""
    return f", {facts['engine']}" if "engine" in facts else ""
