"""The driver: every cell once, whatever is killed; interrupted quickly; no orphans."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from landscape_study.study.errors import StoreError, StudyMismatchError, TrainingError
from landscape_study.study.pairs.meter import MECHANISM
from landscape_study.study.records.provenance import Worker, provenance
from landscape_study.study.running import driver
from landscape_study.study.running.driver import run
from landscape_study.study.running.job import Job
from landscape_study.study.running.processes import Processes
from landscape_study.study.spec.study import Study
from landscape_study.study.store import PanelProgress, Store
from tests.conftest import make_study
from tests.crashes.damage import GONE
from tests.study.runs import (
    LONG,
    TASKS,
    descendants,
    finish,
    is_alive,
    planned,
    results,
    running_cells,
    start_command,
    wait_for,
)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDSCAPE_TEST_PARENT", str(os.getpid()))
    monkeypatch.setenv("LANDSCAPE_TEST_MARKER", str(tmp_path / "died"))


def test_every_cell_is_trained_and_progress_reported(store: Store, small_study: Study):
    plan = planned(store, small_study)
    seen: list[list[PanelProgress]] = []
    run(plan, store, seen.append)
    assert {row["state"] for row in store.cells("small")} == {"finished"}
    assert sum(p.finished for p in seen[-1]) == 12
    (noted,) = store.runs("small")
    assert noted["ended"] is not None
    assert noted["provenance"]["engine"] == "vmap"
    assert noted["provenance"]["training_examples"] == len(plan.data.train_targets)
    inside = store.mechanism("small")
    assert {row["quantity"] for row in inside} == {*MECHANISM} - {"clipped_share"}
    assert all((row["values"] > 0).all() for row in inside)


def test_a_finished_study_starts_no_run(store: Store, small_study: Study):
    plan = planned(store, small_study)
    run(plan, store)
    run(plan, store)
    assert len(store.runs("small")) == 1


@pytest.mark.long
def test_results_do_not_depend_on_the_number_of_workers(tmp_path: Path, small_study: Study):
    found = []
    for workers in (1, 2):
        store = Store(str(tmp_path / f"{workers}.db"), create=True)
        run(planned(store, small_study, workers=workers), store)
        found.append(results(store))
        store.close()
    assert found[0] == found[1]


@pytest.mark.long
def test_a_killed_worker_does_not_end_the_run(store: Store):
    study = make_study(task=f"{TASKS}:dies_once")
    run(planned(store, study, workers=2), store)
    assert Path(os.environ["LANDSCAPE_TEST_MARKER"]).exists()
    cells = store.cells("small")
    assert {row["state"] for row in cells} == {"finished"}
    assert sum(row["attempts"] - 1 for row in cells) in (2, 4)  # of the chunks that died alone


@pytest.mark.long
def test_a_killed_host_takes_its_workers_along_but_not_the_run(store: Store):
    study = make_study(task=f"{TASKS}:slow")
    hosts: set[psutil.Process] = set()

    def kill_the_first(progress: list[PanelProgress]) -> None:
        running = {psutil.Process(one.pid).parent() for one in store.workers("small")}
        if not hosts and running:
            hosts.update(host for host in running if host)
            for host in hosts:
                host.kill()

    run(planned(store, study, workers=2), store, kill_the_first)
    assert len(hosts) == 1
    assert {row["state"] for row in store.cells("small")} == {"finished"}


@pytest.mark.long
def test_workers_that_always_die_end_the_run_with_advice(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(driver, "DEATHS", 3)  # or, if more, three times each worker
    study = make_study(task=f"{TASKS}:dies_always")
    plan = planned(store, study, workers=2)
    with pytest.raises(TrainingError, match=r"workers died 6 times.*--chunk"):
        run(plan, store)
    assert {row["state"] for row in store.cells("small")} == {"open"}


@pytest.mark.long
def test_a_cell_that_kills_its_workers_is_trained_alone_then_given_up(store: Store):
    """The others of its chunk are finished; when asked to, it is tried again."""
    study = make_study(
        task=f"{TASKS}:dies_of_infinity", pairs=("sgd",), alphas=(0.1, 1e39), lambdas=(0.0, 0.01)
    )
    plan = planned(store, study, workers=2, chunk=4)
    assert plan.choice.engine == "referee"
    run(plan, store)
    states = {(row["alpha"], row["lambda"]): row["state"] for row in store.cells("small")}
    healthy, deadly = {(0.1, 0.0), (0.1, 0.01)}, {(1e39, 0.0), (1e39, 0.01)}
    assert {cell for cell, state in states.items() if state == "finished"} == healthy
    assert {cell for cell, state in states.items() if state == "failed"} == deadly
    failures = store.failures("small")
    assert {(f.cell.alpha, f.cell.lambda_) for f in failures} == deadly
    assert all(f.reason.startswith("killed 4 workers, the last one alone") for f in failures)
    run(plan, store)  # there is nothing to do
    assert len(store.runs("small")) == 1
    assert store.retry_failed("small") == 2
    run(plan, store)
    assert len(store.failures("small")) == 2
    assert len(store.runs("small")) == 2


@pytest.mark.long
def test_a_worker_that_hangs_is_killed_when_its_lease_is_over(store: Store):

    def let_its_lease_end(_: list[PanelProgress]) -> None:
        for hung in store.workers("small"):
            if psutil.Process(hung.pid).status() == psutil.STATUS_STOPPED:
                expire = f"UPDATE landscape_chunk SET expires = 1 WHERE pid = {hung.pid}"
                store.database.write(lambda c, expire=expire: c.exec_driver_sql(expire))

    plan = planned(store, make_study(task=f"{TASKS}:hangs_once", pairs=("sgd",)), workers=1)
    run(plan, store, let_its_lease_end)
    cells = store.cells("small")
    assert {row["state"] for row in cells} == {"finished"}
    assert sorted(row["attempts"] for row in cells) == [1, 1, 1, 1, 2, 2]


@pytest.mark.long
def test_workers_that_took_the_parent_for_dead_are_replaced(store: Store):
    """As after the whole machine had slept: the run's lease is over, but nobody died."""
    calls = []

    def let_the_lease_end(_: list[PanelProgress]) -> None:
        calls.append(1)
        if len(calls) == 1:
            expire = "UPDATE landscape_run SET expires = 1"
            store.database.write(lambda c: c.exec_driver_sql(expire))
        elif len(calls) == 8:
            store.beat_run(1)

    run(planned(store, make_study(pairs=("sgd",))), store, let_the_lease_end)
    assert {row["state"] for row in store.cells("small")} == {"finished"}


@pytest.mark.long
def test_a_run_that_shall_not_stay_leaves_others_what_they_hold(store: Store):
    plan = planned(store, make_study(pairs=("sgd",)))
    theirs = store.claim("small", Worker(), store.start_run("small", provenance(["cpu"], "vmap")))
    assert theirs is not None
    run(plan, store, stay=False)
    states = [row["state"] for row in store.cells("small")]
    assert (states.count("finished"), states.count("running")) == (4, 2)


@pytest.mark.long
def test_a_fault_in_the_users_code_propagates_and_releases_its_cells(store: Store):
    plan = planned(store, make_study(task=f"{TASKS}:fails"), workers=2)
    with pytest.raises(TrainingError, match="a fault in the user's network"):
        run(plan, store)
    cells = store.cells("small")
    assert {(row["state"], row["attempts"]) for row in cells} == {("open", 0)}


@pytest.mark.long
def test_interrupted_between_two_starts_no_worker_goes_on(
    store: Store, small_study: Study, monkeypatch: pytest.MonkeyPatch
):
    plan = planned(store, small_study, workers=2)
    start, started = Processes.start, []

    def start_one(self: Processes, job: Job, device: str) -> Future[bool]:
        if started:
            raise KeyboardInterrupt
        future = start(self, job, device)
        started.append(self.process(future))
        return future

    monkeypatch.setattr(Processes, "start", start_one)
    with pytest.raises(KeyboardInterrupt):
        run(plan, store)
    (pid,) = started
    wait_for(lambda: not psutil.pid_exists(pid), 10)
    assert {row["state"] for row in store.cells("small")} == {"open"}


def test_who_gave_no_sign_of_life_hangs(monkeypatch: pytest.MonkeyPatch):
    moment = 0.0
    monkeypatch.setattr(time, "time", lambda: moment)
    hung = driver._Hung()
    assert hung.among({1: 30.0, 2: 30.0, 3: 30.0, 4: -1.0}) == {4}  # expired before
    moment = 15.0
    assert hung.among({1: 15.0, 2: 15.0, 3: 40.0}) == set()  # 3 has beaten
    moment = 29.0
    assert hung.among({1: 1.0, 3: 26.0}) == set()  # 2 is done, in time
    moment = 31.0
    assert hung.among({3: 24.0}) == {1}  # another took its chunk
    moment = 45.0
    assert hung.among({}) == set()


def test_after_a_sleep_of_the_machine_workers_have_a_lease_to_show_that_they_live(
    monkeypatch: pytest.MonkeyPatch,
):
    moment = 0.0
    monkeypatch.setattr(time, "time", lambda: moment)
    hung = driver._Hung()
    assert hung.among({1: 120.0, 2: 120.0}) == set()
    moment = 9000.0
    assert hung.among({1: -8880.0}) == set()  # 2 may have recorded
    while moment < 9115:
        moment += 5
        assert hung.among({1: 120.0 - moment}) == set()
    moment += 6
    assert hung.among({1: 120.0 - moment}) == {1}


def test_an_unfusable_task_is_trained_one_by_one(store: Store):
    plan = planned(store, make_study(task=f"{TASKS}:branching"))
    assert plan.choice.engine == "referee"
    run(plan, store)
    assert all(row["value"] is not None for row in store.cells("small"))


# ---- user code that misbehaves, and databases that go away --------------------------------------


def test_a_cell_that_raises_is_trained_alone_then_given_up_and_the_rest_goes_on(store: Store):
    study = make_study(
        task=f"{TASKS}:refuses_infinity", pairs=("sgd",), alphas=(0.1, 1e39), lambdas=(0.0, 0.01)
    )
    run(planned(store, study, chunk=4), store)
    states = {(row["alpha"], row["state"]) for row in store.cells("small")}
    assert states == {(0.1, "finished"), (1e39, "failed")}
    (reason,) = {failure.reason for failure in store.failures("small")}
    assert reason.startswith("raised ValueError: logits must be finite (")
    assert "user_tasks.py, line " in reason


def test_what_raises_in_every_cell_ends_the_run_at_once(store: Store):
    study = make_study(task=f"{TASKS}:fails")
    with pytest.raises(TrainingError, match=r"RuntimeError: a fault in the user's network"):
        run(planned(store, study), store)
    assert {row["state"] for row in store.cells("small")} == {"open"}


def test_code_that_ends_the_program_ends_the_run_with_a_message(store: Store):
    study = make_study(task=f"{TASKS}:leaves")
    with pytest.raises(TrainingError, match=r"SystemExit: 0 \("):
        run(planned(store, study), store)
    assert {row["state"] for row in store.cells("small")} == {"open"}


def test_data_that_differ_from_process_to_process_are_not_mixed(store: Store):
    study = make_study(task=f"{TASKS}:unseeded")
    with pytest.raises(StudyMismatchError, match=r"a worker on .*its data\(\) differs from call"):
        run(planned(store, study), store)
    assert {row["state"] for row in store.cells("small")} == {"open"}


@pytest.mark.long
def test_a_hang_before_the_first_cell_ends_the_run(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "LEASE", 5.0)
    monkeypatch.setattr(driver, "LOADING", 1.0)
    study = make_study(task=f"{TASKS}:hangs_at_first")
    with pytest.raises(TrainingError, match=r"no worker began to train within 5 s: .* hangs"):
        run(planned(store, study), store)


class Spoiler:
    """Does something to the database's file when the first cells are finished."""

    def __init__(self, act: Callable[[Path], None], path: Path) -> None:
        self.act, self.path, self.done = act, path, False

    def __call__(self, progress: list[PanelProgress]) -> None:
        if not self.done and any(p.finished for p in progress):
            self.done = True
            self.act(self.path)


SOON = ("deleted", "replaced")


@pytest.mark.long
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(act, id=way, marks=[] if way in SOON else [pytest.mark.long])
        for way, act in GONE.items()
    ],
)
def test_a_database_that_goes_away_is_never_taken_for_done(
    tmp_path: Path, small_study: Study, act: Callable[[Path], None]
):
    path = tmp_path / "results.db"
    with closing(Store(str(path), create=True)) as store:
        study = small_study.change(task=f"{TASKS}:slow")
        plan = planned(store, study, chunk=2)
        with pytest.raises((StoreError, TrainingError)) as caught:
            run(plan, store, Spoiler(act, path))
    assert str(path) in str(caught.value)
    for saved in tmp_path.glob("results.db.saved-*"):
        with closing(Store(str(saved))) as kept:
            assert any(row["state"] == "finished" for row in kept.cells("small"))


# ---- engines ------------------------------------------------------------------------------------


@pytest.mark.long
def test_what_was_interrupted_is_finished_by_the_engine_it_began_with(store: Store):
    """And what is new or finished is chosen for anew: a little work is done by vmap."""
    study = make_study()
    planned(store, study)
    store.start_run("small", provenance(["cpu"], "referee"))  # and stopped at once
    resumed = planned(store, study)
    assert resumed.choice.engine == "referee"
    run(resumed, store)
    assert {row["state"] for row in store.cells("small")} == {"finished"}
    run(planned(store, study.change(seeds=2)), store)
    used = [noted["provenance"]["engine"] for noted in store.runs("small")]
    assert used == ["referee", "referee", "vmap"]


# ---- a real command line, with real signals -----------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "times"), [(signal.SIGINT, 2), (signal.SIGTERM, 1), (signal.SIGHUP, 2)]
)
def test_interrupted_it_stops_soon_releases_and_says_how_to_resume(
    tmp_path: Path, number: signal.Signals, times: int
):
    """However often: impatient people press Ctrl-C again and again."""
    path = tmp_path / "slow.db"
    process = start_command(path, "--workers", "2", *LONG)
    wait_for(lambda: running_cells(path) == 16)
    children = descendants(process)
    started = time.monotonic()
    for _ in range(times):
        if number == signal.SIGTERM:
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)  # as the terminal does: the workers too
        time.sleep(0.1)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert process.returncode == 128 + number
    again = f"landscape resume slow --workers 2 --engine vmap --task {TASKS}:slow --store {path}"
    assert f"go on with:  {again}\n" in err
    assert "Traceback" not in err
    cells = Store(str(path)).cells("slow")
    assert {(row["state"], row["attempts"]) for row in cells} == {("open", 0)}
    wait_for(lambda: not any(child.is_running() for child in children), 10)


@pytest.mark.long
@pytest.mark.parametrize("later", [0.0, 0.5], ids=["at once", "soon"])
def test_interrupted_while_it_plans_it_leaves_nothing(tmp_path: Path, later: float):
    process = start_command(tmp_path / "slow.db", *LONG)
    wait_for(lambda: descendants(process))
    (host,) = descendants(process)
    time.sleep(later)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not is_alive(host)
    assert not (tmp_path / "slow.db").exists()


@pytest.mark.long
def test_when_the_parent_is_killed_its_workers_stop_and_release(tmp_path: Path):
    path = tmp_path / "slow.db"
    process = start_command(path, "--workers", "2", *LONG)
    wait_for(lambda: running_cells(path) == 16)
    children = descendants(process)
    process.kill()
    finish(process)
    wait_for(lambda: not any(is_alive(child) for child in children), 15)
    assert running_cells(path) == 0


@pytest.mark.long
def test_killed_three_times_and_resumed_it_equals_an_uninterrupted_run(tmp_path: Path):
    """kill -9 of parent and workers; the values are equal to the bit."""
    whole, broken = tmp_path / "whole.db", tmp_path / "broken.db"
    assert finish(start_command(whole, "--workers", "2")) == 0
    for _ in range(3):
        process = start_command(broken, "--workers", "2")
        wait_for(lambda: running_cells(broken) > 0)
        time.sleep(0.4)
        os.killpg(process.pid, signal.SIGKILL)
        finish(process)
    assert finish(start_command(broken, "--workers", "2")) == 0
    expected, found = Store(str(whole)), Store(str(broken))
    assert results(found, "slow") == results(expected, "slow")
    assert len(results(found, "slow")) == 16
    for one, other in zip(expected.curves("slow"), found.curves("slow"), strict=True):
        assert one["values"].tobytes() == other["values"].tobytes()


@pytest.mark.long
def test_two_runs_of_the_same_study_at_once_share_the_work(tmp_path: Path):
    path = tmp_path / "slow.db"
    processes = [start_command(path, "--workers", "1", "--chunk", "2") for _ in range(2)]
    assert [finish(process) for process in processes] == [0, 0]
    store = Store(str(path))
    assert {(row["state"], row["attempts"]) for row in store.cells("slow")} == {("finished", 1)}
    assert len(store.cells("slow")) == 16
