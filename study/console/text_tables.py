"""Tables in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from landscape_study.study.quantities import HOUR, format_bytes, format_seconds
from landscape_study.study.records.witness_record import marked

if TYPE_CHECKING:
    from landscape_study.study.planning.plan import Plan
    from landscape_study.study.records.witness_record import Witness
    from landscape_study.study.spec.study import Study
    from landscape_study.study.store import PanelProgress, WorkerNow

WIDEST = 120  # characters of a table that need not be broken
TABLE: dict[str, Any] = {
    "box": None,
    "padding": (0, 2, 0, 0),
    "title_justify": "left",
    "caption_justify": "left",
}


def print_table(console: Console, table: Table) -> None:
    """Print a table whole, also where the terminal is narrower; wider where there is none."""
    whole = console.measure(table, options=console.options.update(max_width=WIDEST)).maximum
    width = max(console.width, whole if console.is_terminal else WIDEST)
    Console(file=console.file, width=width).print(table)


def status_table(
    study: Study, progress: Sequence[PanelProgress], witnesses: Sequence[Witness] = ()
) -> Table:
    """One row per panel: cells by state, value of the best cell, time summed over workers.

    Panels whose witness disagrees are marked.
    """
    doubtful = {witness.panel for witness in witnesses if not witness.agrees}
    seeds = f"{len(study.seeds)} seed" + "s" * (len(study.seeds) > 1)
    table = Table(title=f"study {study.name} · task {study.task} · {seeds}", **TABLE)
    metric = study.metric
    what = f"{metric.best_word} {metric.title}"
    table.caption = f"best: {what} of one cell and seed; time: summed over workers"
    table.add_column("panel")
    pruned = ["pruned"] if any(p.pruned for p in progress) else []
    for column in (
        *("cells", "finished", "running", "open", "diverged", "failed", *pruned),
        *(f"best {metric.unit}".rstrip(), "time"),
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for p in progress:
        waiting = p.total - p.finished - p.running - p.failed - p.pruned
        counts = [p.total, p.finished, p.running, waiting, p.diverged, p.failed]
        counts += [p.pruned] if pruned else []
        best = metric.number(p.best) if p.best is not None else "–"
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
