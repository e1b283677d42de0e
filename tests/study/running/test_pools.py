"""A dask cluster of this machine: its workers train, and may die."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from landscape_study.study.errors import TrainingError, UsageError
from landscape_study.study.running.pools import Cluster, cluster_size
from landscape_study.study.store import Store
from tests.study.running.test_worker import make_job
from tests.study.runs import LONG, TASKS, finish, results, running_cells, start_command, wait_for

pytestmark = pytest.mark.long


def start_dask(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all that it started."""
    children = psutil.Process(process.pid).children(recursive=True)
    for child in (process, *children):
        child.kill()
    process.wait()


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler without workers."""
    told = tmp_path / "scheduler.json"
    process = start_dask("scheduler", "--port", "0", "--scheduler-file", str(told))
    wait_for(lambda: told.exists() and told.stat().st_size > 0)
    yield json.loads(told.read_text("utf-8"))["address"]
    end(process)


def join(scheduler: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start workers, and wait until the cluster has them."""
    process = start_dask("worker", scheduler, "--local-directory", "/tmp", *arguments)
    wait_for(lambda: _has_workers(scheduler), 120)
    return process


def _has_workers(scheduler: str) -> bool:
    try:
        return cluster_size(scheduler, "x.db") > 0
    except UsageError as e:
        return "no workers yet" not in str(e)


@pytest.fixture
def cluster(scheduler: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a scheduler, and the process that watches its two workers."""
    nannies = join(scheduler, "--nthreads", "1", "--nworkers", "2")
    wait_for(lambda: cluster_size(scheduler, "x.db") == 2)
    yield scheduler, nannies
    end(nannies)


def test_a_cluster_trains_what_processes_here_train(cluster, tmp_path: Path):
    here, there = tmp_path / "here.db", tmp_path / "there.db"
    assert finish(start_command(here, "--workers", "2")) == 0
    assert finish(start_command(there, "--dask", cluster[0])) == 0
    assert results(Store(str(there)), "slow") == results(Store(str(here)), "slow")


def test_a_cluster_runs_commands(cluster, tmp_path: Path):
    """In the folder where the run was started, though its workers were started elsewhere."""
    (tmp_path / "train.py").write_text(
        "import json, os, sys; from pathlib import Path; "
        "Path(f'ran-{os.getppid()}').touch(); print(json.dumps({'loss': float(sys.argv[1])}))"
    )
    grid = ["--alpha", "[1, 2, 3, 4]", "--lambda", "[0, 1]", "--metric", "loss", "--no-plot"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "landscape_study", "run", *grid, "--store", "own.db"),
            *("--dask", cluster[0], "--", sys.executable, "train.py", "{alpha}", "{lambda}"),
        ],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "8 cells, 0 of them finished; 2 workers, engine command" in done.stdout
    store = Store(str(tmp_path / "own.db"))
    assert sorted(row["value"] for row in store.cells("train")) == [1, 1, 2, 2, 3, 3, 4, 4]
    ran = {int(path.name.partition("-")[2]) for path in tmp_path.glob("ran-*")}
    assert ran <= {child.pid for child in psutil.Process(cluster[1].pid).children(True)}


def test_a_cluster_calls_functions(cluster, tmp_path: Path):
    (tmp_path / "own.py").write_text(
        "from landscape_study import objective\n"
        "@objective\ndef train(cell, run):\n    return cell.alpha\n"
    )
    grid = ["--alpha", "[1, 2]", "--lambda", "[0, 1]", "--metric", "loss", "--no-plot"]
    subprocess.run(
        [
            *(sys.executable, "-m", "landscape_study", "run", *grid, "--store", "own.db"),
            *("--dask", cluster[0], "--task", "own.py:train"),
        ],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with closing(Store(str(tmp_path / "own.db"))) as store:
        assert sorted(row["value"] for row in store.cells("train")) == [1, 1, 2, 2]


def test_a_worker_of_the_cluster_may_die(cluster, tmp_path: Path):
    path = tmp_path / "slow.db"
    process = start_command(path, "--dask", cluster[0], "--chunk", "4", "--epochs", "6")
    wait_for(lambda: running_cells(path) > 0)
    store = Store(str(path))
    victim = store.workers("slow")[0].pid
    assert victim in {child.pid for child in psutil.Process(cluster[1].pid).children(True)}
    psutil.Process(victim).kill()
    assert finish(process) == 0
    cells = store.cells("slow")
    assert {row["state"] for row in cells} == {"finished"}
    assert len(cells) == 16


def test_interrupted_the_cluster_gives_back_what_it_holds(cluster, tmp_path: Path):
    path = tmp_path / "slow.db"
    process = start_command(path, "--dask", cluster[0], *LONG)
    wait_for(lambda: running_cells(path) > 0)
    process.terminate()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 143
    again = f"landscape resume slow --engine vmap --dask {cluster[0]} --task {TASKS}:slow"
    assert f"go on with:  {again} --store {path}\n" in told
    store = Store(str(path))  # the workers stop when they see that the run is over
    wait_for(lambda: {row["state"] for row in store.cells("slow")} == {"open"})
    started = time.monotonic()
    assert finish(start_command(tmp_path / "short.db", "--dask", cluster[0])) == 0
    assert time.monotonic() - started < 60  # its workers are free again


def test_when_the_scheduler_is_gone_the_run_ends_and_says_so(cluster, tmp_path: Path):
    path = tmp_path / "slow.db"
    process = start_command(path, "--dask", cluster[0], *LONG)
    wait_for(lambda: running_cells(path) > 0)
    port = int(cluster[0].rpartition(":")[2])
    listening = (c for c in psutil.net_connections() if c.status == psutil.CONN_LISTEN)
    (scheduler,) = {c.pid for c in listening if c.laddr.port == port}
    psutil.Process(scheduler).kill()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"the dask scheduler at {cluster[0]} is gone: start it again and resume" in told
    assert "Traceback" not in told
    store = Store(str(path))  # the workers stop when they see that the run is over
    wait_for(lambda: {row["state"] for row in store.cells("slow")} == {"open"})


def test_who_lost_the_scheduler_starts_no_worker(cluster):
    pool = Cluster(cluster[0])
    pool.client.close()
    with pytest.raises(TrainingError, match="is gone: start it again and resume"):
        pool.start(make_job("vmap", 8), "cpu")


def test_a_cluster_without_workers(scheduler: str):
    with pytest.raises(UsageError, match="no workers yet: start some with `dask worker tcp://"):
        cluster_size(scheduler, "x.db")


def test_workers_with_several_threads_are_refused(scheduler: str):
    nannies = join(scheduler, "--nthreads", "2")
    try:
        with pytest.raises(UsageError, match=r"has 2 threads.*--nthreads 1"):
            Cluster(scheduler)
    finally:
        end(nannies)


def test_workers_on_other_machines_need_a_server(cluster, monkeypatch: pytest.MonkeyPatch):
    assert cluster_size(cluster[0], "x.db") == 2
    monkeypatch.setattr(Cluster, "is_elsewhere", lambda self: True)
    with pytest.raises(UsageError, match=r"on other machines, and x\.db is a file"):
        cluster_size(cluster[0], "x.db")
    assert cluster_size(cluster[0], "postgresql://server/x") == 2
