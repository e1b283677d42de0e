"""Shared by all tests: small studies, made-up outcomes, databases in temporary folders."""

from __future__ import annotations

import functools
import io
import math
import os
import shutil
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from alembic.util import pyfiles
from hypothesis import settings
from platformdirs import user_cache_path

from landscape_study.study.environment.cache import DIGEST
from landscape_study.study.pairs.meter import MECHANISM
from landscape_study.study.pairs.options import Options
from landscape_study.study.planning import known_programs
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.spec.metric import RECORDED
from landscape_study.study.spec.study import Axis, Cell, Grid, Panel, Study
from landscape_study.study.store import Store
from landscape_study.study.training.compiling import library

settings.register_profile("untimed", deadline=None)  # a busy machine fails no test
settings.load_profile("untimed")

SPIRALS = "examples.spirals:spirals"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than cores: tests wait for processes and leases a quarter of their time."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)  # before those that are marked `long` are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process waits for another at the end.

    Of a test that is marked `some(n)`, all variants but n, evenly spread, are marked `long`.
    """
    variants: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("some") and item.get_closest_marker("long") is None:
            variants[item.nodeid.partition("[")[0]].append(item)
    for group in variants.values():
        (count,) = group[0].get_closest_marker("some").args
        kept = {round(k * (len(group) - 1) / max(count - 1, 1)) for k in range(count)}
        for place, item in enumerate(group):
            if place not in kept:
                item.add_marker("long")
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is measured and compiled here, by child processes too, is kept for the session only.

    The rest of the user's cache stays where programs look for it: fonts of matplotlib, say. The
    processes of a session share what they compile.
    """
    users, own = user_cache_path(), tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache"
    folder.mkdir(exist_ok=True)
    for entry in users.iterdir() if users.exists() else ():
        if entry.name != "landscape-study":
            with suppress(FileExistsError):
                (folder / entry.name).symlink_to(entry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield


@pytest.fixture(autouse=True, scope="session")
def _signals_arrive() -> None:
    """Also at commands started from here, though a shell's `&` or nohup has these tests ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    """Pyplot would draw the next test's figure over them."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(autouse=True, scope="session")
def _modest_plans() -> Iterator[None]:
    """Engines are chosen after one probe, however slow a busy machine makes it look.

    What other tests compiled is not known. And workers have one thread: tiny tensors gain nothing
    from more, and those of a busy machine wait for each other.
    """
    with pytest.MonkeyPatch.context() as patch:
        for seconds in ("SHORT", "WORTH_COMPILING"):
            patch.setattr(f"landscape_study.study.planning.probing.{seconds}", math.inf)
        forgetful = SimpleNamespace(
            programs_name=known_programs.programs_name, recall=lambda file: {}
        )
        patch.setattr("landscape_study.study.planning.plan.known_programs", forgetful)
        patch.setattr(
            "landscape_study.study.console.progress.LONG", math.inf
        )  # so that nobody is told of it
        patch.setenv("LOKY_MAX_CPU_COUNT", "1")
        yield


@pytest.fixture(autouse=True, scope="session")
def _migrations_are_read_once() -> Iterator[None]:
    """Optuna's, which it reads three times for each new database: most of what that takes."""
    anew = pyfiles.load_module_py
    once = functools.cache(anew)

    def load(name: str, path: Path) -> ModuleType:
        return anew(name, path) if name == "env_py" else once(name, path)  # env.py migrates

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyfiles, "load_module_py", load)
        yield


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is measured and compiled in this test is kept here: nothing yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "landscape-study" / "compiled"


@pytest.fixture(scope="session")
def _common_code(_cache_of_the_session: None) -> list[Path]:
    """What all compiled programs have in common, compiled once, with its digests."""
    if library.why_not() is not None:
        return []
    paths = [library._common(file) for file in library.COMMON]
    return [*paths, *(path.with_name(path.name + DIGEST) for path in paths)]


@pytest.fixture
def own_programs(own_cache: Path, _common_code: list[Path]) -> Path:
    """As `own_cache`; but what all compiled programs have in common is there."""
    own_cache.mkdir(parents=True, mode=0o700)
    for path in _common_code:
        shutil.copy(path, own_cache)
    return own_cache


@pytest.fixture(autouse=True)
def _in_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """User tasks are found from the working directory."""
    monkeypatch.chdir(Path(__file__).parent.parent)


@pytest.fixture(autouse=True)
def _no_data_sets(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The user's data folder is neither read nor filled, and a changed one is put back."""
    monkeypatch.setenv("LANDSCAPE_DATA", str(tmp_path_factory.getbasetemp() / "data"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty database."""
    opened = Store(str(tmp_path / "test.db"), create=True)
    yield opened
    opened.close()


@pytest.fixture
def small_study() -> Study:
    """Two panels of 2 × 3 cells, one seed, on the spirals."""
    return make_study()


def make_study(
    *,
    name: str = "small",
    pairs: tuple[str, ...] = ("sgd", "adamw"),
    seeds: int | tuple[int, ...] = 1,
    epochs: int = 3,
    alphas: tuple[float, ...] = (0.05, 0.1),
    lambdas: tuple[float, ...] = (0.0, 0.001, 0.01),
    task: str = SPIRALS,
    batch_size: int = 20,
    options: Options | None = None,
) -> Study:
    """A study that trains in a second."""
    grid = Grid(alpha=Axis(values=alphas), lambda_=Axis(values=lambdas))
    return Study.from_dict(
        {
            "name": name,
            "task": task,
            "seeds": seeds,
            "batch_size": batch_size,
            "options": options or Options(),
            "panel": [Panel(name=p, pair=p, epochs=epochs, grid=grid) for p in pairs],
        },
        "test",
    )


def make_outcome(cells: int, epochs: int = 3, *, start: float = 0.0) -> Outcome:
    """Made-up results: the test error of cell k after the last epoch is `start` + k."""
    last = start + np.arange(cells, dtype=np.float32)[:, None]
    curve = last + np.arange(epochs - 1, -1, -1, dtype=np.float32)
    curves = {metric: curve.copy() for metric in RECORDED}
    mechanism = {name: curve + np.float32(0.1 * (i + 1)) for i, name in enumerate(MECHANISM)}
    return Outcome(curves, np.zeros(cells, np.int64), seconds=1.5, mechanism=mechanism)


def pairs_of_two(cells: list[Cell]) -> list[list[Cell]]:
    """A chunking: two cells a chunk."""
    return [cells[i : i + 2] for i in range(0, len(cells), 2)]


Chunking = Callable[[list[Cell]], list[list[Cell]]]


class Terminal(io.StringIO):
    """What a program writes to a terminal, or with tty=False to a pipe."""

    def __init__(self, encoding: str = "utf-8", *, tty: bool = True) -> None:
        super().__init__()
        self.name_of_encoding, self.tty = encoding, tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.name_of_encoding

    def isatty(self) -> bool:
        return self.tty
