"""Tiny tasks that train in milliseconds; databases of both kinds."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from torch import nn

from landscape_study.study.spec.study import Axis, Grid, Panel
from landscape_study.study.store import Store
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.task import Task, load_data
from landscape_study.study.training import chunk
from landscape_study.study.training.engines import ENGINES
from tests.postgres import URL, fresh_database
from tests.study.chunks import BATCH, CELLS, DOUBLE, Trained

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
DATABASES = Path(__file__).parent / "databases"  # that older versions wrote
CLASSES = 3
TRAIN, TEST = 23, 17  # in batches of 5, the last one has 3


@pytest.fixture(params=BACKENDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of an empty database: an SQLite file, or one on the server that `URL` names."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/test.db"
        return
    server = os.environ.get(URL)
    if server is None:
        pytest.skip(f"no PostgreSQL server: {URL} is not set; `make test-postgres` starts one")
    with fresh_database(server) as url:
        yield url


@pytest.fixture
def any_store(store_url: str) -> Iterator[Store]:
    """An empty database of either kind."""
    opened = Store(store_url, create=True)
    yield opened
    opened.close()


@pytest.fixture(params=[3, 4, 5, 6, 7], ids="schema {}".format)
def before(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database that a version of an older schema wrote: two cells are finished, one is open.

    Those of schema 4 and later have a witness, those of 5 and later seals.
    """
    path, script = tmp_path / "before.db", DATABASES / f"schema-{request.param}.sql"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script.read_text())
    return path


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and other work shares the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny_data(kind: str) -> Data:
    """Random examples with labels that can be learned; kind: vector, signal, image or tokens."""
    generator = torch.Generator().manual_seed(0)
    count = TRAIN + TEST
    if kind == "tokens":
        inputs = torch.randint(7, (count, 4), generator=generator)
        targets = inputs[:, 0] % CLASSES
    else:
        shape = {"vector": (6,), "signal": (2, 9), "image": (2, 5, 5)}[kind]
        inputs = torch.randn(count, *shape, generator=generator)
        targets = inputs.flatten(1)[:, :CLASSES].argmax(dim=1)
    return Data(inputs[:TRAIN], targets[:TRAIN], inputs[TRAIN:], targets[TRAIN:])


@pytest.fixture
def make_task() -> Callable[..., Task]:
    """A function that makes a task of a network on tiny data."""

    def make(network: Callable[[], nn.Module], kind: str = "vector", **changes: object) -> Task:
        fields: dict[str, object] = {
            "name": "tiny",
            "network": network,
            "data": lambda: tiny_data(kind),
            "classes": CLASSES,
            "batch_size": 5,
            "epochs": 3,
        }
        return Task(**(fields | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_panel() -> Callable[..., Panel]:
    """A function that makes a panel; its grid is never looked at by training."""

    def make(pair: str, schedule: object = "cosine", epochs: int = 3, **more: object) -> Panel:
        grid = Grid(alpha=Axis(values=(0.1,)), lambda_=Axis(values=(0.0,)))
        table = {"pair": pair, "schedule": schedule, "epochs": epochs, "grid": grid}
        return Panel.model_validate(table | more)

    return make


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trained]:
    """train_chunk on a task, keeping the engines that it forgets."""

    def run(task, panel, cells=CELLS, *, seed=1, batch_size=BATCH, options=DOUBLE, **more):
        engines = []
        name = more.get("engine", "vmap")
        kind = ENGINES[name]

        class Kept(kind):
            def __init__(self, *args):
                super().__init__(*args)
                engines.append(self)

        data = load_data(task).to(more.get("device", "cpu"), getattr(torch, options.precision))
        settings = {"seed": seed, "batch_size": batch_size, "options": options}
        with monkeypatch.context() as patched:
            patched.setitem(ENGINES, name, Kept)
            outcome = chunk.train_chunk(task, data, panel, cells, **settings, **more)
        parameters = [e.parameters() for e in engines]
        rows = [
            torch.cat([p.reshape(len(p), -1) for p in named.values()], dim=1)
            for named in parameters
        ]
        buffers = [e.buffers() for e in engines]
        together = {name: torch.cat([b[name] for b in buffers]) for name in buffers[0]}
        return Trained(outcome, torch.cat(rows), together)

    return run
