"""Runs of studies whose hopeless cells are given up: what is stored, taken over and counted."""

from __future__ import annotations

import math
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from optuna.trial import TrialState

import landscape_study as ls
from landscape_study.cli import main
from landscape_study.landscapes.figures.heatmaps.heatmap import plot_heatmap
from landscape_study.landscapes.figures.interactive import interactive_heatmaps
from landscape_study.landscapes.reading.panels import study_landscapes
from landscape_study.landscapes.reporting.report_record import study_report
from landscape_study.study.errors import UsageError
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.running.driver import run
from landscape_study.study.running.training_run import planned as plan_of
from landscape_study.study.running.witness import call_witnesses
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from landscape_study.study.store.merging import merge
from landscape_study.study.store.prior_state import missing_cells
from tests.conftest import make_study
from tests.study.runs import planned, train_here

pytestmark = pytest.mark.slow

EPOCHS = 4


def pruned(prune: object = "halving", **rest) -> Study:
    """Three learning rates by two decays, and one seed, in chunks of three."""
    axes = {"alphas": (0.1, 0.05, 0.02), "lambdas": (0.0, 0.001)}
    study = make_study(**axes, pairs=("sgd",), seeds=(0,), epochs=EPOCHS)
    return study.change_panels(prune=prune, **rest)


def states(store: Store) -> dict[tuple[float, float], str]:
    return {(row["alpha"], row["lambda"]): row["state"] for row in store.cells("small")}


@pytest.fixture
def halved(store: Store) -> Store:
    """A store whose study is trained: at = [0.125, 0.5], so two looks at each chunk of three."""
    train_here(planned(store, pruned(), chunk=3), store)
    return store


def test_they_are_a_state_of_their_own(halved: Store):
    (progress,) = halved.progress("small")
    assert (progress.finished, progress.pruned, progress.total) == (2, 4, 6)
    assert progress.ended == 6
    assert progress.seconds > 0
    assert list(check(halved, ["small"])) == []
    assert missing_cells(halved.url, halved.study("small")) == {"sgd": [0]}
    lengths = {
        (row["alpha"], row["lambda"]): len(row["values"])
        for row in halved.curves("small")
        if row["metric"] == "test_error"
    }
    by_state = {
        state: sorted(lengths[cell] for cell, own in states(halved).items() if own == state)
        for state in ("finished", "pruned")
    }
    assert by_state == {"finished": [4, 4], "pruned": [1, 1, 2, 2]}


def test_their_value_is_the_last_that_was_seen(halved: Store):
    last = {
        (row["alpha"], row["lambda"]): float(row["values"][-1])
        for row in halved.curves("small")
        if row["metric"] == "test_error"
    }
    for row in halved.cells("small"):
        assert math.isclose(row["value"], last[row["alpha"], row["lambda"]], rel_tol=1e-6)


def test_optuna_reads_them_as_pruned(halved: Store):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    loaded = optuna.load_study(study_name="small/sgd/seed0", storage=halved.url)
    found = [trial.state for trial in loaded.trials]
    assert found.count(TrialState.PRUNED) == 4
    assert loaded.best_trial.state == TrialState.COMPLETE


def test_those_that_finished_are_what_they_are_without(halved: Store, tmp_path: Path):
    with closing(Store(str(tmp_path / "whole.db"), create=True)) as store:
        train_here(planned(store, pruned(None), chunk=3), store)
        whole = {(row["alpha"], row["lambda"]): row["value"] for row in store.cells("small")}
    for row in halved.cells("small"):
        if row["state"] == "finished":
            place = row["alpha"], row["lambda"]
            assert math.isclose(row["value"], whole[place], abs_tol=0.5)


def test_nothing_is_left_to_train(halved: Store):
    run(planned(halved, pruned(), chunk=3), halved)
    assert not halved.is_open("small")
    assert len(halved.runs("small")) == 1


def test_more_seeds_are_pruned_likewise(halved: Store):
    before = states(halved)
    study = pruned().change(seeds=[0, 1])
    train_here(planned(halved, study, chunk=3), halved)
    assert halved.progress("small")[0].pruned == 8
    first = [row for row in halved.cells("small") if row["seed"] == 0]
    assert {(row["alpha"], row["lambda"]): row["state"] for row in first} == before


def test_another_database_takes_them_over(halved: Store, tmp_path: Path):
    with closing(Store(str(tmp_path / "other.db"), create=True)) as other:
        (found,) = merge(other, halved, ["small"])
        assert (found.taken, found.open, found.torn) == (6, 0, 0)
        assert states(other) == states(halved)
        assert list(check(other, ["small"])) == []
        (again,) = merge(other, halved, ["small"])
        assert (again.taken, again.there, again.differing) == (0, 6, 0)


def test_one_that_is_torn_is_seen(halved: Store):
    shorten = "UPDATE landscape_curve SET n = n - 1 WHERE metric = 'test_error'"
    halved.database.write(lambda connection: connection.execute(sa.text(shorten)))
    findings = [one.what for one in check(halved, ["small"])]
    assert any("pruned, but with a curve that is cut" in what for what in findings), findings


def test_readers_count_them_as_bad(halved: Store):
    cells = ls.cells(halved, "small")
    assert cells["clipped"].sum() == 4
    (drawn,) = study_landscapes(halved, "small")
    assert len(drawn.pruned) == 4
    assert np.isfinite(drawn.error).sum() == 2
    (marks,) = [line for line in plot_heatmap(drawn).lines if line.get_gid() == "pruned"]
    assert len(marks.get_xdata()) == 4
    (shown,) = [one for one in interactive_heatmaps([drawn]).data if one.name == "pruned"]
    assert len(shown.x) == 4
    warnings = study_report(halved, "small").warnings
    assert any("4 of 6 cells were pruned, before their end" in one for one in warnings), warnings


def test_lists_count_them(halved: Store):
    said = CliRunner().invoke(main, ["list", "--store", halved.url]).output
    assert "small\t2 of 6 cells, 4 pruned\t" in said


def test_their_curves_are_no_results(halved: Store):
    """They end early: drawn beside those of other seeds, a cell would look as if it diverged."""
    finished = {cell for cell, state in states(halved).items() if state == "finished"}
    for frame in (ls.curves(halved, "small"), ls.mechanism(halved, "small")):
        assert {*zip(frame["alpha"], frame["lambda"], strict=True)} == finished


def test_a_witness_is_called_for_what_finished(halved: Store):
    finished = {cell for cell, state in states(halved).items() if state == "finished"}
    told: list[str] = []
    (one,) = call_witnesses(planned(halved, pruned(), chunk=3), halved, ["sgd"], told.append)
    assert (one.alpha, one.lambda_) in finished
    assert told == []


@pytest.mark.long
def test_optunas_pruners_compare_with_what_is_stored(store: Store):
    asked = {"pruner": "median", "arguments": {"n_startup_trials": 2}}
    train_here(planned(store, pruned(asked), chunk=2), store)
    (progress,) = store.progress("small")
    assert progress.finished + progress.pruned == 6
    assert 1 <= progress.pruned <= 4  # the first chunk knows of nobody
    assert list(check(store, ["small"])) == []


def test_a_pruner_that_is_not_there_is_told_before_anything_is_stored(store: Store):
    with pytest.raises(UsageError, match="pruner 'nowhere:Pruner' cannot be imported"):
        plan_of(pruned("nowhere:Pruner"), RunSettings(device="cpu"), store.url)
    assert store.names() == []


OWN = """
from landscape_study import objective

@objective
def train(cell, run):
    value = cell.alpha
    for epoch in range(1, 9):
        if run.should_stop():
            print("told to stop")
            return value
        run.report(epoch, val_loss=value / epoch)
        time.sleep(0.4 if cell.alpha > 1 else 0)
    return value / 8
"""
"""A function whose losses are far apart; the bad ones take their time."""


def landscape(*words: str) -> str:
    done = CliRunner().invoke(main, ["run", *words, "--workers", "1", "--no-plot"])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one to work in, with a database of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDSCAPE_STORE", str(tmp_path / "own.db"))
    return tmp_path


@pytest.mark.long
def test_a_function_is_told_to_stop(folder: Path):
    (folder / "own.py").write_text("import time\n" + OWN)
    grid = ["--alpha", "[0.1, 0.2, 90.0]", "--lambda", "[0.0]", "--metric", "val_loss"]
    prune = '{ pruner = "threshold", arguments = { upper = 1.0 } }'
    landscape("--task", "own.py:train", *grid, "--prune", prune)
    with closing(Store(str(folder / "own.db"))) as store:
        rows = {row["alpha"]: row for row in store.cells("train")}
        assert [rows[a]["state"] for a in (0.1, 0.2, 90.0)] == ["finished", "finished", "pruned"]
        assert 1 < rows[90.0]["value"] <= 45.0
        assert list(check(store, ["train"])) == []
        assert not store.failures("train")


@pytest.mark.long
def test_a_command_is_ended(folder: Path):
    (folder / "train.py").write_text(
        "import json, sys, time\n"
        "for epoch in range(1, 200):\n"
        "    print(json.dumps({'epoch': epoch, 'loss': float(sys.argv[1])}), flush=True)\n"
        "    time.sleep(0.1 if float(sys.argv[1]) > 1 else 0)\n"
    )
    grid = ["--alpha", "[0.1, 90.0]", "--lambda", "[0.0]", "--metric", "loss", "--name", "script"]
    prune = '{ pruner = "threshold", arguments = { upper = 1.0, n_warmup_steps = 3 } }'
    words = [sys.executable, "train.py", "{alpha}", "{lambda}"]
    landscape(*grid, "--prune", prune, "--", *words)
    with closing(Store(str(folder / "own.db"))) as store:
        rows = {row["alpha"]: row for row in store.cells("script")}
        assert (rows[0.1]["state"], rows[90.0]["state"]) == ("finished", "pruned")
        assert rows[90.0]["value"] == 90.0
        assert rows[90.0]["seconds"] < 15
