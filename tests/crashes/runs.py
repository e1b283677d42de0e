"""`landscape run`, real and training, whose workers and parents are killed and stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import psutil

from landscape_study.study.store import LEASE, Store
from tests.study.runs import descendants, finish, is_alive, running_cells, start_command, wait_for

WAYS = {  # of dying, and how likely each is
    "a worker": 5,
    "the parent": 2,
    "parent and workers": 3,
    "Ctrl-C": 2,
}


def besiege(folder: Path, kills: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Kill so many processes of runs of one study, then let it finish; what is wrong after it."""
    whole, broken, chance = folder / "whole.db", folder / "broken.db", random.Random(seed)
    if finish(_start(whole)) != 0:
        raise AssertionError("the uninterrupted run failed")
    died: Counter[str] = Counter()
    orphans: list[psutil.Process] = []
    while sum(died.values()) < kills:
        process = _start(broken)
        while process.poll() is None and sum(died.values()) < kills:
            time.sleep(chance.uniform(0.2, 1.0))
            if running_cells(broken):
                orphans += descendants(process)
                way = chance.choices([*WAYS], weights=[*WAYS.values()])[0]
                _strike(process, way, chance)
                died[way] += 1
        process.communicate()
        if not Store(str(broken)).is_open("slow"):
            broken.unlink()  # the next life of the same study
    died["stopped past the lease"] += _sleep_through_the_lease(broken)
    with closing(Store(str(broken), create=True)):
        wrong = [] if finish(_start(broken)) == 0 else ["the last run failed"]
    wait_for(lambda: not any(is_alive(orphan) for orphan in orphans), 30)
    return died, wrong + _differences(whole, broken)


def _start(path: Path) -> subprocess.Popen[str]:
    return start_command(path, "--workers", "2", "--chunk", "4")


def _strike(process: subprocess.Popen[str], way: str, chance: random.Random) -> None:
    with suppress(ProcessLookupError, psutil.NoSuchProcess, IndexError):
        if way == "a worker":
            with closing(Store(_store(process))) as store:
                os.kill(chance.choice(store.workers("slow")).pid, signal.SIGKILL)
        elif way == "the parent":
            process.kill()
        elif way == "parent and workers":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGINT)


def _store(process: subprocess.Popen[str]) -> str:
    command = list(process.args)  # type: ignore[arg-type]
    return str(command[command.index("--store") + 1])


def _sleep_through_the_lease(path: Path) -> int:
    """Stop a run with all its workers past every lease, as a machine that sleeps, and wake it."""
    process = _start(path)
    wait_for(lambda: running_cells(path) > 0 or process.poll() is not None)
    if process.poll() is not None:
        return 0
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(LEASE + 5)
    os.killpg(process.pid, signal.SIGCONT)
    return int(finish(process) == 0)


def _differences(whole: Path, broken: Path) -> list[str]:
    """In what the two databases differ, but for who trained when."""
    with closing(Store(str(whole))) as one, closing(Store(str(broken))) as other:
        wrong = []
        for row, same in zip(one.cells("slow"), other.cells("slow"), strict=True):
            own = {"seconds", "trial", "attempts"}
            if any(row[key] != same[key] for key in row.keys() - own):
                wrong.append(f"{same} is not {row}")
        for curve, same in zip(one.curves("slow"), other.curves("slow"), strict=True):
            if curve["values"].tobytes() != same["values"].tobytes():
                wrong.append(f"the curve of {same} differs")
    return wrong
