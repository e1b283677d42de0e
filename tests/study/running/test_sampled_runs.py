"""Runs of studies whose cells a sampler asks for: all of them once, whoever asks or dies."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import pytest

from landscape_study.study.planning.plan import estimate_seconds
from landscape_study.study.running.driver import run
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from landscape_study.study.store.merging import merge
from landscape_study.study.store.prior_state import missing_cells
from tests.conftest import make_study
from tests.study.runs import (
    descendants,
    finish,
    planned,
    running_cells,
    start_command,
    train_here,
    wait_for,
)

pytestmark = pytest.mark.slow


def sampled(sampler: str = "tpe", trials: int = 12, **rest) -> Study:
    study = make_study(lambdas=(0.0, 0.001, 0.01), **rest)
    return study.change_panels(design={"sampler": sampler, "trials": trials})


def cells(store: Store, name: str = "small") -> list[tuple[object, ...]]:
    keys = ("panel", "seed", "alpha", "lambda", "state")
    return [tuple(row[key] for key in keys) for row in store.cells(name)]


@pytest.mark.long
def test_all_trials_are_trained_then_it_is_settled(store: Store):
    plan = planned(store, sampled())
    assert plan.width == 1  # a twelfth of the trials
    run(plan, store)
    found = cells(store)
    assert len(found) == 24
    assert {state for *_, state in found} == {"finished"}
    assert {0.0} < {lambda_ for _, _, _, lambda_, _ in found}
    why = "all of its 12 trials were asked for"
    assert store.settled("small") == {"sgd": why, "adamw": why}
    assert list(check(store, ["small"])) == []
    before = len(store.runs("small"))
    run(plan, store)  # nothing is left
    assert len(store.runs("small")) == before


@pytest.mark.long
def test_what_is_merged_is_settled_before_a_worker_begins(store: Store, tmp_path: Path):
    with closing(Store(str(tmp_path / "other.db"), create=True)) as other:
        study = sampled(trials=4, pairs=("sgd",), epochs=2).change_panels(epochs=[2, 3])
        train_here(planned(other, study), other)
        list(merge(store, other, ["small"]))
        assert store.is_open("small")
        before, plan = len(store.runs("small")), planned(store, study)
        run(plan, store)
        assert len(store.runs("small")) == before
        assert store.settled("small") == other.settled("small")


def test_more_trials_go_on_where_it_ended(store: Store):
    train_here(planned(store, sampled(trials=6, pairs=("sgd",))), store)
    first = cells(store)
    assert len(first) == 6
    assert missing_cells(store.url, sampled(trials=10, pairs=("sgd",))) == {"sgd": [4]}
    train_here(planned(store, sampled(trials=10, pairs=("sgd",))), store)
    assert len(cells(store)) == 10
    assert set(first) < set(cells(store))


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_one_worker_asks_for_the_same_cells_again(tmp_path: Path, sampler: str):
    found = []
    for name in ("one.db", "other.db"):
        with closing(Store(str(tmp_path / name), create=True)) as store:
            train_here(planned(store, sampled(sampler, pairs=("adamw",))), store)
            found.append(cells(store))
    assert found[0] == found[1]


def test_an_earlier_grid_is_known_and_kept(store: Store):
    train_here(planned(store, make_study(pairs=("sgd",))), store)
    grid = cells(store)
    train_here(planned(store, sampled(trials=5, pairs=("sgd",))), store)
    assert len(cells(store)) == len(grid) + 5
    assert set(grid) < set(cells(store))


def test_the_cost_of_what_a_sampler_may_ask_for_is_foretold(store: Store):
    plan = planned(store, sampled(trials=12, pairs=("sgd",)))
    assert missing_cells(store.url, plan.study) == {"sgd": [12]}
    assert estimate_seconds(plan) > 0


@pytest.mark.long
def test_killed_in_the_middle_it_goes_on(tmp_path: Path):
    database = tmp_path / "slow.db"
    process = start_command(database, *("--sampler", "random", "--trials", "12", "--workers", "2"))
    wait_for(lambda: running_cells(database))
    for child in descendants(process):
        child.kill()
    process.kill()
    finish(process)
    with closing(Store(str(database))) as store:
        asked = {place[:4] for place in cells(store, "slow")}
        again = start_command(database, "--sampler", "random", "--trials", "12")
        assert finish(again) == 0
        after = cells(store, "slow")
        assert len(after) == 12
        assert {state for *_, state in after} == {"finished"}
        assert asked <= {place[:4] for place in after}


@pytest.mark.long
def test_interrupted_it_stops_and_resumes(tmp_path: Path):
    database = tmp_path / "slow.db"
    asked = ("--sampler", "tpe", "--trials", "8", "--workers", "1")
    process = start_command(database, *asked)
    wait_for(lambda: running_cells(database))
    process.send_signal(signal.SIGINT)
    assert finish(process) == 130
    assert finish(start_command(database, *asked)) == 0
    with closing(Store(str(database))) as store:
        assert len(cells(store, "slow")) == 8
