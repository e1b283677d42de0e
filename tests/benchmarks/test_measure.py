"""Commands under a clock, and what is read of what they trained."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import psutil
import pytest
from benchmarks import loop, timed_commands
from benchmarks.measure import (
    BenchmarkError,
    added_share,
    require_same_source,
    source_hash,
    spread,
)
from benchmarks.row_trials import read_trials
from benchmarks.timed_commands import cold_seconds, run_command


def test_a_cell_without_a_result_is_an_error(tmp_path: Path):
    database = tmp_path / "open.db"
    study = optuna.create_study(storage=loop.make_storage(f"sqlite:///{database}"))
    study.ask()
    with pytest.raises(BenchmarkError, match="RUNNING"):
        read_trials(database)


def test_a_cell_that_diverged_has_no_finite_loss(tmp_path: Path):
    database = tmp_path / "diverged.db"
    study = optuna.create_study(storage=loop.make_storage(f"sqlite:///{database}"))
    for number, loss in enumerate((0.5, None, float("nan"))):
        trial = study.ask({"alpha": optuna.distributions.FloatDistribution(number, number)})
        trial.set_user_attr("train_loss", loss)
        study.tell(trial, 90.0)
    assert list(read_trials(database).losses.values()) == [0.5, float("inf"), float("inf")]


def test_spread_of_an_even_count():
    assert spread([4.0, 1.0, 3.0, 2.0]) == {"median": 2.5, "min": 1.0, "max": 4.0}


def test_a_command_that_fails_shows_the_end_of_its_output(tmp_path: Path):
    with pytest.raises(BenchmarkError, match="exit code 3:\nwhy"):
        run_command([sys.executable, "-c", "print('why'); raise SystemExit(3)"], tmp_path / "log")


def test_a_cold_command_is_timed_and_must_succeed():
    assert 0 < cold_seconds(["--help"]) < 10
    with pytest.raises(BenchmarkError, match=r"(?s)exit code 2:.*No such command"):
        cold_seconds(["nothing"])


def test_interrupted_measuring_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    watched = []

    def interrupt(pid: int) -> tuple[int, int]:
        watched.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(timed_commands, "_tree_memory", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_command([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log")
    assert not psutil.pid_exists(watched[0])


def test_source_that_changed_meanwhile_is_an_error():
    require_same_source(source_hash())
    with pytest.raises(BenchmarkError, match="changed while"):
        require_same_source("another")


def test_what_is_added_is_seen_turn_by_turn_though_the_machine_drifts():
    base = [1.0 + 0.1 * turn for turn in range(21)]
    found = added_share([1.03 * seconds for seconds in base], base)
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(0.03)
    assert str(found) == f"+3.0 % ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    few = added_share([2.0, 4.0], [1.0, 1.0])
    assert (few.low, few.value, few.high) == (1.0, 2.0, 3.0)
