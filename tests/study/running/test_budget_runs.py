"""Runs of several budgets: the cheapest first, then the best cells at the next one."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from landscape_study.study.errors import LandscapeError
from landscape_study.study.planning.plan import estimate_seconds
from landscape_study.study.records.provenance import Worker
from landscape_study.study.running.driver import run
from landscape_study.study.running.job import POLL
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from landscape_study.study.store.prior_state import missing_cells
from tests.conftest import make_outcome, make_study
from tests.study.runs import descendants, finish, planned, start_command, train_here, wait_for

pytestmark = pytest.mark.slow

CHEAP, DEAR = "adamw-1-epochs", "adamw-2-epochs"
SLOW = "sgd-1-epochs", "sgd-2-epochs"

Places = set[tuple[float, float, int]]  # α, λ, seed


def budgets(seeds: int = 1, share: float = 0.75, **changes: object) -> Study:
    """Twelve cells at one epoch, and the best nine at two."""
    alphas = (0.0125, 0.025, 0.05, 0.1)
    study = make_study(pairs=("adamw",), seeds=seeds, alphas=alphas)
    return study.change_panels(epochs={"budgets": [1, 2], "share": share}, **changes)


def frame(store: Store, panel: str, name: str = "small") -> pd.DataFrame:
    cells = pd.DataFrame(store.cells(name))
    return cells[cells["panel"] == panel]


def places(cells: pd.DataFrame) -> Places:
    return set(zip(cells["alpha"], cells["lambda"], cells["seed"], strict=True))


def best(cells: pd.DataFrame, count: int, seeds: Iterable[int]) -> Places:
    """The best cells by their mean, ties to the smaller α and λ, under each seed."""
    means = cells.groupby(["alpha", "lambda"])["value"].mean().sort_values(kind="stable")
    return {(alpha, lambda_, s) for alpha, lambda_ in means.index[:count] for s in seeds}


def require_all_there(store: Store, count: int, seeds: int = 1) -> None:
    """The dear panel has just the best cells, all finished, and is settled."""
    cheap, dear = frame(store, CHEAP), frame(store, DEAR)
    assert {*cheap["state"], *dear["state"]} == {"finished"}
    assert len(dear) == count * seeds
    assert places(dear) == best(cheap, count, range(seeds))
    assert not store.unsettled("small")
    assert list(check(store, ["small"])) == []


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_the_best_cells_are_trained_at_the_dear_budget(store: Store, workers: int):
    plan = planned(store, budgets(seeds=2), workers=workers)
    assert missing_cells(store.url, plan.study) == {CHEAP: [12, 12], DEAR: [9, 9]}
    assert estimate_seconds(plan) > 0
    run(plan, store)
    require_all_there(store, 9, seeds=2)
    assert store.settled("small") == {DEAR: f"the best 9 of 12 cells of {CHEAP}"}
    assert missing_cells(store.url, plan.study) == {CHEAP: [0, 0], DEAR: [0, 0]}
    before = len(store.runs("small"))
    run(plan, store)  # nothing is left
    assert len(store.runs("small")) == before


def test_each_budget_waits_for_the_one_before(store: Store):
    study = make_study(pairs=("adamw",)).change_panels(epochs=[1, 2, 3])
    train_here(planned(store, study), store)
    counts = [len(frame(store, f"adamw-{n}-epochs")) for n in (1, 2, 3)]
    assert counts == [6, 6, 6]  # so few cells are all promoted
    assert set(store.settled("small")) == {DEAR, "adamw-3-epochs"}


@pytest.mark.long
def test_a_study_grown_by_a_seed_asks_anew(store: Store):
    train_here(planned(store, budgets()), store)
    before = places(frame(store, DEAR))
    grown = planned(store, budgets(seeds=2))
    assert missing_cells(store.url, grown.study) == {CHEAP: [0, 12], DEAR: [5, 4]}
    train_here(grown, store)
    after = places(frame(store, DEAR))
    assert after == before | best(frame(store, CHEAP), 9, (0, 1))
    assert set(frame(store, DEAR)["state"]) == {"finished"}
    train_here(planned(store, budgets(seeds=2, share=1.0)), store)
    assert len(frame(store, DEAR)) == 24


def test_a_larger_grid_asks_anew_for_what_is_new_among_the_best(store: Store):
    train_here(planned(store, budgets()), store)
    before = places(frame(store, DEAR))
    train_here(planned(store, budgets(**{"lambda": [0.0, 0.001, 0.01, 0.1]})), store)
    assert len(frame(store, CHEAP)) == 16
    assert places(frame(store, DEAR)) == before | best(frame(store, CHEAP), 12, (0,))
    assert store.settled("small") == {DEAR: f"the best 12 of 16 cells of {CHEAP}"}


@pytest.mark.long
def test_a_sampler_asks_for_the_cells_of_the_cheap_budget(store: Store):
    study = budgets(seeds=2, share=0.5, design={"sampler": "random", "trials": 24})
    train_here(planned(store, study), store)
    assert len(frame(store, CHEAP)) == 24
    require_all_there(store, 8, seeds=2)


def test_a_worker_waits_for_what_others_train_and_does_not_spin(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    plan = planned(store, budgets(), chunk=12)
    held = store.claim("small", Worker(), store.start_run("small", {}))
    assert held is not None
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            store.record(held, make_outcome(len(held.cells), epochs=1))

    clock = SimpleNamespace(sleep=sleep)
    monkeypatch.setattr("landscape_study.study.running.worker.time", clock)
    train_here(plan, store)
    assert slept == [POLL] * 3
    require_all_there(store, 9)


def running(database: Path, panel: str) -> int:
    """How many cells of a panel are held by workers; 0 as long as there is no study."""
    if database.exists():
        with suppress(LandscapeError), closing(Store(str(database))) as store:
            return sum(p.running for p in store.progress("slow") if p.panel == panel)
    return 0


@pytest.mark.long
@pytest.mark.parametrize("at", SLOW)
def test_killed_in_the_middle_it_goes_on(tmp_path: Path, at: str):
    database = tmp_path / "slow.db"
    options = ("--epochs", "1,2", "--workers", "2", "--chunk", "4")
    process = start_command(database, *options)
    wait_for(lambda: running(database, at))
    for child in descendants(process):
        child.kill()
    process.send_signal(signal.SIGKILL)
    finish(process)
    with closing(Store(str(database))) as store:
        asked = places(frame(store, SLOW[1], "slow"))
        assert bool(asked) is (at == SLOW[1])
        assert finish(start_command(database, *options)) == 0
        cheap, dear = (frame(store, panel, "slow") for panel in SLOW)
        assert {*cheap["state"], *dear["state"]} == {"finished"}
        assert places(dear) == best(cheap, 8, (0,))
        assert asked <= places(dear)
