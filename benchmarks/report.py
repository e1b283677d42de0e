"""Repetitions of rows, and what is told of them: ratios, agreement, JSON, tables."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Key, machine, show, spread
from study.spec import Study

TOLERANCE = 1.0  # points of test error: how far the rows' medians over cells may lie apart
ASKED_RATIO = 4.0  # of the tool to `loop`, as issue 2 has it


@dataclass(frozen=True)
class Row:
    """One way to train the cells."""

    name: str
    title: str
    what: str
    command: Callable[[Path, Path, Path], list[str]]  # of study file, database, folder


@dataclass(frozen=True)
class Repetition:
    """One row, once."""

    wall_s: float  # of the whole process, from its making to its end
    startup_s: float  # from its making to the start of the first cell
    training_s: float  # from there to the last recorded result
    cells: int
    peak_bytes: int
    peak_processes: int
    load: float  # of the machine just before
    errors: dict[Key, float]
    database: dict[str, Any] | None  # of the tool only

    @property
    def cells_per_s(self) -> float:
        """Throughput of the whole process."""
        return self.cells / self.wall_s

    @property
    def cells_per_s_training(self) -> float:
        """Throughput without start-up and leaving."""
        return self.cells / self.training_s

    @property
    def leaving_s(self) -> float:
        """Seconds from the last recorded result to the end of the process."""
        return self.wall_s - self.startup_s - self.training_s

    def record(self) -> dict[str, Any]:
        """As it stands in the JSON."""
        facts = {k: v for k, v in vars(self).items() if k not in ("errors", "database")}
        return facts | {
            "leaving_s": self.leaving_s,
            "cells_per_s": self.cells_per_s,
            "cells_per_s_training": self.cells_per_s_training,
            "median_test_error": statistics.median(self.errors.values()),
        }


Measured = dict[str, list[Repetition]]  # by row


def summarize(rows: Sequence[Row], measured: Measured) -> list[dict[str, Any]]:
    """Each row with its repetitions and their spread."""
    keys = (
        *("wall_s", "startup_s", "training_s", "leaving_s"),
        *("cells_per_s", "cells_per_s_training", "peak_bytes", "median_test_error"),
    )
    summary = []
    for row in rows:
        records = [repetition.record() for repetition in measured[row.name]]
        spreads = {key: spread([record[key] for record in records]) for key in keys}
        facts = {"row": row.name, "title": row.title, "what": row.what}
        summary.append(facts | spreads | {"repetitions": records})
    return summary


def ratios(measured: Measured) -> dict[str, dict[str, dict[str, float]]]:
    """The tool's throughput over each other row's, repetition by repetition."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, repetitions in measured.items():
        if name == "tool":
            continue
        together = list(zip(measured["tool"], repetitions, strict=True))
        found[name] = {
            "cells_per_s": spread([t.cells_per_s / r.cells_per_s for t, r in together]),
            "cells_per_s_training": spread(
                [t.cells_per_s_training / r.cells_per_s_training for t, r in together]
            ),
        }
    return found


def agreement(measured: Measured) -> dict[str, Any]:
    """Whether the rows found the same landscape, from the first repetition.

    Batches are shuffled differently and SGD's buffer differs, so cells differ by chance; the
    median over cells may lie `TOLERANCE` points apart.
    """
    tool = measured["tool"][0].errors
    medians = {
        name: statistics.median(repetitions[0].errors.values())
        for name, repetitions in measured.items()
    }
    apart = max(abs(median - medians["tool"]) for median in medians.values())
    typical = {
        name: statistics.median(abs(e - tool[key]) for key, e in repetitions[0].errors.items())
        for name, repetitions in measured.items()
        if name != "tool"
    }
    return {
        "tolerance_points": TOLERANCE,
        "median_test_error": medians,
        "largest_difference_of_medians": apart,
        "median_difference_per_cell": typical,
        "agree": apart <= TOLERANCE,
    }


def database_share(measured: Measured) -> dict[str, Any]:
    """The tool's database work: spread of the shares, and all times of each repetition."""
    work = [r.database for r in measured["tool"] if r.database is not None]
    return {
        "share": spread([w["share"] for w in work]),
        "share_of_everything": spread([w["share_of_everything"] for w in work]),
        "repetitions": work,
    }


def report(
    study: Study, rows: Sequence[Row], measured: Measured, settings: dict[str, Any]
) -> dict[str, Any]:
    """Everything, ready for JSON; README.md says what each entry is."""
    grids = {
        panel.name: {
            "alpha": list(panel.grid.alpha.values),
            "lambda": list(panel.grid.lambda_.values),
        }
        for panel in study.panels
    }
    return {
        "benchmark": "throughput",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": settings | {"grids": grids, "seeds": list(study.seeds)},
        "rows": summarize(rows, measured),
        "ratios": ratios(measured),
        "asked_ratio_to_loop": ASKED_RATIO,
        "agreement": agreement(measured),
        "database": database_share(measured),
    }


def make_console() -> Console:
    """A console wide enough for the tables, in a pipe too."""
    console = Console(soft_wrap=True, highlight=False)
    return Console(soft_wrap=True, highlight=False, width=max(125, console.width))


def print_report(console: Console, facts: dict[str, Any]) -> None:
    """The report as tables: medians over repetitions, with (min–max)."""
    print_machine(console, facts["machine"])
    settings, panels = facts["settings"], len(facts["settings"]["grids"])
    console.print(
        f"{settings['cells']} cells of {settings['preset']} ({settings['cells_per_panel']} of "
        f"each of {panels} pairs), {settings['repeats']} repetitions in turns; median (min–max)"
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("row", no_wrap=True)
    figures = ("wall s", "start-up s", "leaving s", "peak MB", "error %")
    for column in ("cells/s", "without start-up", *figures):
        table.add_column(column, justify="right")
    for row in facts["rows"]:
        console.print(f"  {row['row']}: {row['title']}: {row['what']}")
        table.add_row(
            row["row"],
            show(row["cells_per_s"], "{:.2f}".format),
            show(row["cells_per_s_training"], "{:.2f}".format),
            f"{row['wall_s']['median']:.1f}",
            f"{row['startup_s']['median']:.1f}",
            f"{row['leaving_s']['median']:.1f}",
            f"{row['peak_bytes']['max'] / 1e6:.0f}",
            f"{row['median_test_error']['median']:.2f}",
        )
    console.print(table)
    for name, ratio in facts["ratios"].items():
        asked = f"; asked for: at least {facts['asked_ratio_to_loop']:g}" * (name == "loop")
        console.print(
            f"tool ÷ {name}: {show(ratio['cells_per_s'], '{:.2f}'.format)} times the cells/s, "
            f"without start-up {show(ratio['cells_per_s_training'], '{:.2f}'.format)}{asked}"
        )
    same = facts["agreement"]
    console.print(
        f"same results: {'yes' if same['agree'] else 'NO'}: medians over cells lie "
        f"{same['largest_difference_of_medians']:.2f} points apart, tolerance "
        f"{same['tolerance_points']:g}"
    )
    print_database(console, facts["database"]["repetitions"][-1])


def print_machine(console: Console, facts: dict[str, Any]) -> None:
    """One line on the machine and versions."""
    versions = ", ".join(f"{name} {v}" for name, v in facts["versions"].items())
    console.print(
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_bytes'] / 1e9:.0f} GB; "
        f"{facts['system']}; Python {facts['python']}, {versions}"
    )


def print_database(console: Console, work: dict[str, Any]) -> None:
    """The tool's database work in one run."""
    console.print(
        f"database, {work['chunks']} chunks: claim + record + beat "
        f"{work['claim_record_beat_s']:.2f} s of {work['worker_s']:.1f} s of {work['workers']} "
        f"workers: {100 * work['share']:.2f} %; "
        f"with all other calls, the parent's too: {100 * work['share_of_everything']:.2f} %"
    )


def write_report(facts: dict[str, Any], output: Path) -> None:
    """Write the report as JSON."""
    output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    output.write_text(text + "\n", encoding="utf-8")
