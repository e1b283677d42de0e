"""Rows: the same cells in each, ratios in turns, agreement."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from benchmarks import ensemble, loop, rows, throughput
from benchmarks.measure import BenchmarkError
from benchmarks.networks import NETWORKS
from benchmarks.rows import Repetition, make_rows
from benchmarks.throughput import Measured, agreement, ratios, summarize, take_turns
from benchmarks.timed_commands import Finished

from landscape_study.study.spec.study import Study
from landscape_study.study.tasks import load_task

DIGITS = NETWORKS["digits"]


def repetition(seconds: float, errors: dict[Any, float], loss: float = 1.0) -> Repetition:
    return Repetition(
        started=1000.0,
        wall_s=2 * seconds,
        startup_s=seconds / 2,
        training_s=seconds,
        cells=len(errors),
        peak_bytes=10**9,
        peak_processes=3,
        load=0.5,
        errors=errors,
        losses=dict.fromkeys(errors, loss),
    )


def cells(*errors: float) -> dict[Any, float]:
    return {("digits/sgd/seed0", float(i), 0.0): error for i, error in enumerate(errors)}


def test_the_careful_row_says_what_it_does():
    for channels_last in (False, True):
        (row,) = (
            row
            for row in make_rows(7, channels_last=channels_last)
            if row.name == "loop-parallel-careful"
        )
        command = row.command(Path("a.toml"), Path("b.db"), Path("c"))
        assert command[3:] == [
            *("a.toml", "b.db", "--processes", "7", "--fused"),
            *["--channels-last"] * channels_last,
        ]
        assert ("channels-last" in row.what) is channels_last


def test_ratios_are_taken_repetition_by_repetition():
    measured: Measured = {
        "loop": [repetition(s, cells(5.0)) for s in (8.0, 20.0, 12.0)],
        "tool": [repetition(s, cells(5.0)) for s in (2.0, 4.0, 4.0)],
    }
    expected = {"median": 4.0, "min": 3.0, "max": 5.0}
    assert ratios(measured) == {
        "loop": {"cells_per_s": expected, "cells_per_s_training": expected}
    }


@pytest.mark.parametrize(("median", "agree"), [(5.5, True), (7.0, False)])
def test_rows_agree_when_their_medians_do(median: float, agree: bool):
    measured: Measured = {
        name: [repetition(1, cells(1.0, value, 90.0))]
        for name, value in (("tool", 5.0), ("loop", median))
    }
    assert agreement(measured, DIGITS)["agree"] is agree


@pytest.mark.parametrize(("loss", "agree"), [(1.1, True), (1.3, False), (float("inf"), False)])
def test_the_resnet_is_compared_by_its_loss(loss: float, agree: bool):
    measured: Measured = {
        name: [repetition(1, cells(error), value)]
        for name, error, value in (("tool", 90.0, 1.0), ("loop", 10.0, loss))
    }
    assert agreement(measured, NETWORKS["resnet26"])["agree"] is agree


def test_a_row_that_trains_other_cells_fails(monkeypatch: pytest.MonkeyPatch):
    made = iter([repetition(1, cells(1.0, 2.0)), repetition(1, cells(1.0))])
    monkeypatch.setattr(throughput, "train", lambda command, study, **files: next(made))
    with pytest.raises(BenchmarkError, match="loop-parallel trained other cells than loop"):
        take_turns(make_rows(2), DIGITS.study(), 1, lambda line: None)


def test_turns_are_taken_and_summarized(monkeypatch: pytest.MonkeyPatch):
    trained = []

    def train(command: Any, study: Study, **files: Any) -> Repetition:
        trained.append(command)
        return repetition(float(len(trained)), cells(1.0))

    monkeypatch.setattr(throughput, "train", train)
    two = make_rows(2)[-2:]
    measured = take_turns(two, DIGITS.study(), 2, lambda line: None)
    assert trained == [two[0].command, two[1].command] * 2
    ensembled, tool = summarize(two, measured)
    assert ensembled["training_s"] == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert [r["cells_per_s"] for r in tool["repetitions"]] == [1 / 4, 1 / 8]
    assert "errors" not in tool["repetitions"][0]


def test_a_row_that_leaves_cells_untrained_fails(monkeypatch: pytest.MonkeyPatch):
    study = DIGITS.study(quick=True)

    def first_panel_only(command: list[str], log: Path) -> Finished:
        url, panel = f"sqlite:///{command[0]}", study.panels[0]
        loop.create_studies(study, url)
        curves = ensemble.train(
            load_task("digits"), panel, seed=0, batch_size=50, options=study.options
        )
        ensemble.save(study, panel, url, curves, datetime(2026, 1, 2))
        return Finished(0.0, 1.0, 1, 1, 0.0)

    monkeypatch.setattr(rows, "run_command", first_panel_only)
    with pytest.raises(BenchmarkError, match="digits: trained 2 of 8 cells"):
        rows.train(lambda study_file, database, folder: [str(database)], study)
