"""The benchmarks measure what they say: the same cells in every row, everything in the JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from benchmarks import fig2, loop, measure
from benchmarks.measure import (
    BenchmarkError,
    read_trials,
    require_same_source,
    run_command,
    source_hash,
    spread,
)
from benchmarks.report import Measured, Repetition, agreement, ratios, report, write_report
from benchmarks.throughput import PRESET, make_rows, measure_all, subset
from study.presets import load_preset
from study.spec import Study
from tests.conftest import make_study

README = Path(loop.__file__).parent / "README.md"


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """The loop sets torch's threads for its process: not for the other tests."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def tiny(cells: int = 2) -> Study:
    return subset(load_preset(PRESET), cells, epochs=1)


def repetition(seconds: float, errors: dict[Any, float]) -> Repetition:
    share = {"share": 0.01, "share_of_everything": 0.02}
    return Repetition(2 * seconds, seconds / 2, seconds, len(errors), 10**9, 3, 0.5, errors, share)


def keys_explained() -> set[str]:
    """Every word that README.md sets as code."""
    return set(README.read_text(encoding="utf-8").split("`")[1::2])


@pytest.mark.parametrize(("cells", "shape"), [(1, (1, 1)), (12, (3, 4)), (16, (4, 4))])
def test_a_subset_is_spread_over_every_grid(cells: int, shape: tuple[int, int]):
    study = load_preset(PRESET)
    small = subset(study, cells, epochs=2)
    for panel, whole in zip(small.panels, study.panels, strict=True):
        grid = panel.grid
        assert (len(grid.alpha.values), len(grid.lambda_.values)) == shape
        assert set(grid.cells()) <= set(whole.grid.cells())
        assert panel.epochs == 2
    assert len(small.seeds) == 1


@pytest.mark.slow
def test_the_loops_train_the_same_cells_once_in_one_process_or_two(tmp_path: Path):
    found = []
    for shares in (1, 2):  # one after the other in this process: none to wait for
        database = tmp_path / f"{shares}.db"
        loop.create_studies(tiny(), f"sqlite:///{database}")
        for share in range(shares):
            loop.optimize_share(tiny(), f"sqlite:///{database}", share, shares, None)
        found.append(read_trials(database).errors)
    assert found[0] == found[1]
    expected = {
        (f"throughput/{panel.name}/seed0", cell.alpha, cell.lambda_)
        for panel in tiny().panels
        for cell in panel.grid.cells()
    }
    assert found[0].keys() == expected


@pytest.mark.slow
@pytest.mark.parametrize("fused", [None, True])
def test_the_loop_learns(fused: bool | None):
    panels = load_preset(PRESET).change_panels(epochs=4).panels
    task = loop.load_task("digits")
    best = {"sgd": (0.1, 0.01), "sgdw": (0.1, 0.001), "adam": (0.01, 0.01), "adamw": (0.01, 0.001)}
    for panel in panels:
        curves = loop.train(
            task,
            panel,
            *best[panel.pair],
            seed=0,
            batch_size=task.batch_size,
            options=load_preset(PRESET).options,
            fused=fused,
        )
        assert {len(curve) for curve in curves.values()} == {4}
        assert curves["test_error"][-1] < 20  # percent; chance is 90


def test_a_cell_without_a_result_is_an_error(tmp_path: Path):
    database = tmp_path / "open.db"
    storage = loop.make_storage(f"sqlite:///{database}")
    study = loop.optuna.create_study(storage=storage)
    study.ask()
    with pytest.raises(BenchmarkError, match="RUNNING"):
        read_trials(database)


def test_ratios_are_taken_repetition_by_repetition():
    cell = {("a", 1.0, 0.0): 5.0}
    measured: Measured = {
        "loop": [repetition(s, cell) for s in (8.0, 20.0, 12.0)],
        "tool": [repetition(s, cell) for s in (2.0, 4.0, 4.0)],
    }
    expected = {"median": 4.0, "min": 3.0, "max": 5.0}
    assert ratios(measured) == {
        "loop": {"cells_per_s": expected, "cells_per_s_training": expected}
    }


@pytest.mark.parametrize(("median", "agree"), [(5.5, True), (7.0, False)])
def test_rows_agree_when_their_medians_do(median: float, agree: bool):
    measured: Measured = {
        name: [repetition(1, {("a", float(i), 0.0): e for i, e in enumerate((1.0, value, 90.0))})]
        for name, value in (("tool", 5.0), ("loop", median))
    }
    assert agreement(measured)["agree"] is agree


def test_spread_of_an_even_count():
    assert spread([4.0, 1.0, 3.0, 2.0]) == {"median": 2.5, "min": 1.0, "max": 4.0}


def test_a_command_that_fails_shows_the_end_of_its_output(tmp_path: Path):
    with pytest.raises(BenchmarkError, match="exit code 3:\nwhy"):
        run_command([sys.executable, "-c", "print('why'); raise SystemExit(3)"], tmp_path / "log")


def test_interrupted_measuring_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    watched = []

    def interrupt(pid: int) -> tuple[int, int]:
        watched.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "_tree_memory", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_command([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log")
    assert not psutil.pid_exists(watched[0])


def test_source_that_changed_meanwhile_is_an_error():
    require_same_source(source_hash())
    with pytest.raises(BenchmarkError, match="changed while"):
        require_same_source("another")


@pytest.mark.slow
def test_all_rows_train_the_same_cells_and_the_json_is_explained(tmp_path: Path):
    rows = [row for row in make_rows(processes=2) if row.name in ("loop", "tool")]
    study = tiny(cells=1)
    measured = measure_all(rows, study, 1, lambda text: None)
    assert {name: [r.cells for r in done] for name, done in measured.items()} == {
        "loop": [4],
        "tool": [4],
    }
    output = tmp_path / "throughput.json"
    write_report(report(study, rows, measured, {"cells": 4}), output)
    facts = json.loads(output.read_text(encoding="utf-8"))
    first = {*facts["rows"][0], *facts["rows"][0]["repetitions"][0]}
    (work,) = facts["database"]["repetitions"]
    assert {*facts, *first, *facts["agreement"], *facts["database"], *work} <= keys_explained()
    assert work["chunks"] == work["calls"]["worker"]["record"]["calls"] == 4
    assert 0 < work["share"] < work["share_of_everything"]


@pytest.mark.slow
def test_a_whole_study_is_measured_through_the_command_line(tmp_path: Path):
    study_file = tmp_path / "study.toml"
    study_file.write_text(make_study(pairs=("adamw",)).to_toml(), encoding="utf-8")
    done = fig2.measure_study(str(study_file), "--workers", "1")
    facts = fig2.make_report([done], ["test"])
    assert facts["cells"] == 6
    assert {*facts, *done} <= keys_explained()
