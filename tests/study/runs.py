"""Runs of small studies, in this process or by the command line, for the tests of both."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from landscape_study.study.errors import LandscapeError
from landscape_study.study.planning.plan import Plan, make_plan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.records.provenance import provenance
from landscape_study.study.running.job import TaskJob
from landscape_study.study.running.worker import work
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store

TASKS = "tests.study.user_tasks"
LONG = ("--epochs", "100", "--engine", "vmap")  # half a minute and more, never replayed


def planned(
    store: Store, study: Study, *, workers: int = 1, chunk: int = 2, engine: str | None = None
) -> Plan:
    """A plan whose study is in the store."""
    plan = make_plan(
        study,
        RunSettings(device="cpu", workers=workers, chunk=chunk, engine=engine),
        store=store.url,
    )
    store.create(plan.study, plan.identity, plan.chunks)
    return plan


def train_here(plan: Plan, store: Store) -> None:
    """Train what is open of a plan's study as its workers do, but in this process."""
    name = plan.study.name
    run_id = store.start_run(name, provenance(list(plan.layout.devices), plan.engine))
    job = TaskJob(
        store=store.url,
        study=store.study(name),
        identity=plan.identity,
        run_id=run_id,
        path=tuple(sys.path),
        engine=plan.engine,
        width=plan.width,
        libraries=plan.libraries(),
    )
    assert work(job, "cpu")
    store.end_run(run_id)


def results(store: Store, name: str = "small") -> dict[tuple[object, ...], object]:
    """Test error and divergence by cell."""
    keys = ("panel", "seed", "alpha", "lambda")
    return {
        tuple(row[key] for key in keys): (row["value"], row["diverged_epoch"])
        for row in store.cells(name)
    }


def start_command(store: Path | str, *arguments: str) -> subprocess.Popen[str]:
    """Start `landscape run` on the slow spirals in a process group of its own."""
    command = [
        sys.executable,
        "-m",
        "landscape_study",
        "run",
        "--task",
        f"{TASKS}:slow",
        "--name",
        "slow",
    ]
    command += ["--pair", "sgd", "--seeds", "1", "--epochs", "2", "--chunk", "8", "--no-plot"]
    command += ["--alpha", "[0.1, 0.2]", "--lambda", "{ log2 = [-8, -1] }"]
    return subprocess.Popen(
        [*command, "--store", str(store), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> int:
    """Wait for the command's end; its exit code."""
    _, told = process.communicate(timeout=120)
    if told.strip():
        print(told)  # shown where a test fails
    return process.returncode


def wait_for(condition: object, seconds: float = 60) -> None:
    """Wait until `condition()` holds."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def running_cells(path: Path) -> int:
    """Cells held by workers; 0 as long as there is no study."""
    if not path.exists():
        return 0
    try:
        return sum(p.running for p in Store(str(path)).progress("slow"))
    except LandscapeError:  # not created yet
        return 0


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
