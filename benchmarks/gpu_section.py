"""What the page says of the card."""

from __future__ import annotations

from benchmarks.markdown import measured, number, spread, table
from benchmarks.results import Facts


def gpu_section(facts: Facts) -> str:
    """Cells a second against one by one on the same card, and the share of its limit."""
    card, settings = facts["card"], facts["settings"]
    versions = [f"{key} {card[key]}" for key in ("driver", "cuda", "cudnn") if card.get(key)]
    memory = f", {card['total_bytes'] / 1e9:.0f} GB" if "total_bytes" in card else ""
    speeds = [f"{name} {number(r['median'] / 1e12)}" for name, r in facts["rates"].items()]
    failed = [
        f"- {_what(row)}: {row['failed']}"
        for row in (*facts["rows"], *facts["slots"])
        if "failed" in row
    ]
    parts = (
        "## On a GPU",
        measured(facts),
        f"{', '.join([card['name'] + memory, *versions])}. It multiplies matrices at "
        f"{', '.join(speeds)} Tflop/s: the limit is the arithmetic of an epoch at that rate. "
        "Random data of the tasks' shapes; a cell is trained for the task's own budget; one by "
        "one is the same arithmetic on the same card. The best chunk of all is trained by one "
        f"worker, and by {settings['slots']} on the same card, evaluation and all.",
        table(COLUMNS, _rows(facts)),
        *(["Not measured:", "\n".join(failed)] if failed else []),
    )
    return "\n\n".join(parts)


COLUMNS = (
    *("network, arithmetic", "best engine, cells", "cells/s", "one by one", "asked", "ratio"),
    *("of the limit", "MB a cell", "cells/s by workers"),
)


def _rows(facts: Facts) -> list[list[str]]:
    return [
        [
            f"{network['network']}, {arithmetic}",
            f"{found['best']['engine']}, {found['best']['cells']:,}",
            spread(found["best"]["cells_per_s"]),
            spread(found["one_by_one_cells_per_s"]),
            f"{network['asked']:g} ×",
            f"{number(found['ratio'])} ×",
            f"{number(100 * found['share'])} %",
            number(found["best"]["bytes_per_cell"] / 1e6),
            _by_workers(facts, found["best"]),
        ]
        for network in facts["networks"].values()
        for arithmetic, found in network["comparisons"].items()
    ]


def _by_workers(facts: Facts, best: Facts) -> str:
    """Cells a second of the same chunk in one and in several workers, where that was measured."""
    of_best = [
        f"{row['slots']}: {number(row['cells_per_s']['median'])}"
        for row in facts["slots"]
        if "failed" not in row
        and all(row[key] == best[key] for key in ("network", "engine", "arithmetic", "cells"))
    ]
    return ", ".join(of_best)


def _what(row: Facts) -> str:
    workers = f", {row['slots']} workers" if row.get("slots", 1) > 1 else ""
    chunk = f"{row['engine']}, {row['arithmetic']}, chunk of {row['cells']:,}"
    return f"`{row['network']}`, {chunk}{workers}"
