"""What the page says of each part: its facts as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.gpu_section import gpu_section
from benchmarks.markdown import Spread, measured, number, seconds, spread, table
from benchmarks.results import Facts


def throughput_sections(networks: Sequence[Facts]) -> list[str]:
    """What was asked and reached on all networks, then the rows of each."""
    return [asked_section(networks), *(throughput_section(facts) for facts in networks)]


def asked_section(networks: Sequence[Facts]) -> str:
    """The ratios of this tool to every other row."""
    wholes = any(facts.get("asked_whole") for facts in networks)
    rows = []
    for facts in networks:
        for row, ratio in facts["ratios"].items():
            training, whole = ratio["cells_per_s_training"], ratio["cells_per_s"]
            asked, reached = _judged(facts["asked"].get(row), training)
            cells = [facts["network"], f"`{row}`", asked, f"{spread(training)} ×", reached]
            cells += [f"{spread(whole)} ×"]
            cells += _judged(facts.get("asked_whole", {}).get(row), whole) if wholes else []
            rows.append(cells)
    columns = ("network", "against", "asked", "start-up left out", "reached", "start-up included")
    left_out = [facts["network"] for facts in networks if facts["settings"].get("without_jax")]
    return (
        "## How many times more cells a second\n\n"
        "This tool against each other row, repetition by repetition. Start-up (imports, workers) "
        "is paid once, and these runs are short; *reached* looks at what is trained, without "
        f"it{'; the last two columns look at the whole command' if wholes else ''}."
        f"{_without_jax(left_out)}\n\n"
        f"{table((*columns, *(('asked', 'reached') if wholes else ())), rows)}"
    )


def _judged(asked: float | None, ratio: dict[str, float]) -> tuple[str, str]:
    """What is asked, and whether it is reached; empty where nothing is."""
    if not asked:
        return "", ""
    return f"{asked:g} ×", "yes" if ratio["median"] >= asked else "no"


def _without_jax(networks: Sequence[str]) -> str:
    if not networks:
        return ""
    return f" JAX was not installed: its rows are left out of {', '.join(networks)}."


def throughput_section(facts: Facts) -> str:
    """The rows of one network."""
    settings, same = facts["settings"], facts["agreement"]
    epochs = settings["epochs"]
    metric = f"median_{same['metric']}"
    unit = "test error, %" if same["metric"] == "test_error" else "train loss"
    columns = ("row", "cells/s", "without start-up", "whole s", "start-up s", "peak MB", unit)
    rows = [
        [
            f"`{row['row']}`: {row['title']}",
            spread(row["cells_per_s"]),
            spread(row["cells_per_s_training"]),
            number(row["wall_s"]["median"]),
            number(row["startup_s"]["median"]),
            f"{row['peak_bytes']['max'] / 1e6:.0f}",
            f"{row[metric]['median']:.2f}",
        ]
        for row in facts["rows"]
    ]
    last = ""
    if settings["channels_last"] is not None:
        last = f"; the careful user's probe chose {_format(settings['channels_last'])}"
    return (
        f"### {facts['network']}\n\n{measured(facts)}\n\n"
        f"{settings['cells']} cells, {epochs} epoch{'s' * (epochs > 1)}, batches of "
        f"{settings['batch_size']}{last}. Medians over the cells lie "
        f"{same['largest_difference_of_medians']:.2f} apart (tolerance {same['tolerance']:g})."
        f"{_convolution(settings)}\n\n{table(columns, rows)}{_startup_of_jax(facts['rows'])}"
    )


def _convolution(settings: Facts) -> str:
    """Which convolution the JAX user took."""
    probe = settings.get("convolution")
    if not probe:
        return ""
    ways = {"slices": "strided slices and one product", "lax": "`lax.conv`"}
    took = [f"{ways[name]} {number(s)} s" for name, s in probe["training_s"].items()]
    return f" An epoch in JAX took by {' and by '.join(took)}; the rows do the faster."


def _startup_of_jax(rows: Sequence[Facts]) -> str:
    """What the rows of the JAX user spend before and in training."""
    keys = ("import_s", "compile_s", "training_s")
    lines = [
        [f"`{row['row']}`", *(spread(row[key]) for key in keys)]
        for row in rows
        if "compile_s" in row
    ]
    if not lines:
        return ""
    columns = ("row", "import s", "trace, compile or load s", "training s")
    return f"\n\nOf the slowest process of each JAX row:\n\n{table(columns, lines)}"


def _format(channels_last: bool) -> str:
    return "channels-last" if channels_last else "the usual memory format"


def limit_section(facts: Facts) -> str:
    """What the arithmetic alone would take, and what the tool takes."""
    columns = ("network", "Mflop a cell and step", "of it evaluation", "limit, µs", "reached, µs")
    rows = []
    for network in facts["networks"].values():
        flops = network["training_flops"] + network["evaluation_flops"]
        rows.append(
            [
                network["network"],
                number(flops / 1e6),
                f"{network['evaluation_flops'] / flops:.0%}",
                number(network["limit_us"]),
                spread(network["reached_us"]) if "reached_us" in network else "",
                f"{spread(network['share'], 100)} %" if "share" in network else "",
            ]
        )
    return (
        f"## The machine's limit\n\n{measured(facts)}\n\n"
        f"{facts['settings']['processes']} processes of one thread multiply float32 matrices at "
        f"{number(facts['flops_per_s'] / 1e9)} Gflop/s together (best of "
        f"{len(facts['rates'])} shapes: {facts['best_shape']}). The limit is the time that the "
        "arithmetic of a training step, and its part of the evaluation after each epoch, would "
        "take at that rate with nothing else to do; reached is the tool's time in the runs above, "
        f"evaluation included, start-up left out.\n\n{table((*columns, 'share'), rows)}"
    )


def growth_section(facts: Facts) -> str:
    """Cost by cells, workers, epochs and database size."""
    runs = {
        "cells": "More cells",
        "workers": "More workers",
        "epochs": "More epochs",
    }
    columns = ("cells", "workers", "epochs", "whole s", "training s", "ms a cell and epoch")
    parts = []
    for key, title in runs.items():
        rows = [
            [
                f"{run['cells']:,}",
                str(run["workers"]),
                str(run["epochs"]),
                spread(run["wall_s"]),
                spread(run["training_s"]),
                spread(run["ms_per_cell_epoch"]),
            ]
            for run in facts[key]
        ]
        parts.append(f"{title} (`digits`, AdamW):\n\n{table(columns, rows)}")
    operations = list(facts["database"][0]["seconds"])
    rows = [
        [
            f"{size['finished_cells']:,}",
            f"{size['database_bytes'] / 1e6:.0f}",
            *(seconds(size["seconds"][name]) for name in operations),
        ]
        for size in facts["database"]
    ]
    names = [f"`{name}`" for name in operations]
    settings = facts["settings"]
    parts.append(
        f"More finished cells in the database; chunks of {settings['chunk']} cells with curves of "
        f"{settings['curve_epochs']} epochs are claimed and recorded, `status` is the whole "
        f"command:\n\n{table(('finished cells', 'MB', *names), rows)}"
    )
    once = f"Runs of {settings['once']:,} cells and more were made once."
    return "\n\n".join(("## How cost grows", measured(facts), once, *parts))


def queue_section(facts: Facts) -> str:
    """How many workers one database feeds."""
    columns = ("database", "chunks of", "workers", "cells/s", "claim + record", "99 %", "longest")
    rows = []
    for row in facts["rows"]:
        waits = [
            f"{1000 * row['claim_and_record_s'][key]:.0f} ms" for key in ("median", "p99", "max")
        ]
        rate = spread(row["cells_per_s"])
        rows.append([row["database"], str(row["chunk"]), str(row["workers"]), rate, *waits])
    epochs = facts["settings"]["curve_epochs"]
    return (
        f"## How many workers one database feeds\n\n{measured(facts)}\n\n"
        "Workers that train nothing: each claims a chunk, records made-up results with curves of "
        f"{epochs} epochs, and claims the next, all processes on this machine. Claim and record "
        "are the times of one chunk; the longest wait for each other.\n\n"
        f"{table(columns, rows)}"
    )


def overheads_section(facts: Facts) -> str:
    """What is paid beside training."""
    rows = [
        [f"`{name}`", seconds(took), f"{facts['asked'][name]:g} s"]
        for name, took in facts["commands_s"].items()
    ]
    rows += [
        [f"loading the data of `{name}`, its imports included", seconds(took), ""]
        for name, took in facts["data_s"].items()
    ]
    rows += [
        [f"preparing a chunk's step: {name}", seconds(took), ""]
        for name, took in facts["preparation_s"].items()
    ]
    calls = facts["claim_and_record"]
    rows += [
        [f"{name} of a chunk", seconds(calls[f"{name}_s"]), ""] for name in ("claim", "record")
    ]
    share = f"{spread(calls['share'], 100)} %"
    rows.append(["claim, record, beat: of the workers' time", share, ""])
    rows += [
        [f"evaluation: of the training time of `{name}`", f"{spread(share, 100)} %", ""]
        for name, share in facts["evaluation"].items()
    ]
    paid = f"## Beside training\n\n{measured(facts)}\n\n{table(('what', 'takes', 'asked'), rows)}"
    ways = facts.get("timeline_s", {})  # older results have none
    return f"{paid}\n\n{_timelines(ways)}" if ways else paid


def _timelines(ways: dict[str, dict[str, Spread]]) -> str:
    """A run's start-up and end, part by part, beside each other for some numbers of workers."""
    parts = list(dict.fromkeys(part for took in ways.values() for part in took))
    rows = [
        [part, *(seconds(took[part]) if part in took else "" for took in ways.values())]
        for part in parts
    ]
    return (
        "From the command to the first step, and from the last result to the prompt, of "
        "`landscape run` on a fresh database, with what earlier runs remember:\n\n"
        f"{table(('what', *ways), rows)}"
    )


def analysis_section(facts: Facts) -> str:
    """What looking at results costs."""
    alphas, lambdas, seeds = facts["settings"]["shape"]
    asked = facts["asked"]
    what = f"statistics of a panel of {alphas} × {lambdas} cells, {seeds} seeds, with intervals"
    rows = [[what, seconds(facts["statistics_s"]), f"{asked['statistics_s']:g} s"]]
    for name, took in facts["commands_s"].items():
        limit = f"{asked['report_s']:g} s" if name == "report" else ""
        rows.append([f"`landscape {name}`", seconds(took), limit])
    columns = ("what", "takes", "asked")
    return f"## Looking at results\n\n{measured(facts)}\n\n{table(columns, rows)}"


def fig2_section(facts: Facts) -> str:
    """The whole embedded study."""
    asked = facts["asked"]
    rows = [
        ["training, from the first claim to the last record", "training_s", " s", 1.0],
        ["start-up", "startup_s", " s", 1.0],
        ["from the command to the figure", "wall_s", " s", 1.0],
        ["peak memory of all processes", "peak_bytes", " GB", 1e-9],
        ["claim, record, beat: of the workers' time", "database_share", " %", 100.0],
    ]

    def row(title: str, key: str, unit: str, factor: float) -> list[str]:
        limit = f"{number(factor * asked[key])}{unit}" if key in asked else ""
        return [title, f"{spread(facts[key], factor)}{unit}", limit]

    lines = [row(*entry) for entry in rows]  # type: ignore[arg-type]
    return (
        f"## The whole embedded study\n\n{measured(facts)}\n\n"
        f"`landscape run` of {facts['cells']:,} cells, once:\n\n"
        f"{table(('what', 'takes', 'asked'), lines)}"
    )


SECTIONS: dict[str, Callable[[Facts], str]] = {
    "limit": limit_section,
    "growth": growth_section,
    "queue": queue_section,
    "overheads": overheads_section,
    "analysis": analysis_section,
    "fig2": fig2_section,
    "gpu": gpu_section,
}
