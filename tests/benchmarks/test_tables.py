"""The page docs/speed.md is what the results give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmarks.markdown import number, seconds, spread, table
from benchmarks.results import RESULTS, read, write
from benchmarks.tables import PAGE, render, update, with_tables

MACHINE = {
    "cpu": "A CPU",
    "usable_threads": 2,
    "memory_bytes": 25e9,
    "versions": {"torch": "2", "optuna": "5"},
    "git": "0123456789abcdef-dirty",
}


def one(value: float) -> dict[str, float]:
    return {"median": value, "min": value, "max": value}


def throughput() -> dict[str, Any]:
    row = {
        "row": "tool",
        "title": "this tool",
        "cells_per_s": {"median": 2.0, "min": 1.5, "max": 2.5},
        **{key: one(8.0) for key in ("cells_per_s_training", "wall_s", "startup_s")},
        "peak_bytes": one(1e9),
        "median_test_error": one(5.0),
    }
    ratio = {"cells_per_s_training": one(9.0), "cells_per_s": one(3.0)}
    return {
        "measured": "2026-11-22T13:34:07+00:00",
        "machine": MACHINE,
        "network": "MLP",
        "settings": {
            **{"cells": 80, "epochs": 1, "batch_size": 128, "repeats": 3},
            "channels_last": True,
        },
        "rows": [row],
        "asked": {"loop": 8, "loop-parallel": 10},
        "ratios": {"loop": ratio, "loop-parallel": ratio, "ensemble": ratio},
        "agreement": {
            **{"metric": "test_error", "tolerance": 2.0},
            "largest_difference_of_medians": 0.5,
        },
    }


def test_the_page_is_what_the_results_give():
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text, RESULTS) == text, "run `python -m benchmarks.tables`"


def test_it_says_what_was_asked_and_reached(tmp_path: Path):
    write(tmp_path, "throughput-mlp1d", throughput())
    text = render(tmp_path)
    assert "| MLP | `loop` | 8 × | 9 × | yes | 3 × |" in text
    assert "| MLP | `loop-parallel` | 10 × | 9 × | no | 3 × |" in text
    assert "| MLP | `ensemble` |  | 9 × |  | 3 × |" in text
    assert "| `tool`: this tool | 2 (1.5 to 2.5) | 8 | 8 | 8 | 1000 | 5.00 |" in text
    assert (
        "80 cells, 1 epoch, batches of 128; the careful user's probe chose channels-last" in text
    )
    assert (
        "*2026-11-22, A CPU, 2 cores, 25 GB; torch 2, optuna 5, revision 0123456789 with changes; "
        "3 repetitions: median (least to most).*" in text
    )


def test_it_says_what_was_reached_against_jax(tmp_path: Path):
    facts, ratio = throughput(), {"cells_per_s_training": one(1.1), "cells_per_s": one(2.5)}
    facts["asked"]["jax-parallel"] = 1.2
    facts["asked_whole"] = {"jax-parallel-cold": 1.5}
    facts["ratios"] |= {"jax-parallel": ratio, "jax-parallel-cold": ratio}
    seconds = {"import_s": one(0.7), "compile_s": one(2.5), "training_s": one(3.0)}
    facts["rows"].append(facts["rows"][0] | seconds | {"row": "jax-parallel-cold"})
    facts["settings"]["convolution"] = {"chosen": "lax", "training_s": {"slices": 2.0, "lax": 1}}
    write(tmp_path, "throughput-mlp1d", facts)
    text = render(tmp_path)
    assert "| MLP | `loop` | 8 × | 9 × | yes | 3 × |  |  |" in text
    assert "| MLP | `jax-parallel` | 1.2 × | 1.1 × | no | 2.5 × |  |  |" in text
    assert "| MLP | `jax-parallel-cold` |  | 1.1 × |  | 2.5 × | 1.5 × | yes |" in text
    assert "| `jax-parallel-cold` | 0.7 | 2.5 | 3 |" in text
    assert "by strided slices and one product 2 s and by `lax.conv` 1 s" in text
    assert "JAX was not installed" not in text


def test_it_says_where_jax_was_left_out(tmp_path: Path):
    facts = throughput()
    facts["settings"]["without_jax"] = True
    write(tmp_path, "throughput-mlp1d", facts)
    text = render(tmp_path)
    assert "JAX was not installed: its rows are left out of MLP." in text
    assert "compile" not in text


def test_a_part_that_was_not_measured_is_not_shown(tmp_path: Path):
    assert render(tmp_path) == ""
    analysis = read(RESULTS, "analysis")
    assert analysis is not None
    write(tmp_path, "analysis", analysis)
    write(tmp_path, "throughput-mlp1d", throughput())
    assert render(tmp_path, ["analysis"]).count("## ") == 1
    headings = [line for line in render(tmp_path).splitlines() if line.startswith("##")]
    assert headings == [
        "## How many times more cells a second",
        "### MLP",
        "## Looking at results",
    ]


def test_only_what_is_between_the_markers_changes(tmp_path: Path):
    page = tmp_path / "speed.md"
    update(page, tmp_path)  # nothing measured, no page yet
    assert page.read_text("utf-8").startswith("# Speed\n")
    assert "|" not in page.read_text("utf-8")
    page.write_text("before " + page.read_text("utf-8") + "after", encoding="utf-8")
    write(tmp_path, "throughput-mlp1d", throughput())
    update(page, tmp_path)
    text = page.read_text("utf-8")
    assert text.startswith("before # Speed\n")
    assert text.endswith("after")
    assert "### MLP" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.00042, "0.0004"), (0.1234, "0.123"), (12.34, "12.3"), (123456.7, "123,457")],
)
def test_numbers_have_three_digits(value: float, shown: str):
    assert number(value) == shown


def test_spreads():
    values = {"median": 2.0, "min": 1.0, "max": 3.0}
    assert spread(values) == "2 (1 to 3)"
    assert spread(one(2.0), 10) == "20"
    assert seconds(values) == "2 (1 to 3) s"
    assert seconds(one(0.05)) == "50 ms"


def test_a_table():
    assert table(("a", "b"), [("x", "1")]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
