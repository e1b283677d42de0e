"""Tables in a terminal."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from landscape_study.study.quantities import HOUR, format_bytes, format_seconds
from landscape_study.study.records.witness_record import marked
from landscape_study.study.spec.cell_numbers import common, symbols

if TYPE_CHECKING:
    from landscape_study.study.planning.plan import Plan
    from landscape_study.study.records.witness_record import Witness
    from landscape_study.study.spec.study import Panel, Study
    from landscape_study.study.store import PanelProgress, WorkerNow

WIDE = 120  # characters of a line where nobody says
UNBOUNDED = 10_000
TABLE: dict[str, Any] = {
    "box": None,
    "padding": (0, 2, 0, 0),
    "title_justify": "left",
    "caption_justify": "left",
}


def print_table(console: Console, table: Table) -> None:
    """Print a table whole: in several parts, one below the other, where columns do not fit.

    Where there is no terminal, and nobody says how wide it shall be, it is as wide as it likes.
    """
    is_given = console.is_terminal or "COLUMNS" in os.environ
    width = console.width if is_given else max(console.width, WIDE)
    wide = Console(file=console.file, width=width)
    parts = fitting_parts(wide, table)
    for part in parts:
        wide.print(part)
    if len(parts) > 1 and table.caption:
        wide.print(table.caption, style="table.caption", markup=False, highlight=False)


def fitting_parts(console: Console, table: Table) -> list[Table]:
    """The table if it fits; else tables of some of its columns each, after the first, no caption.

    A column too wide for any is alone beside the first.
    """
    if _width(console, table) <= console.width:
        return [table]
    first, *others = range(len(table.columns))
    groups: list[list[int]] = []
    for column in others:
        if groups and _width(console, _part(table, [first, *groups[-1], column])) <= console.width:
            groups[-1].append(column)
        else:
            groups.append([column])
    parts = [_part(table, [first, *group]) for group in groups]
    parts[0].title = table.title
    return parts


def _width(console: Console, table: Table) -> int:
    """How wide the columns of a table are, whatever is told above and below."""
    bare = console.options.update(width=UNBOUNDED)
    return console.measure(table, options=bare).maximum


def _part(table: Table, columns: Sequence[int]) -> Table:
    """Some columns of a table."""
    part = Table(box=table.box, padding=table.padding, title_justify=table.title_justify)
    chosen = [table.columns[column] for column in columns]
    for one in chosen:
        part.add_column(
            one.header, justify=one.justify, overflow=one.overflow, no_wrap=one.no_wrap
        )
    for row in zip(*(one.cells for one in chosen), strict=True):
        part.add_row(*row)
    return part


def status_table(
    study: Study, progress: Sequence[PanelProgress], witnesses: Sequence[Witness] = ()
) -> Table:
    """One row per panel: cells by state, value of the best cell, time summed over workers.

    Of what was trained elsewhere, no time is known. Panels whose witness disagrees are marked.
    """
    doubtful = {witness.panel for witness in witnesses if not witness.agrees}
    seeds = f"{len(study.seeds)} seed" + "s" * (len(study.seeds) > 1)
    table = Table(title=f"study {study.name} · task {study.task} · {seeds}", **TABLE)
    metric = study.metric
    what = f"{metric.best_word} {metric.title}"
    timed = not study.is_imported
    table.caption = f"best: {what} of one cell and seed"
    table.caption += "; time: summed over workers" * timed
    table.add_column("panel")
    pruned = ["pruned"] if any(p.pruned for p in progress) else []
    for column in (
        *("cells", "finished", "running", "open", "diverged", "failed", *pruned),
        *(f"best {metric.unit}".rstrip(), *(["time"] * timed)),
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for p in progress:
        waiting = p.total - p.ended - p.running
        counts = [p.total, p.finished, p.running, waiting, p.diverged, p.failed]
        counts += [p.pruned] if pruned else []
        best = "–"
        if p.best is not None and math.isfinite(p.best):  # else all have diverged
            best = metric.number(p.best)
        name = marked(p.panel, p.panel in doubtful)
        table.add_row(name, *map(str, counts), best, *([f"{p.seconds:.0f} s"] * timed))
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
    up, across = symbols(common(panel.grid.names for panel in study.panels))
    for column in (f"{up} × {across} × seeds", "to train", "chunks"):
        table.add_column(column, justify="right")
    for panel in study.panels:
        open_cells = sum(missing[panel.name])
        chunks = sum(-(-count // layout.chunk) for count in missing[panel.name])
        size = _size(panel, len(study.seeds))
        label = panel.schedule.label
        epochs = str(panel.epochs)
        table.add_row(panel.name, panel.pair, label, epochs, size, str(open_cells), str(chunks))
    memory, workers = format_bytes(plan.worker_bytes), len(layout.devices)
    table.caption = (
        f"{plan.parameters:,} parameters a cell, engine {plan.choice.engine}, "
        f"at most {layout.chunk} cell{'s' * (layout.chunk > 1)} a chunk: {memory} a worker beside "
        "PyTorch itself; "
        f"{workers} worker{'s' * (workers > 1)} on {', '.join(sorted(set(layout.devices)))}"
        f"{_threads(layout.threads)}; about {format_seconds(seconds)}"
        f"{_gpu_hours(plan, seconds)}"
    )
    return table


def _size(panel: Panel, seeds: int) -> str:
    """How many cells there are, and those beside the grid: "11 × 12 × 3 + 45 × 3"."""
    grid = panel.grid
    beside = f" + {len(grid.extra)} × {seeds}" if grid.extra else ""
    if panel.sampled:
        return f"asked by {panel.sampled.sampler}{beside}"
    if panel.promoted:
        return f"best of {panel.promoted.best_of}"
    return f"{len(grid.rows.values)} × {len(grid.columns.values)} × {seeds}{beside}"


def _threads(count: int) -> str:
    """Of each worker, where there are several."""
    return "" if count == 1 else f", {count} threads each"


def _gpu_hours(plan: Plan, seconds: float) -> str:
    """What that wall time costs in GPU hours; on CPUs, that it is the time of these workers."""
    gpus = len({device for device in plan.layout.devices if device.startswith("cuda")})
    if gpus == 0:
        return " on these CPU workers"
    return f", {seconds * gpus / HOUR:.1f} GPU hours"
