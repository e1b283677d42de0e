"""Cells per second of this tool, beside the same cells trained by what a user would run instead.

What is measured and how to read it: README.md beside this file.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.jax_rows import compile_ahead, faster_convolution, jax_rows
from benchmarks.jax_rows import installed as jax_is_installed
from benchmarks.loop import channels_last_pays
from benchmarks.measure import BenchmarkError, spread, usable_cores
from benchmarks.networks import Network
from benchmarks.results import Facts, Settings
from benchmarks.rows import Repetition, Row, count_cells, make_rows, train
from benchmarks.timed_commands import run_command
from landscape_study.study.spec.study import Study

Measured = dict[str, list[Repetition]]  # by row

SPREADS = (
    *("wall_s", "startup_s", "training_s", "leaving_s", "cells_per_s", "cells_per_s_training"),
    *("peak_bytes", "median_test_error", "median_train_loss"),
)


def measure(network: Network, settings: Settings) -> Facts:
    """All rows on one network.

    Raises:
        BenchmarkError: a row failed or trained other cells, or the rows do not agree.
    """
    study, processes = network.study(quick=settings.quick), usable_cores()
    channels_last = channels_last_pays(study)
    engine = None if settings.quick else network.engine  # compiling takes longer than all else
    *others, tool = [
        row
        for row in make_rows(processes, channels_last=bool(channels_last), engine=engine)
        if network.ensemble or row.name != "ensemble"
    ]
    with_jax = network.jax and jax_is_installed()
    warm_up(study.task, jax=with_jax)
    if engine == "compiled":  # once per task and machine; see the part `overheads`
        train(tool.command, study.change_panels(epochs=1))
    with tempfile.TemporaryDirectory(prefix="benchmark-jax-") as cache:
        of_jax, convolution = (
            _prepare_jax(study, processes, Path(cache), settings) if with_jax else ([], None)
        )
        rows = [*others, *of_jax, tool]
        measured = take_turns(rows, study, settings.repeats, settings.tell)
    same = agreement(measured, network)
    if not same["agree"] and not settings.quick:  # a single epoch of two cells is all chance
        raise BenchmarkError(f"{network.name}: the rows do not agree, times mean nothing: {same}")
    return {
        "network": network.title,
        "settings": {
            "cells": count_cells(study),
            "epochs": study.panels[0].epochs,
            "batch_size": study.batch_size,
            "processes": processes,
            "channels_last": channels_last,
            "convolution": convolution,
            "without_jax": network.jax and not with_jax,
            "grids": grids(study),
        },
        "rows": summarize(rows, measured),
        "asked": network.asked,
        "asked_whole": network.asked_whole,
        "ratios": ratios(measured),
        "agreement": same,
        "database": database_share(measured),
    }


def _prepare_jax(
    study: Study, processes: int, cache: Path, settings: Settings
) -> tuple[list[Row], Facts | None]:
    """The rows of the JAX user, compiled where they are so, and what chose their convolution."""
    probe = None if settings.quick else faster_convolution(study, processes, cache)
    rows = jax_rows(processes, cache, probe["chosen"] if probe else "slices")
    compile_ahead(rows, study, settings.tell)
    return rows, probe


def warm_up(task: str, *, jax: bool = False) -> None:
    """Let the system read all imports from disk once, so that the first row does not pay."""
    tool = ("cli", "study.planning.plan", "study.console.live")
    own = ("loop", "ensemble", "tool", *(("jax_program",) if jax else ()))
    modules = [f"landscape_study.{x}" for x in tool] + [f"benchmarks.{x}" for x in own]
    loading = f"from landscape_study.study.tasks import load_task; load_task({task!r}).data()"
    code = f"import {', '.join(modules)}; {loading}"
    with tempfile.TemporaryDirectory() as folder:
        run_command([sys.executable, "-c", code], Path(folder) / "log")


def take_turns(
    rows: Sequence[Row], study: Study, repeats: int, tell: Callable[[str], None]
) -> Measured:
    """All rows, `repeats` times in turns (A B C A B C …).

    Raises:
        BenchmarkError: a row failed, or trained other cells than the first.
    """
    measured: Measured = {row.name: [] for row in rows}
    for repetition in range(repeats):
        for row in rows:
            done = train(row.command, study, prepare=row.prepare, read=row.read)
            reference = measured[rows[0].name]
            if reference and done.errors.keys() != reference[0].errors.keys():
                raise BenchmarkError(f"row {row.name} trained other cells than {rows[0].name}")
            measured[row.name].append(done)
            tell(f"{repetition + 1} of {repeats}: {row.name}: {done.wall_s:.1f} s")
    return measured


def summarize(rows: Sequence[Row], measured: Measured) -> list[dict[str, Any]]:
    """Each row with its repetitions and their spread."""
    summary = []
    for row in rows:
        records = [repetition.record() for repetition in measured[row.name]]
        keys = (*SPREADS, *measured[row.name][0].parts)
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


def agreement(measured: Measured, network: Network) -> dict[str, Any]:
    """Whether the rows found the same landscape, from the first repetition.

    Batches are shuffled differently and SGD's buffer differs, so cells differ by chance; the
    medians over the cells may lie the network's tolerance apart.
    """
    first = {name: done[0].values(network.metric) for name, done in measured.items()}
    medians = {name: statistics.median(values.values()) for name, values in first.items()}
    apart = max(abs(median - medians["tool"]) for median in medians.values())
    typical = {
        name: statistics.median(abs(value - first["tool"][key]) for key, value in values.items())
        for name, values in first.items()
        if name != "tool"
    }
    return {
        "metric": network.metric,
        "tolerance": network.tolerance,
        "medians": medians,
        "largest_difference_of_medians": apart,
        "median_difference_per_cell": typical,
        "agree": apart <= network.tolerance,
    }


def database_share(measured: Measured) -> dict[str, Any]:
    """The tool's database work: spread of the shares, and all times of each repetition."""
    work = [r.database for r in measured["tool"] if r.database is not None]
    return {
        "share": spread([w["share"] for w in work]),
        "share_of_everything": spread([w["share_of_everything"] for w in work]),
        "repetitions": work,
    }


def grids(study: Study) -> dict[str, dict[str, list[float]]]:
    """α and λ of every panel."""
    return {
        panel.name: {
            "alpha": list(panel.grid.alpha.values),
            "lambda": list(panel.grid.lambda_.values),
        }
        for panel in study.panels
    }
