"""The contract of the store: exactly once, whatever dies; and readable by Optuna."""

from __future__ import annotations

import itertools
import math
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import astuple, replace
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import psutil
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landscape_study.study.errors import (
    LeaseLostError,
    MissingStoreError,
    StoreError,
    StudyMismatchError,
    UsageError,
)
from landscape_study.study.pairs.meter import MECHANISM
from landscape_study.study.pairs.options import Options
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.provenance import Worker, is_dead, provenance
from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.metric import RECORDED, filled
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import CellMean, Claim, Store
from landscape_study.study.store.checking import check
from landscape_study.study.store.claims import LOSSES
from landscape_study.study.store.database import Database
from landscape_study.study.store.prior_state import Begun, how_begun, missing_cells
from landscape_study.study.store.tables import ADDED
from tests.conftest import make_outcome, make_study, pairs_of_two

IDENTITY = Identity("abc", "def")
WITNESS = Witness("sgd", 0, 0.05, 0.001, 3, recorded=1.0, found=1.25, rounding=0.5, agrees=True)


@pytest.fixture
def store(any_store: Store) -> Store:
    """An empty database of either kind: the contract is the same."""
    return any_store


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Store]:
    """An empty SQLite file."""
    opened = Store(str(tmp_path / "lite.db"), create=True)
    yield opened
    opened.close()


def optuna_study(store: Store, name: str) -> optuna.Study:
    """As a user of Optuna loads it, but for connections that stay open."""
    return optuna.load_study(study_name=name, storage=optuna_storage(store))


def optuna_storage(store: Store) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(store.url, engine_kwargs={"poolclass": sa.NullPool})


def create(store: Store, study: Study, identity: Identity = IDENTITY) -> int:
    """Create the study in chunks of two; how many cells were new."""
    return store.create(study, identity, pairs_of_two).new


def begin(store: Store, study: Study, identity: Identity = IDENTITY) -> int:
    create(store, study, identity)
    return store.start_run(study.name, provenance(["cpu"], "vmap"))


def train_all(store: Store, study: Study, identity: Identity = IDENTITY) -> list[Claim]:
    """Claim and record every open chunk with made-up outcomes."""
    run_id = begin(store, study, identity)
    claims = []
    while (claim := store.claim(study.name, Worker(), run_id)) is not None:
        store.record(claim, make_outcome(len(claim.cells), start=10.0 * len(claims)))
        claims.append(claim)
    return claims


def results_of(store: Store, name: str) -> dict[tuple[object, ...], float]:
    """The error of each cell, by where it lies."""
    return {
        (row["panel"], row["seed"], row["alpha"], row["lambda"]): row["value"]
        for row in store.cells(name)
    }


def tables_of(path: Path) -> tuple[dict[str, str | None], list[object]]:
    """The statements that made the tables of an SQLite file, but for blanks; and its versions."""
    with closing(sqlite3.connect(path)) as file:
        made = dict(file.execute("SELECT name, sql FROM sqlite_master").fetchall())
        versions = file.execute("SELECT * FROM version_info, alembic_version").fetchall()
    return {name: sql and " ".join(sql.split()) for name, sql in made.items()}, versions


def test_optunas_tables_are_what_optuna_makes(on_sqlite: Store, tmp_path: Path):
    optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/optuna.db").engine.dispose()
    wanted, versions = tables_of(tmp_path / "optuna.db")
    found, ours = tables_of(tmp_path / "lite.db")
    assert {name: sql for name, sql in found.items() if "landscape" not in name} == wanted
    assert ours == versions


class TestCreate:
    def test_what_was_deleted_in_optuna_is_trained_again(self, store: Store, small_study: Study):
        train_all(store, small_study)
        train_all(store, small_study.change(name="other"))
        before = results_of(store, "small")
        optuna.delete_study(study_name="small/sgd/seed0", storage=optuna_storage(store))
        assert create(store, small_study) == 6
        assert {row["state"] for row in store.cells("small")} == {"finished", "open"}
        train_all(store, small_study)
        assert results_of(store, "small") == before
        assert [f.what for f in check(store, store.names()) if f.is_fault] == []

    def test_every_cell_of_every_panel_and_seed_becomes_a_waiting_trial(self, store: Store):
        assert create(store, make_study(seeds=2)) == 2 * 2 * 6
        cells = store.cells("small")
        assert len(cells) == 24
        assert {cell["state"] for cell in cells} == {"open"}
        trials = optuna_study(store, "small/sgd/seed1").trials
        assert [t.state.name for t in trials] == ["WAITING"] * 6
        assert trials[1].params == {"alpha": 0.05, "lambda": 0.001}

    @pytest.mark.some(2)
    @pytest.mark.parametrize("together", [1, 4, 6, 7])
    def test_many_cells_are_inserted_in_parts(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, together: int
    ):
        monkeypatch.setattr("landscape_study.study.store.creation.INSERTED", together)
        create(store, make_study(name="other", seeds=1))
        create(store, make_study(seeds=2))
        create(store, make_study(seeds=2, alphas=(0.025, 0.05, 0.1)))
        for panel, seed in itertools.product(("sgd", "adamw"), (0, 1)):
            trials = optuna_study(store, f"small/{panel}/seed{seed}").trials
            assert [trial.number for trial in trials] == list(range(9))
            rows = [r for r in store.cells("small") if (r["panel"], r["seed"]) == (panel, seed)]
            placed = {row["trial"]: (row["alpha"], row["lambda"]) for row in rows}
            for trial in trials:
                assert (trial.params["alpha"], trial.params["lambda"]) == placed[trial.number]
        train_all(store, store.study("small"))
        assert list(check(store, ["small"])) == []

    def test_the_stored_study_equals_the_one_asked_for(self, store: Store):
        study = make_study(seeds=(3, 7))
        create(store, study)
        assert store.study("small") == study
        assert store.studies() == [study]

    def test_identical_rerun_adds_nothing(self, store: Store, small_study: Study):
        create(store, small_study)
        before = store.cells("small")
        assert create(store, small_study) == 0
        assert store.cells("small") == before

    @pytest.mark.parametrize(
        ("larger", "new"),
        [
            (make_study(seeds=3), 2 * 2 * 6),
            (make_study(pairs=("sgd", "adamw", "adam")), 6),
            (make_study(alphas=(0.05, 0.1, 0.2)), 2 * 3),
            (make_study(lambdas=(0.0, 0.001, 0.01, 0.1, 1.0)), 2 * 4),
        ],
        ids=["seeds", "pairs", "alphas", "lambdas"],
    )
    def test_only_what_is_new_is_added(
        self, store: Store, small_study: Study, larger: Study, new: int
    ):
        train_all(store, small_study)
        expected = missing_cells(store.url, larger)
        assert sum(map(sum, expected.values())) == new
        assert create(store, larger) == new
        states = [cell["state"] for cell in store.cells("small")]
        assert (states.count("finished"), states.count("open")) == (12, new)

    def test_asked_anew_with_another_figure_it_is_drawn_like_that(
        self, store: Store, small_study: Study
    ):
        train_all(store, small_study)
        before = store.cells("small")
        assert create(store, small_study.change(figure={"kind": "slices"})) == 0
        assert store.study("small").figure.kind == "slices"
        assert store.cells("small") == before

    def test_a_smaller_request_takes_nothing_away(self, store: Store, small_study: Study):
        create(store, small_study)
        assert create(store, make_study(pairs=("sgd",), alphas=(0.05,))) == 0
        assert store.study("small") == small_study

    @pytest.mark.some(4)
    @pytest.mark.parametrize(
        ("changed", "named"),
        [
            (make_study(task="digits"), "task"),
            (make_study(epochs=4), "epochs"),
            (make_study(batch_size=10), "batch_size"),
            (make_study(options=Options(beta1=0.8)), "options"),
            (make_study().change_panels(schedule="constant"), "schedule"),
            (make_study().change_panels(normalized=True), "normalized"),
        ],
        ids=["task", "epochs", "batch size", "options", "schedule", "normalized"],
    )
    def test_another_study_under_the_same_name_is_refused(
        self, store: Store, small_study: Study, changed: Study, named: str
    ):
        train_all(store, small_study)
        before = store.cells("small")
        with pytest.raises(StudyMismatchError, match=f"study 'small' .*{named}.*--name"):
            create(store, changed)
        assert store.cells("small") == before
        assert store.study("small") == small_study

    def test_changed_data_under_the_same_name_are_refused(self, store: Store, small_study: Study):
        create(store, small_study)
        with pytest.raises(StudyMismatchError, match="other data or another network"):
            store.create(small_study, Identity("another"), pairs_of_two)

    def test_a_chunk_never_mixes_old_and_new_cells(self, store: Store, small_study: Study):
        before = {claim.chunk_id: claim.cells for claim in train_all(store, small_study)}
        more = train_all(store, make_study(lambdas=(0.0, 0.001, 0.01, 0.1)))
        assert before.keys().isdisjoint(claim.chunk_id for claim in more)
        assert {cell.lambda_ for claim in more for cell in claim.cells} == {0.1}

    @pytest.mark.long
    def test_a_pruned_panel_is_trained_in_rounds_whatever_others_are(self, store: Store):
        """Whose chunks may be wider: the first round is what its pruner learns from."""
        study = make_study(pairs=("sgd", "adamw"), alphas=(0.1, 0.2, 0.3, 0.4))
        plain, pruned = study.panels
        study = study.change(panels=[plain, pruned.changed({"prune": "surface"})])
        store.create(study, IDENTITY, lambda cells: [cells] if cells else [])
        run_id, chunks = store.start_run("small", {}), []
        while claim := store.claim("small", Worker(), run_id):
            chunks.append((claim.panel, len(claim.cells)))
        assert chunks == [("sgd", 12), *[("adamw", 2)] * 6]

    @pytest.mark.long
    def test_eight_processes_create_the_same_study_at_once(self, store_url: str):
        with get_context("spawn").Pool(8) as pool:
            new = pool.map(_create_in_process, [store_url] * 8)
        assert sorted(new) == [0] * 7 + [12]
        with closing(Store(store_url)) as store:
            assert len(store.cells("small")) == 12

    def test_who_is_late_waits_for_whoever_creates_the_study(
        self, store_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        """However long that takes."""
        monkeypatch.setattr("landscape_study.study.store.database.COLLISIONS", 0.1)

        def chunking(cells: Sequence[Cell]) -> list[Sequence[Cell]]:
            time.sleep(0.3)
            return [cells] if cells else []

        def create_one(_: int) -> int:
            with closing(Store(store_url)) as store:
                return store.create(FOUR_CELLS, Identity("data"), chunking).new

        Store(store_url, create=True).close()
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(create_one, range(2))) == [0, 4]


def _create_in_process(url: str) -> int:
    with closing(Store(url, create=True)) as store:
        return create(store, make_study())


ONE_CHUNK = make_study(pairs=("sgd",), alphas=(0.1,), lambdas=(0.0, 0.01))


class TestClaim:
    def test_what_has_killed_a_worker_comes_last(self, store: Store, small_study: Study):
        run_id = begin(store, small_study)
        first = store.claim("small", Worker(), run_id, lease=-1)
        others = [store.claim("small", Worker(), run_id) for _ in range(6)]
        assert first is not None
        ids = [claim.chunk_id for claim in others if claim is not None]
        assert ids[-1] == first.chunk_id

    def test_each_chunk_is_handed_out_once(self, store: Store, small_study: Study):
        run_id = begin(store, small_study)
        claims = [store.claim("small", Worker(), run_id) for _ in range(7)]
        assert [claim is None for claim in claims] == [False] * 6 + [True]
        cells = [(c.panel, cell) for c in claims if c is not None for cell in c.cells]
        assert len(cells) == len(set(cells)) == 12

    def test_threads_never_share_a_chunk(self, store: Store):
        study = make_study(seeds=4)
        run_id = begin(store, study)

        def claim_all(_: int) -> list[int]:
            ids = []
            while (claim := store.claim("small", Worker(), run_id)) is not None:
                ids.append(claim.chunk_id)
            return ids

        with ThreadPoolExecutor(6) as threads:
            ids = [chunk_id for found in threads.map(claim_all, range(6)) for chunk_id in found]
        assert len(ids) == len(set(ids)) == 24

    def test_a_claimed_chunk_is_running_in_optuna_and_here(self, store: Store, small_study: Study):
        claim = store.claim("small", Worker(), begin(store, small_study))
        assert claim is not None
        assert sum(p.running for p in store.progress("small")) == 2
        trials = optuna_study(store, "small/sgd/seed0").trials
        assert [t.state.name for t in trials[:3]] == ["RUNNING", "RUNNING", "WAITING"]
        assert abs((trials[0].datetime_start - _local_now()).total_seconds()) < 60

    def test_an_expired_lease_is_handed_to_another(self, store: Store):
        run_id = begin(store, ONE_CHUNK)
        first = store.claim("small", Worker(), run_id, lease=-1000)
        second = store.claim("small", Worker(), run_id)
        assert first is not None
        assert second is not None
        assert (second.chunk_id, second.cells) == (first.chunk_id, first.cells)
        assert second.attempts == 2

    def test_who_lost_the_lease_writes_nothing(self, store: Store):
        run_id = begin(store, ONE_CHUNK)
        late = store.claim("small", Worker(), run_id, lease=-1)
        holder = store.claim("small", Worker(), run_id)
        assert late is not None
        assert holder is not None
        with pytest.raises(LeaseLostError, match="another worker"):
            store.beat(late)
        with pytest.raises(LeaseLostError, match="not recorded"):
            store.record(late, make_outcome(2, start=50))
        assert store.curves("small") == []
        store.release(late)  # does nothing to the holder
        store.record(holder, make_outcome(2, start=5))
        errors = [c["value"] for c in store.cells("small") if c["state"] == "finished"]
        assert errors == [5.0, 6.0]

    def test_recording_twice_is_refused(self, store: Store, small_study: Study):
        claim = store.claim("small", Worker(), begin(store, small_study))
        assert claim is not None
        store.record(claim, make_outcome(2))
        with pytest.raises(LeaseLostError):
            store.record(claim, make_outcome(2))

    def test_a_beat_prolongs_the_lease(self, store: Store, small_study: Study):
        run_id = begin(store, small_study)
        claim = store.claim("small", Worker(), run_id, lease=-1)
        assert claim is not None
        store.beat(claim, lease=60)
        other = store.claim("small", Worker(), run_id)
        assert other is not None
        assert other.chunk_id != claim.chunk_id

    def test_released_chunks_are_open_as_if_never_claimed(self, store: Store, small_study: Study):
        run_id = begin(store, small_study)
        claim = store.claim("small", Worker(), run_id)
        assert claim is not None
        store.release(claim)
        again = store.claim("small", Worker(), run_id)
        assert again is not None
        assert (again.chunk_id, again.attempts) == (claim.chunk_id, 1)

    def test_the_end_of_a_run_releases_what_its_workers_hold(
        self, store: Store, small_study: Study
    ):
        run_id = begin(store, small_study)
        mine = store.claim("small", Worker(), run_id)
        other_run = store.start_run("small", provenance(["cpu"], "vmap"))
        theirs = store.claim("small", Worker(), other_run)
        store.end_run(run_id)
        assert mine is not None
        assert theirs is not None
        store.beat(theirs)
        with pytest.raises(LeaseLostError):
            store.beat(mine)
        assert [run["ended"] is None for run in store.runs("small")] == [False, True]

    def test_chunks_of_dead_processes_are_freed_at_once(self, store: Store, small_study: Study):
        run_id = begin(store, small_study)
        child = subprocess.Popen([sys.executable, "-c", "pass"])
        child.wait()
        dead = store.claim("small", replace(Worker(), pid=child.pid), run_id)
        alive = store.claim("small", Worker(), run_id)
        elsewhere = store.claim("small", replace(Worker(), machine="another"), run_id)
        assert dead is not None
        assert alive is not None
        assert elsewhere is not None
        assert store.release_dead("small") == 1
        rest = [store.claim("small", Worker(), run_id) for _ in range(5)]
        attempts = {claim.chunk_id: claim.attempts for claim in rest if claim is not None}
        assert len(attempts) == 4
        assert attempts[dead.chunk_id] == 2
        store.beat(alive)
        store.beat(elsewhere)

    def test_a_reused_process_id_is_not_taken_for_the_worker(self):
        me = Worker()
        assert not is_dead(me.machine, me.pid, me.born)
        assert is_dead(me.machine, me.pid, me.born - 100)

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
    def test_a_clock_that_is_set_kills_nobody(self, monkeypatch: pytest.MonkeyPatch):
        me, boot = Worker(), psutil.boot_time()
        monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: boot + 3600)
        assert not is_dead(me.machine, me.pid, me.born)

    def test_open_until_everything_is_recorded(self, store: Store, small_study: Study):
        create(store, small_study)
        assert store.is_open("small")
        train_all(store, small_study)
        assert not store.is_open("small")


FOUR_CELLS = make_study(pairs=("sgd",), lambdas=(0.0, 0.01))


def create_in_one_chunk(store: Store, study: Study) -> int:
    """Create the study with one chunk a panel; the id of a run."""
    store.create(study, IDENTITY, lambda cells: [cells])
    return store.start_run(study.name, provenance(["cpu"], "vmap"))


def lose(store: Store, run_id: int, times: int) -> list[Claim]:
    """Claim so many times as a worker that died, and whose run was heard of since."""
    claims = [store.claim("small", Worker(), run_id, lease=-1000) for _ in range(times)]
    return [claim for claim in claims if claim is not None]


class TestKillers:
    def test_a_chunk_that_killed_three_workers_is_claimed_cell_by_cell(self, store: Store):
        run_id = create_in_one_chunk(store, FOUR_CELLS)
        assert [len(claim.cells) for claim in lose(store, run_id, 3)] == [4, 4, 4]
        alone = [store.claim("small", Worker(), run_id) for _ in range(5)]
        assert alone[-1] is None
        cells = [claim.cells for claim in alone if claim is not None]
        assert [len(of_one) for of_one in cells] == [1, 1, 1, 1]
        assert {cell for (cell,) in cells} == set(FOUR_CELLS.panels[0].grid.cells())

    def test_what_kills_alone_too_is_given_up_and_the_others_are_recorded(self, store: Store):
        run_id = create_in_one_chunk(store, FOUR_CELLS)
        lose(store, run_id, 3)
        killer = lose(store, run_id, 1)[0]
        while (claim := store.claim("small", Worker(), run_id)) is not None:
            store.record(claim, make_outcome(1))
        assert not store.is_open("small")
        (failure,) = store.failures("small")
        assert (failure.cell.alpha, failure.cell.lambda_) == (
            killer.cells[0].alpha,
            killer.cells[0].lambda_,
        )
        assert failure.reason.startswith("killed 4 workers, the last one alone (on ")
        assert [(p.finished, p.failed) for p in store.progress("small")] == [(3, 1)]
        states = {t.state.name for t in optuna_study(store, "small/sgd/seed0").trials}
        assert states == {"COMPLETE", "FAIL"}

    def test_who_dies_with_the_parent_was_not_killed_by_its_cells(self, store: Store):
        create_in_one_chunk(store, FOUR_CELLS)
        child = subprocess.Popen([sys.executable, "-c", "pass"])
        child.wait()
        facts = provenance(["cpu"], "vmap")
        facts["process"] |= {"pid": child.pid}  # type: ignore[operator]
        for _ in range(5):  # as after as many power cuts
            run_id = store.start_run("small", facts)
            claim = store.claim("small", replace(Worker(), pid=child.pid), run_id)
            assert claim is not None
            assert (len(claim.cells), claim.attempts) == (4, 1)
            assert store.release_dead("small") == 1

    def test_nor_who_is_lost_with_its_whole_run(self, store: Store):
        run_id = create_in_one_chunk(store, FOUR_CELLS)
        for _ in range(5):  # as when a machine is lost, with the run and all its workers
            (claim,) = lose(store, run_id, 1)
            assert (len(claim.cells), claim.attempts) == (4, 1)
            store.beat_run(run_id, lease=-1)
            run_id = store.start_run("small", {})
        states = {t.state.name for t in optuna_study(store, "small/sgd/seed0").trials}
        assert states == {"RUNNING"}

    def test_nor_who_is_lost_with_a_run_that_was_not_heard_of_since(self, store: Store):
        run_id = create_in_one_chunk(store, FOUR_CELLS)
        for _ in range(5):  # as when a machine is lost: its claims may end before its run does
            time.sleep(0.02)  # or else the claim would end when the run was heard of
            claim = store.claim("small", Worker(), run_id, lease=0.001)
            assert claim is not None
            assert (len(claim.cells), claim.attempts) == (4, 1)
            time.sleep(0.01)

    def test_who_comes_back_to_cells_that_were_split_off_writes_nothing(self, store: Store):
        run_id = begin(store, make_study(pairs=("sgd",), seeds=2))
        late = lose(store, run_id, 3 * len(store.open_cells()) // 2)  # two to a chunk
        while (claim := store.claim("small", Worker(), run_id)) is not None:
            for one in late:
                with pytest.raises(LeaseLostError):
                    store.record(one, make_outcome(len(one.cells)))
            store.record(claim, make_outcome(len(claim.cells)))
        assert list(check(store, ["small"])) == []

    def test_what_too_many_runs_are_lost_with_is_trained_alone_and_given_up(self, store: Store):
        """As where a poison cell takes the whole machine along, each time."""
        create_in_one_chunk(store, FOUR_CELLS)
        sizes = []
        for _ in range(LOSSES + 1):
            run_id = store.start_run("small", {})
            (claim,) = lose(store, run_id, 1)
            sizes.append(len(claim.cells))
            store.beat_run(run_id, lease=-1)
        assert sizes == [4] * LOSSES + [1]
        run_id = store.start_run("small", {})
        while (claim := store.claim("small", Worker(), run_id)) is not None:
            store.record(claim, make_outcome(1))
        (failure,) = store.failures("small")
        assert failure.reason.startswith(
            "lost 11 times with whoever trained it, the last time alone (on "
        )
        assert [(p.finished, p.failed) for p in store.progress("small")] == [(3, 1)]

    def test_what_was_lost_with_a_run_waits_for_what_did_not(self, store: Store):
        run_id = begin(store, FOUR_CELLS)
        (first,) = lose(store, run_id, 1)
        store.beat_run(run_id, lease=-1)
        second = store.claim("small", Worker(), store.start_run("small", {}))
        assert second is not None
        assert second.chunk_id != first.chunk_id

    def test_a_release_is_no_death(self, store: Store):
        run_id = create_in_one_chunk(store, FOUR_CELLS)
        for _ in range(5):
            claim = store.claim("small", Worker(), run_id)
            assert claim is not None
            assert len(claim.cells) == 4
            store.release(claim)

    def test_failed_cells_are_tried_again_when_asked_to(self, store: Store):
        run_id = create_in_one_chunk(store, FOUR_CELLS)
        lose(store, run_id, 7)
        assert store.claim("small", Worker(), run_id) is None
        assert len(store.failures("small")) == 4
        assert store.retry_failed("small") == 4
        assert store.failures("small") == []
        again = [store.claim("small", Worker(), run_id) for _ in range(4)]
        assert [claim and claim.attempts for claim in again] == [1, 1, 1, 1]
        assert store.retry_failed("small") == 0

    def test_a_chunk_is_halved_as_if_it_had_not_been_claimed(self, store: Store):
        run_id = create_in_one_chunk(store, FOUR_CELLS)
        claim = store.claim("small", Worker(), run_id)
        assert claim is not None
        store.halve(claim)
        store.halve(claim)  # no longer ours: nothing happens
        halves = [store.claim("small", Worker(), run_id) for _ in range(3)]
        assert halves[2] is None
        cells = [half.cells for half in halves if half is not None]
        assert cells == [claim.cells[:2], claim.cells[2:]]
        assert [half.attempts for half in halves if half is not None] == [1, 1]

    def test_who_lost_the_lease_fails_and_halves_nothing(self, store: Store):
        run_id = create_in_one_chunk(store, FOUR_CELLS)
        (late,) = lose(store, run_id, 1)
        holder = store.claim("small", Worker(), run_id)
        assert holder is not None
        store.fail(late, "a reason")
        store.halve(late)
        store.record(holder, make_outcome(4))
        assert store.failures("small") == []


class TestLostAnswers:
    """A connection may break after the commit, before its answer: the transaction runs twice."""

    def test_a_second_try_to_claim_gets_the_same_chunk(self, store: Store, small_study: Study):
        run_id, worker = begin(store, small_study), Worker()
        first = store.claim("small", worker, run_id)
        assert store.claim("small", worker, run_id) == first
        assert sum(p.running for p in store.progress("small")) == 2

    def test_a_broken_connection_is_replaced(
        self, store: Store, small_study: Study, monkeypatch: pytest.MonkeyPatch
    ):
        if store.database.is_sqlite:
            pytest.skip("an SQLite file has no server that could go away")
        create(store, small_study)
        tries = []

        def read_across_a_crash(connection: sa.Connection) -> int:
            tries.append(1)
            if len(tries) == 1:
                own = connection.scalar(sa.text("SELECT pg_backend_pid()"))
                with store.database.engine.connect() as other:
                    other.execute(sa.text("SELECT pg_terminate_backend(:own)"), {"own": own})
            return connection.scalar(sa.text("SELECT count(*) FROM landscape_cell"))

        assert store.database.read(read_across_a_crash) == 12
        assert len(tries) == 2


class TestLooking:
    def test_workers_are_told_with_their_last_sign_of_life(self, store: Store, small_study: Study):
        run_id = begin(store, small_study)
        me = Worker("cuda:1")
        store.claim("small", me, run_id)
        store.claim("small", Worker(), run_id, lease=-1)
        mine, lost = store.workers("small")
        if not mine.alive:
            mine, lost = lost, mine
        assert (mine.host, mine.pid, mine.device) == (me.host, me.pid, "cuda:1")
        assert (mine.panel, mine.seed, mine.cells, mine.alive) == ("sgd", 0, 2, True)
        assert 0 <= mine.silent < 60
        assert not lost.alive
        assert store.leases(run_id).keys() == {me.pid}
        store.end_run(run_id)
        assert store.workers("small") == []

    def test_a_run_lives_as_long_as_its_parent_beats(self, store: Store, small_study: Study):
        run_id = begin(store, small_study)
        assert store.is_running(run_id)
        store.beat_run(run_id, lease=-1)
        assert not store.is_running(run_id)
        store.beat_run(run_id)
        assert store.is_running(run_id)
        store.end_run(run_id)
        store.beat_run(run_id)
        assert not store.is_running(run_id)

    def test_open_cells_of_all_studies(self, store: Store, small_study: Study):
        create(store, small_study)
        create(store, small_study.change(name="other"))
        claim = store.claim("small", Worker(), store.start_run("small", {}))
        assert claim is not None
        store.record(claim, make_outcome(2))
        places = {("small", claim.panel, claim.seed, cell) for cell in claim.cells}
        assert len(store.open_cells()) == 22
        assert not store.open_cells() & places
        assert {("other", *place[1:]) for place in places} <= store.open_cells()


class TestRecord:
    def test_optuna_reads_values_attributes_and_curves(self, store: Store, small_study: Study):
        train_all(store, small_study)
        study = optuna_study(store, "small/sgd/seed0")
        assert study.best_value == 0.0
        assert study.best_params == {"alpha": 0.05, "lambda": 0.0}
        trial = study.trials[1]
        assert trial.state.name == "COMPLETE"
        assert trial.value == 1.0
        assert trial.intermediate_values == {1: 3.0, 2: 2.0, 3: 1.0}
        assert trial.user_attrs == {
            "train_loss": 1.0,
            "test_loss": 1.0,
            "diverged": False,
            "diverged_epoch": None,
            "seconds": 0.75,
        }
        assert study.user_attrs["pair"] == "sgd"
        frame = study.trials_dataframe()
        assert list(frame["value"]) == [0.0, 1.0, 10.0, 11.0, 20.0, 21.0]

    def test_optuna_draws_its_contours_of_a_study_that_grew_by_zero(self, store: Store):
        train_all(store, make_study(lambdas=(0.001, 0.01)))
        train_all(store, make_study(lambdas=(0.0, 0.001, 0.01)))
        study = optuna_study(store, "small/sgd/seed0")
        figure = optuna.visualization.plot_contour(study, params=["alpha", "lambda"])
        assert np.isfinite(np.asarray(figure.data[0].z, float)).sum() == 6

    def test_optuna_draws_its_contours(self, store: Store, small_study: Study):
        train_all(store, small_study)
        study = optuna_study(store, "small/adamw/seed0")
        figure = optuna.visualization.plot_contour(study, params=["alpha", "lambda"])
        contour = figure.data[0]
        assert np.isfinite(np.asarray(contour.z, float)).sum() == 6

    def test_what_happened_inside_comes_back_apart_from_the_curves(self, store: Store):
        study = make_study(epochs=3, alphas=(0.1,), lambdas=(0.0, 0.1), pairs=("sgd",))
        claim = store.claim("small", Worker(), begin(store, study))
        assert claim is not None
        outcome = make_outcome(2)
        outcome.mechanism["update_norm"][1, 1:] = np.nan  # as of what diverged
        outcome.mechanism["gradient_norm"][0, 2] = np.inf
        store.record(claim, outcome)
        assert {row["metric"] for row in store.curves("small")} == set(RECORDED)
        rows = store.mechanism("small")
        assert len(rows) == 2 * len(MECHANISM)
        for row in rows:
            k = (0.0, 0.1).index(row["lambda"])
            expected = outcome.mechanism[row["quantity"]][k]
            np.testing.assert_array_equal(row["values"], expected, strict=True)
        assert [f.what for f in check(store, ["small"])] == []

    def test_curves_of_some_cells(self, store: Store):
        train_all(store, make_study(seeds=2))
        some = [("sgd", Cell(0.05, 0.001)), ("adamw", Cell(0.1, 0.0)), ("adamw", Cell(9.0, 0.0))]
        places = {(panel, cell.alpha, cell.lambda_) for panel, cell in some}
        expected = [
            row
            for row in store.curves("small")
            if (row["panel"], row["alpha"], row["lambda"]) in places
        ]
        found = store.curves("small", some)
        assert len(found) == len(expected) == 2 * 2 * len(RECORDED)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.pop("values"), other.pop("values"))
            assert one == other
        assert store.curves("small", []) == []

    def test_where_nothing_inside_was_recorded_there_is_nothing(self, store: Store):
        study = make_study(alphas=(0.1,), lambdas=(0.0,), pairs=("sgd",))
        claim = store.claim("small", Worker(), begin(store, study))
        assert claim is not None
        store.record(claim, replace(make_outcome(1), mechanism={}))
        assert store.mechanism("small") == []
        assert [f.what for f in check(store, ["small"])] == []

    def test_a_norm_that_was_changed_is_not_shown(self, store: Store, small_study: Study):
        train_all(store, small_study)
        of_weights = "metric = 'mechanism/weight_norm'"
        store.database.write(
            lambda c: c.exec_driver_sql(
                "UPDATE landscape_curve SET data = (SELECT data FROM landscape_curve WHERE "
                f"metric = 'mechanism/update_norm' LIMIT 1) WHERE {of_weights}"
            )
        )
        store.curves("small")
        with pytest.raises(StoreError, match="were changed since they were recorded"):
            store.mechanism("small")
        assert any("changed since" in fault.what for fault in check(store, ["small"]))

    def test_long_curves_are_whole_here_and_thinned_for_optuna(self, store: Store):
        study = make_study(epochs=103, alphas=(0.1,), lambdas=(0.0,), pairs=("sgd",))
        claim = store.claim("small", Worker(), begin(store, study))
        assert claim is not None
        outcome = make_outcome(1, epochs=103)
        store.record(claim, outcome)
        for row in store.curves("small"):
            np.testing.assert_array_equal(row["values"], outcome.curves[row["metric"]][0])
        steps = optuna_study(store, "small/sgd/seed0").trials[0]
        assert len(steps.intermediate_values) <= 20
        assert max(steps.intermediate_values) == 103

    @pytest.mark.slow
    @settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        losses=st.lists(st.floats(width=32), min_size=2, max_size=2),
        errors=st.lists(st.floats(0, 100, width=32), min_size=2, max_size=2),
        diverged=st.lists(st.integers(0, 3), min_size=2, max_size=2),
    )
    def test_results_come_back_to_the_bit_diverged_ones_too(
        self, tmp_path: Path, losses: list[float], errors: list[float], diverged: list[int]
    ):
        store = Store(str(tmp_path / f"{time.monotonic_ns()}.db"), create=True)
        study = make_study(alphas=(0.1, 0.2), lambdas=(0.0,), pairs=("sgd",), epochs=1)
        claim = store.claim("small", Worker(), begin(store, study))
        assert claim is not None
        values = {"train_loss": losses, "test_loss": losses, "test_error": errors}
        curves = {m: np.array(values[m], np.float32)[:, None] for m in RECORDED}
        store.record(claim, Outcome(curves, np.array(diverged), 1.0))
        cells = store.cells("small")
        assert [c["value"] for c in cells] == errors
        assert [c["diverged_epoch"] for c in cells] == diverged
        finite = [loss if np.isfinite(loss) else None for loss in losses]
        assert [c["train_loss"] for c in cells] == finite
        read = {(r["alpha"], r["metric"]): r["values"] for r in store.curves("small")}
        for k, alpha in enumerate((0.1, 0.2)):
            for metric in RECORDED:
                np.testing.assert_array_equal(read[alpha, metric], curves[metric][k])
        store.close()

    @pytest.mark.parametrize(
        ("goal", "lost", "best"), [("minimize", math.inf, 0.5), ("maximize", -math.inf, 0.7)]
    )
    def test_what_diverged_has_no_invented_loss(
        self, store: Store, goal: str, lost: float, best: float
    ):
        metric = filled({"name": "test_loss", "goal": goal})
        study = make_study(alphas=(0.1, 0.2, 0.3), lambdas=(0.0,), pairs=("sgd",), epochs=1)
        study = study.change(metric=metric)
        run_id = begin(store, study)
        for losses in ([0.5, 0.7], [np.nan]):
            claim = store.claim("small", Worker(), run_id)
            assert claim is not None
            curve = np.array(losses, np.float32)[:, None]
            curves = dict.fromkeys(RECORDED, curve)
            diverged = np.isnan(losses).astype(np.int64)
            store.record(claim, Outcome(curves, diverged, 1.0, metric=study.metric))
        values = [cell["value"] for cell in store.cells("small")]
        assert values == pytest.approx([0.5, 0.7, lost])
        (progress,) = store.progress("small")
        assert (progress.diverged, progress.best) == (1, pytest.approx(best))
        assert list(check(store, ["small"])) == []
        trials = optuna_study(store, "small/sgd/seed0").trials
        assert [trial.value for trial in trials] == pytest.approx([0.5, 0.7, lost])

    def test_progress_counts_states_and_keeps_the_best(self, store: Store, small_study: Study):
        run_id = begin(store, small_study)
        claim = store.claim("small", Worker(), run_id)
        store.claim("small", Worker(), run_id)
        assert claim is not None
        outcome = make_outcome(2, start=7)
        outcome.diverged_epoch[1] = 2
        store.record(claim, outcome)
        sgd, adamw = store.progress("small")
        assert (sgd.panel, sgd.total, sgd.finished, sgd.running) == ("sgd", 6, 2, 2)
        assert (sgd.diverged, sgd.failed, sgd.best, sgd.seconds) == (1, 0, 7.0, 1.5)
        assert (adamw.total, adamw.finished, adamw.best) == (6, 0, None)

    def test_means_are_over_the_finished_seeds_of_a_cell(self, store: Store):
        study = make_study(pairs=("sgd", "adam"), seeds=3, alphas=(0.1, 0.3), lambdas=(0.0,))
        run_id = begin(store, study)
        assert store.means("small") == []
        for _ in range(3):  # both panels of seed 0, sgd of seed 1
            claim = store.claim("small", Worker(), run_id)
            assert claim is not None
            outcome = make_outcome(2, start=4.0 + 2 * claim.seed)
            outcome.diverged_epoch[1] = claim.seed
            store.record(claim, outcome)
        store.claim("small", Worker(), run_id)
        assert sorted(store.means("small"), key=astuple) == [
            CellMean("adam", Cell(0.1, 0.0), seeds=1, error=4.0, diverged=0),
            CellMean("adam", Cell(0.3, 0.0), seeds=1, error=5.0, diverged=0),
            CellMean("sgd", Cell(0.1, 0.0), seeds=2, error=5.0, diverged=0),
            CellMean("sgd", Cell(0.3, 0.0), seeds=2, error=6.0, diverged=1),
        ]

    def test_runs_keep_versions_revision_device_and_times(self, store: Store, small_study: Study):
        run_id = begin(store, small_study)
        store.end_run(run_id)
        (run,) = store.runs("small")
        assert 0 <= run["ended"] - run["started"] < 60
        assert abs(run["started"] - time.time()) < 60
        facts = run["provenance"]
        assert facts["versions"].keys() >= {"landscape-study", "torch", "optuna"}
        assert (facts["devices"], facts["engine"]) == (["cpu"], "vmap")
        assert facts["python"] == ".".join(map(str, sys.version_info[:3]))

    def test_what_is_open_goes_on_by_the_engine_of_its_last_run(
        self, store: Store, small_study: Study, tmp_path: Path
    ):
        assert how_begun(str(tmp_path / "none.db"), "small") is None
        assert how_begun(store.url, "small") is None
        create(store, small_study)
        assert how_begun(store.url, "small") is None  # no run yet
        store.start_run("small", {"devices": ["cpu"]})  # by a version that did not say
        assert how_begun(store.url, "small") is None
        for engine in ("captured", "compiled"):
            facts = provenance(["cpu", "cpu"], engine)
            store.start_run("small", facts)
            assert how_begun(store.url, "small") == Begun(engine, None, 2, None)
        store.start_run("small", facts | {"threads": 2, "width": 33})
        assert how_begun(store.url, "small") == Begun("compiled", 33, 2, 2)
        store.start_run("small", facts | {"threads": 2, "width": 33, "host": "elsewhere"})
        assert how_begun(store.url, "small") == Begun("compiled", 33, 2, None)
        assert how_begun(store.url, "other") is None
        train_all(store, small_study)
        assert how_begun(store.url, "small") is None  # finished


class TestWitnesses:
    def test_the_newest_of_each_panel_counts_in_panel_order(
        self, store: Store, small_study: Study
    ):
        create(store, small_study)
        assert store.witnesses("small") == []
        first, second = replace(WITNESS, panel="adamw"), replace(WITNESS, found=2.0)
        for one in (first, WITNESS, second):
            store.record_witness("small", one)
        assert store.witnesses("small") == [second, first]

    def test_studies_have_their_own(self, store: Store):
        create(store, make_study())
        create(store, make_study(name="second"))
        store.record_witness("second", WITNESS)
        assert store.witnesses("small") == []
        assert store.witnesses("second") == [WITNESS]

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_what_is_no_finite_number_comes_back_as_nan(
        self, store: Store, small_study: Study, value: float
    ):
        create(store, small_study)
        lost = replace(WITNESS, recorded=value, found=value, rounding=value, agrees=False)
        store.record_witness("small", lost)
        (read,) = store.witnesses("small")
        assert all(map(math.isnan, (read.recorded, read.found, read.rounding)))
        assert not read.agrees
        columns = "recorded IS NULL AND found IS NULL AND rounding IS NULL"
        query = f"SELECT count(*) FROM landscape_witness WHERE {columns}"
        assert store.database.read(lambda c: c.exec_driver_sql(query).scalar()) == 1

    @pytest.mark.parametrize("seed", [0, 2**62])
    @pytest.mark.parametrize(
        ("why", "kept"),
        [
            ("train loss after epoch 3", "train loss after epoch 3"),
            ("a\x00b", "a\N{REPLACEMENT CHARACTER}b"),
            ("two\nlines", "two lines"),
            ("λ" * 500, "λ" * 500),
            ("λ" * 501, "λ" * 499 + "…"),
        ],
        ids=["short", "null", "lines", "long", "too long"],
    )
    def test_any_reason_is_kept_as_a_short_line(
        self, store: Store, small_study: Study, why: str, kept: str, seed: int
    ):
        create(store, small_study)
        store.record_witness("small", replace(WITNESS, seed=seed, agrees=False, why=why))
        assert store.witnesses("small") == [replace(WITNESS, seed=seed, agrees=False, why=kept)]

    def test_of_no_study_there_is_none(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("landscape_study.study.store.database.COLLISIONS", 0.0)
        with pytest.raises(UsageError, match="no study 'small'"):
            store.witnesses("small")
        with pytest.raises(StoreError):
            store.record_witness("small", WITNESS)

    def test_the_noise_of_seeds_is_the_median_of_the_cells(self, store: Store):
        study = make_study(pairs=("sgd",), seeds=2, alphas=(0.1,), lambdas=(0.0, 0.01, 0.1))
        store.create(study, IDENTITY, lambda cells: [cells])
        run_id = store.start_run("small", {})
        assert store.seed_noise("small") == {}
        for errors in ((1.0, 2.0, 9.0), (1.0, 4.0, 0.0)):
            claim = store.claim("small", Worker(), run_id)
            assert claim is not None
            curve = np.tile(np.array(errors, np.float32)[:, None], (1, 3))
            curves = {metric: curve.copy() for metric in RECORDED}
            store.record(claim, Outcome(curves, np.zeros(3, np.int64), seconds=1.0))
        assert store.seed_noise("small") == {"sgd": pytest.approx(math.sqrt(2))}

    def test_one_seed_has_no_noise(self, store: Store, small_study: Study):
        train_all(store, small_study)
        assert store.seed_noise("small") == {}


class TestBadDatabases:
    def test_a_missing_database_is_named(self, tmp_path: Path):
        path = tmp_path / "none.db"
        with pytest.raises(MissingStoreError, match=r"none\.db: no such database"):
            Store(str(path))
        assert not path.exists()

    def test_a_folder_is_no_database(self, tmp_path: Path):
        with pytest.raises(StoreError, match="a folder, not a database"):
            Store(str(tmp_path), create=True)

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path):
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match=r"cannot be made .*name another --store"):
            Store(str(tmp_path / "file" / "x.db"), create=True)

    @pytest.mark.parametrize("create", [True, False])
    def test_a_file_of_another_kind(self, tmp_path: Path, create: bool):
        path = tmp_path / "notes.txt"
        path.write_text("no database at all, " * 100)
        before = path.read_bytes()
        with pytest.raises(StoreError, match=r"not a database.*name another --store"):
            Store(str(path), create=create)
        assert path.read_bytes() == before

    def test_a_corrupt_database(self, tmp_path: Path):
        path = tmp_path / "corrupt.db"
        store = Store(str(path), create=True)
        train_all(store, make_study(seeds=5))
        store.close()
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        content = bytearray(path.read_bytes())
        content[4096:-4096] = os.urandom(len(content) - 8192)
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"corrupt\.db: .*(malformed|damaged)"):
            Store(str(path)).cells("small")

    @pytest.mark.parametrize("create", [True, False])
    @pytest.mark.parametrize("table", ["customers", "studies"])
    def test_a_database_of_another_program_is_left_alone(
        self, tmp_path: Path, create: bool, table: str
    ):
        path = tmp_path / "other.db"
        with sqlite3.connect(path) as connection:
            connection.execute(f"CREATE TABLE {table} (id INTEGER)")
        connection.close()
        with pytest.raises(StoreError, match="another program's database"):
            Store(str(path), create=create)
        with sqlite3.connect(path) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        connection.close()
        assert tables == [(table,)]

    def test_an_optuna_database_can_be_joined(self, tmp_path: Path, small_study: Study):
        url = f"sqlite:///{tmp_path}/optuna.db"
        optuna.create_study(storage=url, study_name="mine")
        with pytest.raises(StoreError, match="Optuna's own database, holding no landscapes"):
            Store(url)
        assert missing_cells(url, small_study) == {"sgd": [6], "adamw": [6]}
        assert how_begun(url, "small") is None
        create(Store(url, create=True), small_study)
        assert "mine" in optuna.get_all_study_names(url)

    def test_a_database_that_another_run_is_about_to_make_has_nothing_finished(
        self, tmp_path: Path, small_study: Study
    ):
        path = tmp_path / "empty.db"
        path.touch()
        assert missing_cells(str(path), small_study) == {"sgd": [6], "adamw": [6]}
        assert how_begun(str(path), "small") is None
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE recipes (id INTEGER)")
        connection.close()
        with pytest.raises(StoreError, match="another program's database"):
            missing_cells(str(path), small_study)

    @pytest.mark.parametrize(
        ("statement", "whose"),
        [
            ("UPDATE landscape_schema SET version = 99", "this tool"),
            ("UPDATE alembic_version SET version_num = 'v9.9.9'", "Optuna"),
        ],
    )
    def test_another_schema_is_refused(
        self, store: Store, small_study: Study, statement: str, whose: str
    ):
        create(store, small_study)
        store.database.write(lambda c: c.exec_driver_sql(statement))
        with pytest.raises(StoreError, match=f"another version of {whose}.*expected"):
            Store(store.url)

    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_a_database_of_an_older_schema_is_upgraded(
        self, store: Store, small_study: Study, version: int
    ):
        train_all(store, small_study)
        create(store, make_study(seeds=2))
        before = store.cells("small"), store.curves("small")
        lacking = [column for column in ADDED if column.table.name != "landscape_witness"]
        lacking = lacking[{1: 0, 2: 3, 3: 4}[version] :]
        for statement in (
            "DROP TABLE landscape_witness",
            "DROP INDEX landscape_chunk_order",
            *(f"ALTER TABLE {c.table.name} DROP COLUMN {c.name}" for c in lacking),
            "CREATE INDEX landscape_chunk_order ON landscape_chunk (attempts)",
            f"UPDATE landscape_schema SET version = {version}",
        ):
            store.database.write(lambda c, statement=statement: c.exec_driver_sql(statement))
        with closing(Store(store.url)) as upgraded:
            assert len(upgraded.cells("small")) == len(before[0])
            train_all(upgraded, make_study(seeds=2))
            assert {row["state"] for row in upgraded.cells("small")} == {"finished"}
            assert upgraded.workers("small") == []
            assert upgraded.witnesses("small") == []
            upgraded.record_witness("small", WITNESS)
            assert upgraded.witnesses("small") == [WITNESS]
        fresh, old = sa.inspect(store.database.engine), "landscape_chunk"
        indexes = {index["name"]: index["column_names"] for index in fresh.get_indexes(old)}
        assert "falls" in indexes["landscape_chunk_order"]

    def test_a_database_that_a_version_before_wrote_is_upgraded(self, before: Path):
        with closing(Store(str(before))) as upgraded:
            upgraded.record_witness("small", WITNESS)
            assert upgraded.witnesses("small") == [WITNESS]
            assert [f.what for f in check(upgraded, ["small"])] == []
            train_all(upgraded, upgraded.study("small"))
            assert {row["state"] for row in upgraded.cells("small")} == {"finished"}
            assert [f.what for f in check(upgraded, ["small"])] == []

    def test_what_it_holds_is_shown_sealed_or_not(self, before: Path):
        with closing(Store(str(before))) as upgraded:
            assert upgraded.identity("small").source is None
            rows = upgraded.cells("small")
            assert [row["value"] for row in rows][:2] == [0.0, 1.0]
            assert [row["values"].tolist() for row in upgraded.curves("small")][:1] == [[2, 1, 0]]
            assert upgraded.means("small")[0].error == 0.0
            # The last version of schema 6 looked inside: four quantities of two cells.
            assert len(upgraded.mechanism("small")) in (0, 8)

    def test_where_it_cannot_be_written_it_is_read_as_it_is(
        self, before: Path, monkeypatch: pytest.MonkeyPatch
    ):
        content = before.read_bytes()
        monkeypatch.setattr(
            "landscape_study.study.store.database._is_writable", lambda folder: False
        )
        with closing(Store(str(before))) as opened:
            assert [row["state"] for row in opened.cells("small")] == ["finished"] * 2 + ["open"]
            assert all(witness.agrees for witness in opened.witnesses("small"))
            assert opened.identity("small").source is None
            assert list(check(opened, ["small"])) == []
            with pytest.raises(StoreError, match="write permission"):
                opened.start_run("small", {})
        assert before.read_bytes() == content

    def test_without_its_driver_postgresql_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(UsageError, match=r"pip install 'landscape-study\[postgres\]'"):
            Store("postgresql://me@nowhere/x")

    def test_each_database_has_checkpoints_of_its_own(self, tmp_path: Path):
        server = "postgresql://me@localhost"
        urls = [f"{server}:5432/x", f"{server}:5433/x", f"{server}/x?host=/a", f"{server}/y"]
        names = [*urls, str(tmp_path / "a.db"), str(tmp_path / "a.sqlite")]
        assert len({Database(name, create=True).label for name in names}) == len(names)

    def test_a_server_that_cannot_be_is_told_at_once(self):
        with pytest.raises(StoreError, match=r"check the server.s name in the --store URL"):
            Store("postgresql://me:secret@nowhere.invalid/x")

    def test_a_password_is_never_shown(self):
        with pytest.raises(StoreError) as caught:
            Store("postgresql://me:secret@nowhere.invalid/x")
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("kind", "found"),
        [("nfs4", "nfs4"), ("ext4", None), ("fuse.sshfs", "fuse.sshfs"), ("fuse.other", None)],
    )
    def test_a_network_file_system_is_noticed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, found: str | None
    ):
        mounts = [
            SimpleNamespace(mountpoint="/", fstype="overlay"),
            SimpleNamespace(mountpoint=str(tmp_path), fstype=kind),
            SimpleNamespace(mountpoint=str(tmp_path / "deeper"), fstype="cifs"),
        ]
        monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
        database = Store(str(tmp_path / "x.db"), create=True).database
        assert database.network_file_system() == found

    def test_the_schema_named_here_is_optunas_own(self, store: Store):
        storage = optuna_storage(store)
        assert storage.get_current_version() == storage.get_head_version() == "v3.2.0.a"

    @pytest.mark.parametrize(
        "url", ["nosuch://host/db", "sqlite://", "postgresql+x:y:z://", "postgresql://h:abc/x"]
    )
    def test_a_url_that_is_none(self, url: str):
        with pytest.raises(UsageError, match="--store"):
            Store(url)

    def test_a_name_that_files_beside_it_cannot_bear_is_refused(self, tmp_path: Path):
        for length in (201, 242, 390):
            with pytest.raises(StoreError, match=rf"has {length} characters.*give a shorter one"):
                Store(str(tmp_path / ("y" * (length - 3) + ".db")), create=True)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        "name", ["a?b.db", "a#b.db", "a%41.db", "a b.db", "ä=1&x.db", "a:b.db"]
    )
    def test_a_path_is_a_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_study: Study, name: str
    ):
        monkeypatch.chdir(tmp_path)
        for path in (name, str(tmp_path / name)):
            with closing(Store(path, create=True)) as store:
                create(store, small_study)
                with closing(Store(store.url)) as again:  # as workers open it
                    assert again.names() == ["small"]
                loaded = optuna.load_study(study_name="small/sgd/seed0", storage=store.url)
                assert len(loaded.trials) == 6
        assert {path.name for path in tmp_path.glob("*.db")} == {name}

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://me:s3cret@nowhere.invalid/x",
            "postgresql://nowhere.invalid/x?password=s3cret",
            "postgresql://me:s3cret@nowhere.invalid:port/x",
            "postgresql://me:s3@cret@nowhere.invalid:1/x?sslpassword=s3cret",
            "mysql://me:s3cret@h/x",
            "postgresql+nosuch://me:s3cret@h/x",
            "postgresql:/me:s3cret@h/x",
            "postgresql://h.invalid/x?PASSWORD=s3cret",
            "host=h user=me password=s3cret",
        ],
    )
    def test_no_message_holds_a_password(self, url: str):
        with pytest.raises((StoreError, UsageError)) as caught:
            Store(url)
        assert "cret" not in str(caught.value)

    def test_an_unknown_study_is_named_beside_the_known_ones(
        self, store: Store, small_study: Study
    ):
        create(store, small_study)
        for read in (store.study, store.cells, store.curves, store.progress):
            with pytest.raises(UsageError, match="no study 'nope': it holds small"):
                read("nope")

    def test_a_read_only_database_can_be_read(
        self, tmp_path: Path, small_study: Study, monkeypatch: pytest.MonkeyPatch
    ):
        store = Store(str(tmp_path / "ro.db"), create=True)
        run_id = begin(store, small_study)
        store.database.write(lambda c: c.exec_driver_sql("PRAGMA query_only = ON"))
        with pytest.raises(StoreError, match="write permission"):
            store.claim("small", Worker(), run_id)
        assert len(store.cells("small")) == 12

    def test_a_lock_that_passes_is_waited_for(self, on_sqlite: Store, small_study: Study):
        run_id = begin(on_sqlite, small_study)
        holder = sqlite3.connect(on_sqlite.database.url.database, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        threading.Timer(0.5, holder.rollback).start()
        started = time.monotonic()
        assert on_sqlite.claim("small", Worker(), run_id) is not None
        assert time.monotonic() - started > 0.3
        holder.close()


def test_every_write_takes_the_lock_with_its_first_statement(on_sqlite: Store, small_study: Study):
    store, statements = on_sqlite, list[str]()
    sa.event.listen(
        store.database.engine,
        "before_cursor_execute",
        lambda c, cursor, statement, *rest: statements.append(statement),
    )
    run_id = begin(store, small_study)
    claim = store.claim("small", Worker(), run_id)
    assert claim is not None
    store.beat(claim)
    store.record(claim, make_outcome(2))
    store.record_witness("small", WITNESS)
    begins = [s for s in statements if s.startswith("BEGIN")]
    assert begins == ["BEGIN IMMEDIATE"] * 6


def test_panels_and_seeds_do_not_mix_their_cells(store: Store):
    create(store, make_study(seeds=2, alphas=(0.1, 0.2, 0.3, 0.4), lambdas=(0.0, 0.5, 1.0, 2.0)))
    counts = Counter((row["panel"], row["seed"]) for row in store.cells("small"))
    assert counts == {(panel, seed): 16 for panel in ("sgd", "adamw") for seed in (0, 1)}


def _local_now() -> datetime:
    return datetime.now()
