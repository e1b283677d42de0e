"""Studies of users' own scripts and functions, whose runs, workers and parents are killed.

Each run leaves two children, one of them in a session of its own, which nobody but this tool ends.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil

from landscape_study.study.errors import StoreError
from landscape_study.study.objectives.guardian import MARK
from landscape_study.study.planning.objective_plan import plan_objective
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.spec.command_line import command_line
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from tests.study.runs import descendants, finish, wait_for

WAYS = {  # of dying, and how likely each is
    "a run": 4,
    "a worker": 4,
    "a guardian and its worker": 2,
    "the parent": 2,
    "parent and workers": 2,
    "Ctrl-C": 1,
}
CELLS = 12
BODY = """
def run(alpha, lambda_, folder):
    for new in (False, True):
        subprocess.Popen(
            [sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=new
        )
    (Path(folder) / "state").write_text("begun")
    time.sleep(0.4)
    return alpha * 1000 + lambda_
"""
KINDS = {
    "command": "import json, subprocess, sys, time\nfrom pathlib import Path\n"
    + BODY
    + """
value = run(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
print(json.dumps({"loss": value}))
""",
    "function": "import subprocess, sys, time\nfrom pathlib import Path\n"
    "from landscape_study import objective\n"
    + BODY
    + """
@objective
def train(cell, given):
    return run(cell.alpha, cell.lambda_, given.folder)
""",
}


def besiege_scripts(
    url: str, folder: Path, kind: str, kills: int, seed: int
) -> tuple[Counter[str], list[str]]:
    """Kill so many processes of runs of scripts or functions; what is wrong after it.

    Args:
        url: of the database.
        folder: for the script.
        kind: "command" or "function".
        kills: how many, before the last study may be finished in peace.
        seed: of what is killed when.
    """
    (folder / f"{kind}.py").write_text(KINDS[kind])
    chance, died, wrong, life = random.Random(seed), Counter[str](), list[str](), 0
    with closing(Store(url, create=True)) as store:
        while sum(died.values()) < kills:
            study = _begin(store, folder, kind, life)
            while sum(died.values()) < kills and _open(store, study):
                _besiege(store, study, folder, chance, died, kills)
            for _ in range(3):  # what was killed too often was given up
                _finish(store, study, folder)
            wrong += _faults(store, study)
            life += 1
        with suppress(AssertionError):
            wait_for(lambda: not list(_left(folder)), 10)
        wrong += [f"orphan: {process}" for process in _left(folder)]
    return died, wrong


def _begin(store: Store, folder: Path, kind: str, life: int) -> Study:
    script = folder / f"{kind}.py"
    words = [sys.executable, "-S", str(script), "{alpha}", "{lambda}", "{folder}"]
    own = {"command": words} if kind == "command" else {"task": f"{script}:train"}
    table = {
        "name": f"{kind}-{life}",
        **own,
        **({} if kind == "command" else {"function": True}),
        "metric": "loss",
        "alpha": [1.0, 2.0, 3.0, 4.0],
        "lambda": [0.0, 1.0, 2.0],
        **({"panel": [{"pair": "mine"}]} if kind == "command" else {}),
    }
    study = Study.from_dict(table, "test")
    plan = plan_objective(study, RunSettings(device="cpu", workers=2))
    store.create(study, plan.identity, plan.chunks)
    return study


def _start(store: Store, study: Study, folder: Path) -> subprocess.Popen[str]:
    options = ("--workers", "2", "--device", "cpu", "--retry-failed", "--no-plot", "--no-live")
    _, *words = shlex.split(command_line("resume", study, store.url, *options))
    return subprocess.Popen(
        [sys.executable, "-m", "landscape_study", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _besiege(
    store: Store,
    study: Study,
    folder: Path,
    chance: random.Random,
    died: Counter[str],
    kills: int,
) -> None:
    """One run of the tool, from its start to its end, which may come soon."""
    process = _start(store, study, folder)
    while process.poll() is None and sum(died.values()) < kills:
        time.sleep(chance.uniform(0.1, 0.7))
        if process.poll() is None and (workers := _workers(store, study, process)):
            way = chance.choices([*WAYS], weights=[*WAYS.values()])[0]
            died[way] += _strike(process, way, chance.choice(workers), folder, chance)
    process.communicate()


def _workers(store: Store, study: Study, process: subprocess.Popen[str]) -> list[int]:
    """Workers of this run that hold a cell; those of former runs may seem to hold some yet."""
    with suppress(psutil.NoSuchProcess):
        own = {child.pid for child in descendants(process)}
        return [worker.pid for worker in store.workers(study.name) if worker.pid in own]
    return []


def _strike(
    process: subprocess.Popen[str], way: str, worker: int, folder: Path, chance: random.Random
) -> bool:
    """Kill something; whether it was there."""
    try:
        match way:
            case "a run":
                runs = [one for one in _left(folder) if "time.sleep" not in str(one.cmdline())]
                if not runs:
                    return False
                chance.choice(runs).kill()
            case "a worker":
                os.kill(worker, signal.SIGKILL)
            case "a guardian and its worker":
                children = psutil.Process(worker).children()
                guardians = [one for one in children if "guardian.py" in str(one.cmdline())]
                for one in guardians:
                    one.kill()
                os.kill(worker, signal.SIGKILL)
                return bool(guardians)
            case "the parent":
                process.kill()
            case "parent and workers":
                os.killpg(process.pid, signal.SIGKILL)
            case _:
                os.killpg(process.pid, signal.SIGINT)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
    return True


def _open(store: Store, study: Study) -> bool:
    return any(row["state"] != "finished" for row in store.cells(study.name))


def _finish(store: Store, study: Study, folder: Path) -> None:
    if _open(store, study):
        finish(_start(store, study, folder))


def _faults(store: Store, study: Study) -> Iterator[str]:
    """Cells that are lost, doubled, stuck or torn; folders that are left."""
    cells = store.cells(study.name)
    places = Counter((row["alpha"], row["lambda"]) for row in cells)
    yield from (f"{study.name}: doubled {place}" for place, n in places.items() if n > 1)
    if len(places) != CELLS:
        yield f"{study.name}: {CELLS - len(places)} lost"
    for row in cells:
        if row["state"] != "finished":
            yield f"{study.name}: stuck {row}"
        elif row["value"] != row["alpha"] * 1000 + row["lambda"]:
            yield f"{study.name}: torn {row}"
    with suppress(StoreError):
        yield from (f"{study.name}: {found.what}" for found in check(store, [study.name]))
    folders = store.run_folders / study.name
    if folders.exists():
        yield f"{study.name}: left {sorted(folders.iterdir())}"


def _left(folder: Path) -> Iterator[psutil.Process]:
    """Processes of runs, by what they bear in their environment or do."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = " ".join(process.cmdline())
            is_function = "function_host" in words and f"{folder}/function.py" in words
            if is_function or process.environ().get(MARK, "").startswith(str(folder)):
                yield process
