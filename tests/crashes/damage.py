"""Bytes that change, databases that go away, workers that hold something else.

What comes of it is the truth, a message, or nothing: never a false number, never exit code 0 with
cells that are not there.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from examples.spirals import spirals

from landscape_study.study.environment import cache
from landscape_study.study.errors import LandscapeError, StudyMismatchError
from landscape_study.study.records.provenance import provenance
from landscape_study.study.running import task_chunks
from landscape_study.study.running.worker import work
from landscape_study.study.spec.study import Cell
from landscape_study.study.store import Store
from landscape_study.study.training.checkpoint import Checkpoint, Group
from tests.conftest import make_study
from tests.study.running.test_worker import make_job
from tests.study.runs import running_cells, start_command
from tests.study.store.test_store import WITNESS, create, train_all

Truth = dict[tuple[Any, ...], Any]


# ---- bytes --------------------------------------------------------------------------------------


def truth(path: Path) -> Truth:
    """All results of a database that a reader sees, by what they are and where they lie."""
    found: Truth = {}
    with closing(Store(str(path))) as store:
        for name in store.names():
            for row in store.cells(name):
                if row["state"] == "finished":
                    facts = ("value", "train_loss", "test_loss", "diverged_epoch")
                    found[("cell", *_place(name, row))] = tuple(row[fact] for fact in facts)
            for row in store.curves(name):
                found[("curve", *_place(name, row), row["metric"])] = row["values"].tobytes()
            for mean in store.means(name):
                place = (name, mean.panel, mean.cell.alpha, mean.cell.lambda_, mean.seeds)
                found[("mean", *place)] = mean.error
            for one in store.progress(name):
                found["best", name, one.panel, one.finished] = one.best
            for witness in store.witnesses(name):
                found["witness", name, witness.panel] = witness
    return found


def _place(name: str, row: dict[str, Any]) -> tuple[Any, ...]:
    return (name, *(row[part] for part in ("panel", "seed", "alpha", "lambda")))


def false_results(path: Path, expected: Truth) -> list[tuple[Any, ...]] | None:
    """Where something else is read than what was recorded; None if there is but a message.

    Means and best cells over fewer cells than there were say so, and count as nothing.
    """
    try:
        found = truth(path)
    except LandscapeError:
        return None
    return [
        place
        for place, value in found.items()
        if (place in expected and not _same(value, expected[place]))
        or (place not in expected and place[0] in ("cell", "curve", "witness"))
    ]


def _same(a: Any, b: Any) -> bool:
    try:
        np.testing.assert_equal(a, b)
    except AssertionError:
        return False
    return True


def change_bytes(folder: Path, count: int, seed: int) -> Counter[str]:
    """Change one byte of some file, so often; what came of it, by the kind of file."""
    dice, found = random.Random(seed), Counter[str]()
    subjects = list(_subjects(folder))
    for number in range(count):
        kind, path, content, look = subjects[number % len(subjects)]
        damaged = bytearray(content)
        damaged[dice.randrange(len(damaged))] ^= dice.randrange(1, 256)
        path.write_bytes(damaged)
        with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
            found[f"{kind}: {look()}"] += 1
        path.write_bytes(content)
    return found


Subject = tuple[str, Path, bytes, Callable[[], str]]  # kind, file, its bytes, what comes of it


def _subjects(folder: Path) -> Iterator[Subject]:
    database, log = _databases(folder)
    expected = truth(database)
    yield "database", database, database.read_bytes(), lambda: _told(database, expected)
    yield from _with_log(folder, log)
    kept = Checkpoint(folder / "chunk-1-2.pt", "key", 0.0, Group("s", "p", 0, (Cell(1.0, 0.0),)))
    state = {"theta": torch.randn(200), "epoch": 3}
    kept.keep(lambda: state)
    yield "checkpoint", kept.path, kept.path.read_bytes(), lambda: _recalled(kept, state)
    facts = {"engine": "vmap", "pace": [0.25, 1e-3], "why": None}
    cache.keep("facts.json", facts)
    path = cache.cache_folder() / "facts.json"
    yield "cache", path, path.read_bytes(), lambda: _remembered(facts)
    library = cache.cache_folder() / "code.so"
    library.write_bytes(random.Random(0).randbytes(4096))
    cache.prove(library)
    yield (
        *("library", library, library.read_bytes()),
        lambda: "FALSE" if cache.is_proven(library) else "nothing",
    )


def _remembered(facts: dict[str, Any]) -> str:
    found = cache.recall("facts.json")
    return _judged(found == facts) if found else "nothing"


def _databases(folder: Path) -> tuple[Path, Path]:
    """A database at rest, and one whose log holds what its file does not."""
    rest, live = folder / "rest.db", folder / "live.db"
    for path in (rest, live):
        store = Store(str(path), create=True)
        train_all(store, make_study(seeds=2))
        train_all(store, make_study(name="other", pairs=("sgd",)))
        create(store, make_study(name="other"))
        store.record_witness("small", WITNESS)
        if path == rest:
            store.close()
    return rest, live


def _with_log(folder: Path, live: Path) -> Iterator[Subject]:
    """The log of a database that is open, damaged before another opens a copy of both."""
    log = live.with_name(f"{live.name}-wal")
    expected, copy = truth(live), folder / "copy.db"
    content, kept = live.read_bytes(), log.read_bytes()

    def look() -> str:
        copy.write_bytes(content)
        shutil.copy(damaged, copy.with_name("copy.db-wal"))
        copy.with_name("copy.db-shm").unlink(missing_ok=True)
        return _told(copy, expected)

    damaged = folder / "damaged-wal"
    damaged.write_bytes(kept)
    yield "log", damaged, kept, look


def _told(path: Path, expected: Truth) -> str:
    wrong = false_results(path, expected)
    if wrong is None:
        return "message"
    return f"FALSE {wrong[0]}" if wrong else "truth"


def _judged(is_true: bool) -> str:
    return "truth" if is_true else "FALSE"


def _recalled(kept: Checkpoint, state: dict[str, Any]) -> str:
    found = kept.recall()
    if found is None:
        return "message"
    same = torch.equal(found.state["theta"], state["theta"]) and found.state["epoch"] == 3
    return _judged(same)


# ---- databases that go away ---------------------------------------------------------------------

GONE: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "moved": lambda path: path.rename(path.with_name("elsewhere.db")),
    "overwritten": lambda path: path.write_bytes(b"something else"),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "replaced": lambda path: (path.unlink(), Store(str(path), create=True).close()),
    "without its log": lambda path: path.with_name(f"{path.name}-wal").unlink(),
}


def take_away(folder: Path, count: int, seed: int) -> Counter[str]:
    """Let the database of a real run go away, so often; how the run ended."""
    dice, found = random.Random(seed), Counter[str]()
    for number in range(count):
        own = folder / f"gone-{number}"
        own.mkdir()
        path, (way, act) = own / "results.db", dice.choice([*GONE.items()])
        process = start_command(path, "--workers", "2", "--chunk", "4")
        while process.poll() is None and not running_cells(path):
            time.sleep(0.1)
        time.sleep(dice.uniform(0.0, 2.0))
        with suppress(OSError, LandscapeError):
            act(path)
        _, err = process.communicate(timeout=120)
        found[f"{way}: {_ended(process.returncode, err, path)}"] += 1
    return found


def _ended(code: int, err: str, path: Path) -> str:
    if "Traceback" in err:
        return "FALSE: a traceback"
    if code != 0:
        return "message" if "Error: " in err else f"FALSE: exit code {code} without a message"
    with suppress(LandscapeError), closing(Store(str(path))) as store:
        if all(row["state"] == "finished" for row in store.cells("slow")):
            return "truth"
    return "FALSE: exit code 0, and cells are not there"


# ---- workers that hold something else -----------------------------------------------------------


def hold_something_else(folder: Path, count: int, seed: int) -> Counter[str]:
    """Change something of what a worker holds, so often; whether it trained all the same."""
    dice, found = random.Random(seed), Counter[str]()
    with closing(Store(str(folder / "identity.db"), create=True)) as store:
        job = make_job("vmap", 8)
        store.create(job.study, job.identity, lambda cells: [cells])
        run_id = store.start_run("small", provenance(["cpu"], "vmap"))
        mine = replace(job, store=store.url, run_id=run_id)
        load = task_chunks.load_data
        for _ in range(count):
            data = spirals.data()
            part = dice.choice(["train_inputs", "train_targets", "test_inputs", "test_targets"])
            tensor = getattr(data, part).contiguous().clone()
            place = dice.randrange(tensor.numel())
            tensor.view(-1)[place] = 1 - tensor.view(-1)[place]
            changed = replace(data, **{part: tensor})
            task_chunks.load_data = lambda task, changed=changed: changed  # type: ignore[misc]
            try:
                work(mine, "cpu")
                found[f"{part}: FALSE: trained"] += 1
            except StudyMismatchError:
                found[f"{part}: message"] += 1
            finally:
                task_chunks.load_data = load
        if any(row["state"] != "open" for row in store.cells("small")):
            found["FALSE: cells are no longer open"] += 1
    return found
