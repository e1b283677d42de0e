"""Short sieges; the long one is `python -m tests.crashes`. And proof that the ledger can find."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from landscape_study.study.errors import LeaseLostError, StoreError
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.provenance import Worker
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from tests.crashes.harness import CONTEXT, Siege, make_study
from tests.crashes.ledger import Counts, acknowledge, audit, true_outcome
from tests.crashes.scripts import KINDS, besiege_scripts
from tests.crashes.victims import Life, chunks_of_eight, is_refused, live
from tests.postgres import URL, fresh_database

pytestmark = pytest.mark.slow

NOTHING = Counts()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def life(store: Store, ledger: Path, **more: object) -> Life:
    """A worker on the study that is in the store, in a run of its own."""
    run_id = store.start_run("crashes", {})
    return Life(store.url, "crashes", run_id, ledger, seed=0, behaves=True, **more)  # type: ignore


def begun(path: Path, cells: int = 32) -> tuple[Store, Study]:
    store, study = Store(str(path), create=True), make_study(cells)
    store.create(study, Identity("crashes"), chunks_of_eight)
    return store, study


# ---- the ledger ---------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path: Path, ledger: Path) -> tuple[Store, Study]:
    """A database in which all is well."""
    store, study = begun(tmp_path / "crashes.db")
    live(life(store, ledger))
    assert audit(store.url, study, ledger) == NOTHING
    return store, study


ONE = "(SELECT min(trial_id) FROM landscape_cell)"
ITS_CHUNK = f"(SELECT chunk_id FROM landscape_cell WHERE trial_id = {ONE})"


@pytest.mark.parametrize(
    ("statement", "counts"),
    [
        (f"DELETE FROM landscape_cell WHERE trial_id = {ONE}", Counts(lost=1)),
        (
            "INSERT INTO landscape_cell (trial_id, optuna_study_id, chunk_id, alpha, lambda) "
            "SELECT 9999, 9999, chunk_id, alpha, lambda FROM landscape_cell "
            f"WHERE trial_id = {ONE}",
            Counts(doubled=1, torn=1),
        ),
        (
            f"UPDATE landscape_chunk SET state = 'open' WHERE chunk_id = {ITS_CHUNK}",
            Counts(lost=8, stuck=8, torn=8),
        ),
        (f"DELETE FROM trial_values WHERE trial_id = {ONE}", Counts(torn=1)),
        (f"UPDATE trial_values SET value = value + 1e-9 WHERE trial_id = {ONE}", Counts(torn=1)),
        (
            f"DELETE FROM landscape_curve WHERE trial_id = {ONE} AND metric = 'train_loss'",
            Counts(torn=1),
        ),
        (f"UPDATE landscape_curve SET data = x'00' WHERE trial_id = {ONE}", Counts(torn=1)),
        (
            f"DELETE FROM trial_user_attributes WHERE trial_id = {ONE} AND key = 'seconds'",
            Counts(torn=1),
        ),
        (
            f"DELETE FROM trial_intermediate_values WHERE trial_id = {ONE} AND step = 1",
            Counts(torn=1),
        ),
        (f"UPDATE trials SET state = 'RUNNING' WHERE trial_id = {ONE}", Counts(torn=1)),
        (f"UPDATE landscape_cell SET test_loss = 0 WHERE trial_id = {ONE}", Counts(torn=1)),
    ],
)
def test_the_ledger_finds_each_fault(finished, ledger: Path, statement: str, counts: Counts):
    store, study = finished
    store.database.write(lambda c: c.exec_driver_sql(statement))
    assert audit(store.url, study, ledger) == counts


def test_the_ledger_finds_what_was_recorded_twice(finished, ledger: Path):
    store, study = finished
    acknowledge(ledger, "another", (1, 2))
    assert audit(store.url, study, ledger) == Counts(doubled=2)


def test_the_ledger_finds_what_was_never_done(tmp_path: Path, ledger: Path):
    store, study = begun(tmp_path / "crashes.db")
    assert audit(store.url, study, ledger) == Counts(stuck=32)
    assert audit(store.url, make_study(32, seeds=2), ledger) == Counts(lost=32, stuck=32)


# ---- kills --------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_doubled_stuck_or_torn_on_sqlite(tmp_path: Path, seed: int):
    report = Siege(f"sqlite:///{tmp_path}/crashes.db", tmp_path, kills=25, seed=seed)()
    assert report.counts == NOTHING
    assert sum(report.kills.values()) >= 25


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_nothing_is_lost_doubled_stuck_or_torn_while_a_sampler_asks(tmp_path: Path, sampler: str):
    siege = Siege(f"sqlite:///{tmp_path}/crashes.db", tmp_path, 25, seed=5, sampler=sampler)
    report = siege()
    assert report.counts == NOTHING
    assert sum(report.kills.values()) >= 25


@pytest.mark.long
@pytest.mark.postgres
def test_nothing_is_lost_doubled_stuck_or_torn_on_postgresql(tmp_path: Path):
    server = os.environ.get(URL)
    if server is None:
        pytest.skip(f"no PostgreSQL server: {URL} is not set; `make test-postgres` starts one")
    with fresh_database(server) as url:
        report = Siege(url, tmp_path, kills=25, seed=3)()
    assert report.counts == NOTHING


@pytest.mark.long
def test_sixteen_workers_share_one_file(tmp_path: Path):
    report = Siege(f"sqlite:///{tmp_path}/crashes.db", tmp_path, 0, workers=16, cells=1024)()
    assert report.counts == NOTHING
    assert report.cells == 1024


# ---- time ---------------------------------------------------------------------------------------


def test_who_is_woken_after_its_lease_writes_nothing(tmp_path: Path, ledger: Path):
    store, study = begun(tmp_path / "crashes.db", cells=8)
    run_id = store.start_run("crashes", {})
    late = store.claim("crashes", Worker(), run_id, lease=0.05)
    assert late is not None
    time.sleep(0.1)
    live(life(store, ledger))
    cells = [(late.panel, late.seed, cell.alpha, cell.lambda_) for cell in late.cells]
    for act in (store.beat, lambda claim: store.record(claim, true_outcome(cells))):
        with pytest.raises(LeaseLostError):
            act(late)
    assert audit(store.url, study, ledger) == NOTHING


@pytest.mark.parametrize("days", [-3.0, 400.0])
def test_a_wrong_clock_neither_takes_nor_loses_a_lease(tmp_path: Path, ledger: Path, days: float):
    store, study = begun(tmp_path / "crashes.db")
    held = store.claim("crashes", Worker(), store.start_run("crashes", {}), lease=60)
    assert held is not None
    victim = CONTEXT.Process(target=live, args=(life(store, ledger, clock=days),))
    victim.start()
    time.sleep(1.0)  # it has done all else, and waits
    store.beat(held, lease=60)
    cells = [(held.panel, held.seed, cell.alpha, cell.lambda_) for cell in held.cells]
    store.record(held, true_outcome(cells))
    victim.join(30)
    assert victim.exitcode == 0
    assert audit(store.url, study, ledger) == NOTHING


# ---- disks --------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 1 MB, where this process may mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("may not mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def refused(life: Life) -> str:
    """With what the store refuses, in a process of its own: limits hold for all of it."""
    with CONTEXT.Pool(1) as pool:
        return pool.apply(is_refused, (life,))


@pytest.mark.long
def test_a_file_that_may_not_grow_tears_nothing(tmp_path: Path, ledger: Path):
    store, study = begun(tmp_path / "crashes.db", cells=256)
    one = life(store, ledger)
    store.close()  # now all of it is in one file
    room = (tmp_path / "crashes.db").stat().st_size + 500_000
    message = refused(replace(one, room=room))
    assert "mend that and resume" in message or "free some space" in message
    counts = audit(store.url, study, ledger)
    assert 0 < counts.stuck < 256
    assert (counts.lost, counts.doubled, counts.torn) == (0, 0, 0)
    store = Store(one.url)
    store.release_dead("crashes")
    live(life(store, ledger))
    assert audit(store.url, study, ledger) == NOTHING


@pytest.mark.long
def test_a_full_disk_tears_nothing(tmp_path: Path, ledger: Path):
    with small_disk(tmp_path / "small") as folder:
        store, study = begun(folder / "crashes.db", cells=1024)
        assert "free some space and resume" in refused(life(store, ledger))
        counts = audit(store.url, study, ledger)
        assert 0 < counts.stuck < 1024
        assert (counts.lost, counts.doubled, counts.torn) == (0, 0, 0)
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
        store.release_dead("crashes")
        live(life(store, ledger))
        assert audit(store.url, study, ledger) == NOTHING
        store.close()


def test_a_read_only_disk_is_told_and_left_alone(tmp_path: Path, ledger: Path):
    with small_disk(tmp_path / "small") as folder:
        store = begun(folder / "crashes.db")[0]
        one = life(store, ledger)
        store.close()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        assert "write permission" in is_refused(one)
        with closing(Store(store.url)) as again:
            assert len(again.cells("crashes")) == 32
            with pytest.raises(StoreError, match="write permission"):
                again.release_dead("crashes")


# ---- users' scripts -----------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_runs_of_scripts_and_functions_that_are_killed_leave_nothing(tmp_path: Path, kind: str):
    died, wrong = besiege_scripts(f"sqlite:///{tmp_path}/s.db", tmp_path, kind, kills=3, seed=4)
    assert wrong == []
    assert sum(died.values()) == 3
