"""Workers in processes of this machine: where they come from, what they are, how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest

from landscape_study.study.errors import TrainingError
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.running import processes, worker_host
from landscape_study.study.running.processes import Processes, WorkerLostError, prepare
from tests.study.running.other_work import (
    answers_to_its_parent,
    draws,
    fails,
    has_no_arguments,
    hears_no_terminal,
    is_at_home,
    is_lean,
    reads_by_processes,
    sleeps_until_orphaned,
    spins_as_asked,
    spins_seldom,
    waits,
)
from tests.study.running.test_worker import make_job
from tests.study.runs import is_alive, wait_for

pytestmark = pytest.mark.slow

SECONDS = 120


@pytest.fixture
def pool() -> Iterator[Processes]:
    opened = Processes()
    yield opened
    opened.close()


def start(
    pool: Processes, monkeypatch: pytest.MonkeyPatch, work: Callable[..., bool]
) -> Future[bool]:
    """A worker that does something else than `work`, which this module has by name."""
    monkeypatch.setattr(processes, "work", work)
    return pool.start(make_job("vmap", 8), "cpu")


@pytest.mark.some(4)
@pytest.mark.parametrize(
    "work",
    [
        *(is_lean, spins_seldom, hears_no_terminal, has_no_arguments),
        *(reads_by_processes, answers_to_its_parent),
    ],
)
@pytest.mark.parametrize("forks", [True, False])
def test_a_worker(
    pool: Processes, monkeypatch: pytest.MonkeyPatch, work: Callable[..., bool], *, forks: bool
):
    monkeypatch.setattr(processes, "FORKS", forks)
    assert start(pool, monkeypatch, work).result(SECONDS)


@pytest.mark.long
def test_files_that_are_named_like_pythons_own_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    processes._leave()
    (tmp_path / "json.py").write_text("raise SystemExit('of the user')")
    monkeypatch.chdir(tmp_path)
    pool = Processes()
    assert start(pool, monkeypatch, is_lean).result(SECONDS)
    pool.close()


def test_ctrl_c_is_not_heard_however_early_it_comes(capfd: pytest.CaptureFixture[str]):
    host = processes.Host()
    os.kill(host.process.pid, signal.SIGINT)
    os.kill(host.process.pid, signal.SIGHUP)
    pid, connection = host.start(processes.Order(True, {**os.environ}, (), "/", b""))
    assert pid != host.process.pid
    connection.close()
    host.close()
    assert capfd.readouterr().err == ""


def test_a_worker_has_what_its_parent_has_by_now(
    pool: Processes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDSCAPE_TEST_HOME", str(tmp_path))
    assert start(pool, monkeypatch, is_at_home).result(SECONDS)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert start(pool, monkeypatch, spins_as_asked).result(SECONDS)


def test_workers_draw_other_numbers(
    pool: Processes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    for future in [start(pool, monkeypatch, draws) for _ in range(2)]:
        assert future.result(SECONDS)
    assert len({path.read_text() for path in tmp_path.glob("drawn-*")}) == 2


def test_what_a_worker_fails_with_is_told(pool: Processes, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(TrainingError, match="KeyError: 'lambda'"):
        start(pool, monkeypatch, fails).result(SECONDS)


@pytest.mark.long
@pytest.mark.parametrize("forks", [True, False])
def test_who_dies_takes_nobody_along(monkeypatch: pytest.MonkeyPatch, *, forks: bool):
    """Elsewhere than on Linux, each worker is a process that imported all by itself."""
    monkeypatch.setattr(processes, "FORKS", forks)
    pool = Processes()
    killed, other = (start(pool, monkeypatch, waits) for _ in range(2))
    pid = pool.process(killed)
    assert pid is not None
    pool.look_after({pid})
    with pytest.raises(WorkerLostError):
        killed.result(SECONDS)
    pool.forget(killed)
    assert not other.done()
    assert start(pool, monkeypatch, is_lean).result(SECONDS)
    pool.close()
    with pytest.raises(WorkerLostError):
        other.result(SECONDS)


@pytest.mark.long
def test_workers_end_with_their_host_and_others_can_be_started(
    pool: Processes, monkeypatch: pytest.MonkeyPatch
):
    lost = start(pool, monkeypatch, sleeps_until_orphaned)
    pid = pool.process(lost)
    assert pid is not None
    os.kill(pool.hosts[-1].process.pid, signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        lost.result(SECONDS)
    assert start(pool, monkeypatch, is_lean).result(SECONDS)


@pytest.mark.long
def test_a_pool_takes_the_host_that_was_prepared_and_leaves_it_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
):
    processes._leave()
    prepare(RunSettings(dask="tcp://elsewhere:8786"))
    assert not processes._ready
    prepare(RunSettings())
    prepare(RunSettings())
    (host,) = processes._ready
    first = Processes()
    assert start(first, monkeypatch, is_lean).result(SECONDS)
    assert first.hosts == [host]
    first.close()
    assert processes._ready == [host]
    host.close()  # it was killed meanwhile
    second = Processes()
    assert start(second, monkeypatch, is_lean).result(SECONDS)
    assert host not in second.hosts
    second.close()


def test_a_fork_of_the_parent_leaves_its_host_alone():
    processes._leave()
    prepare(RunSettings())
    (host,) = processes._ready
    pid = os.fork()
    if pid == 0:
        processes._leave()
        other = processes._take()
        other.close()
        os._exit(other is host)
    assert os.waitpid(pid, 0)[1] == 0
    assert host.is_alive()
    processes._leave()
    assert not host.is_alive()


def test_a_host_ends_soon_after_its_parent():
    code = (
        "import time; from landscape_study.study.running import processes; "
        "processes._ready.append(processes.Host()); "
        "print(processes._ready[0].process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    host = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    wait_for(lambda: not is_alive(host))


def test_a_host_without_workers_ends_after_a_while(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker_host, "_import", lambda: None)
    monkeypatch.setattr(worker_host, "IDLE", 0.0)
    monkeypatch.setattr(os, "_exit", lambda code: None)
    monkeypatch.setattr(sys, "argv", ["-c"])
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    reading, writing = os.pipe()
    try:
        worker_host.serve(reading, os.getppid())
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        os.close(writing)
