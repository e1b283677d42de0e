"""Input that nobody means: study files, text in databases, what a task gives.

Each function takes one made-up input and fails only where the tool does something else than its
work or a message.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from examples.spirals import spirals
from hypothesis import strategies as st
from torch import Tensor, nn

from landscape_study import Streams
from landscape_study.study.errors import DataError, LandscapeError, SpecError, TaskError
from landscape_study.study.spec.extension import refined_study
from landscape_study.study.spec.grid import Cell
from landscape_study.study.spec.presets import PRESETS, load_preset
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from landscape_study.study.store.merging import merge
from landscape_study.study.tasks.data.examples import Epoch
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.refusals import check_task
from tests.conftest import make_study
from tests.crashes.damage import truth
from tests.study.store.test_store import WITNESS, create, train_all

# ---- study files --------------------------------------------------------------------------------

SMALL = load_preset("digits-torch")
REFINED = refined_study(SMALL, {SMALL.panels[0].name: [Cell(0.003, 0.003), Cell(0.003, 0.03)]})
FILES = [*(load_preset(name).to_toml() for name in PRESETS), REFINED.to_toml()]
PIECES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(['"', "=", "[[panel]]", "{", "[", "inf", "nan", "-1", "1e999", "true", "\0"]),
    st.integers().map(str),
    st.floats().map(str),
)


@st.composite
def study_files(draw: st.DrawFn) -> str:
    """A preset's file, some pieces of which are replaced by others."""
    text = draw(st.sampled_from(FILES))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(PIECES) + text[end:]
    return text


def read_study(text: str) -> None:
    """It is a study, which survives being written and read again, or a message of few lines."""
    message = ""
    try:
        study = Study.from_toml(text, "here")
    except SpecError as e:
        message = str(e)
    if message:
        assert len(message) < 10_000
    else:
        assert Study.from_toml(study.to_toml(), "there") == study


# ---- text in databases --------------------------------------------------------------------------

COLUMNS = [
    *(("landscape_study", column) for column in ("name", "spec", "fingerprint", "source", "seal")),
    *(("landscape_run", column) for column in ("started", "ended", "provenance")),
    *(("landscape_chunk", column) for column in ("panel", "seed", "state", "owner", "expires")),
    *(("landscape_chunk", column) for column in ("host", "pid", "device", "reason", "seconds")),
    *(("landscape_cell", column) for column in ("alpha", "lambda", "train_loss", "test_loss")),
    *(("landscape_cell", column) for column in ("diverged_epoch", "seal", "chunk_id")),
    *(("landscape_curve", column) for column in ("metric", "n", "data", "seal")),
    *(("landscape_witness", column) for column in ("panel", "found", "agrees", "why", "epochs")),
    *(("trials", column) for column in ("number", "state", "datetime_start", "study_id")),
    *(("trial_values", column) for column in ("value", "value_type", "objective")),
    *(("trial_user_attributes", column) for column in ("key", "value_json")),
    *(("trial_params", column) for column in ("param_name", "param_value", "distribution_json")),
    *(("studies", "study_name"), ("study_directions", "direction")),
]
VALUES = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.binary(max_size=30),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.sampled_from(["{}", "[]", "null", "done", "open", "COMPLETE", "small"]),
)
changes = st.lists(st.tuples(st.sampled_from(COLUMNS), VALUES), min_size=1, max_size=3)


def make_database() -> Path:
    """A database with a finished study and one half done, in a folder of its own."""
    path = Path(tempfile.mkdtemp(prefix="fuzz-"), "whole.db")
    with closing(Store(str(path), create=True)) as store:
        train_all(store, make_study())
        train_all(store, make_study(name="other", pairs=("sgd",)))
        create(store, make_study(name="other"))
        store.record_witness("small", WITNESS)
    return path


def read_database(whole: Path, found: list[tuple[tuple[str, str], Any]]) -> None:
    """Readers give the truth or a message; `check` has something to say of what they refuse."""
    path = whole.with_name("changed.db")
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for (table, column), value in found:
            with suppress(sqlite3.IntegrityError):
                connection.execute(
                    f'UPDATE {table} SET "{column}" = ? WHERE rowid = '
                    f"(SELECT min(rowid) FROM {table})",
                    (value,),
                )
    is_refused = False
    try:
        truth(path)
    except LandscapeError:
        is_refused = True
    try:
        with closing(Store(str(path))) as store:
            findings = list(check(store, store.names()))
            assert findings or not is_refused
    except LandscapeError:
        return
    new = whole.with_name("new.db")
    new.unlink(missing_ok=True)
    with closing(Store(str(path))) as store, closing(Store(str(new), create=True)) as into:
        for name in store.names():
            with suppress(LandscapeError):
                list(merge(into, store, [name]))
        faults = [f.what for f in check(into, into.names()) if f.is_fault]
        assert all("witness disagrees" in what for what in faults), faults


# ---- what a task gives --------------------------------------------------------------------------

SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
TYPES = st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool, torch.complex64])
TENSORS = st.builds(lambda shape, kind: torch.ones(shape).to(kind), SHAPES, TYPES)
THINGS: st.SearchStrategy[Any] = st.one_of(
    TENSORS,
    st.none(),
    st.text(max_size=5),
    st.floats(),
    st.lists(TENSORS, max_size=2),
    st.dictionaries(st.text(max_size=3), TENSORS, max_size=2),
)
PARTS = ["train_inputs", "train_targets", "test_inputs", "test_targets"]
given_parts = st.dictionaries(
    st.sampled_from([*PARTS, "data", "outputs", "loss", "network", "normalize", "augment"]),
    THINGS,
    min_size=1,
    max_size=2,
)


class _Giving(nn.Module):
    """Gives something else than scores."""

    def __init__(self, thing: Any) -> None:
        super().__init__()
        self.linear, self.thing = nn.Linear(2, 2), thing

    def forward(self, inputs: Tensor) -> Any:
        return self.thing


def check_given(parts: dict[str, Any]) -> None:
    """It is a task that can be trained, or a message."""
    functions: dict[str, Callable[..., Any]] = {
        name: lambda *_, thing=parts[name]: thing
        for name in ("data", "loss", "network", "normalize", "augment")
        if name in parts
    }
    if changed := {name: parts[name] for name in PARTS if name in parts}:
        functions["data"] = lambda: replace(spirals.data(), **changed)
    if "outputs" in parts:
        functions["network"] = lambda: _Giving(parts["outputs"])
    with suppress(TaskError):
        assert isinstance(check_task(replace(spirals, **functions), [(10, 1)]), Data)


# ---- what a data set or a loader gives ----------------------------------------------------------

ITEMS, BATCHES = (torch.ones(2), 1), (torch.ones(5, 2), torch.ones(5).long())
RIGHT = st.sampled_from([[ITEMS] * 4, [BATCHES] * 3])
PAIRS = st.tuples(st.sampled_from([ITEMS[0], BATCHES[0]]) | TENSORS, TENSORS | st.just(1))
COLUMNS = st.fixed_dictionaries({"x": TENSORS | THINGS, "y": TENSORS | THINGS})
SIDES = st.one_of(RIGHT, THINGS, st.lists(st.one_of(THINGS, PAIRS, COLUMNS), max_size=4))
given_sides = st.tuples(SIDES, SIDES, st.booleans(), st.booleans())


def check_sides(sides: tuple[Any, Any, bool, bool]) -> None:
    """They are data that a task can be trained and tested on, or a message."""
    train, test, as_loaders, named = sides
    if as_loaders:
        train, test = (lambda seed, side=side: iter(side) for side in (train, test))
    columns = {"inputs": "x", "targets": "y"} if named else {}
    task = replace(spirals, data=lambda: Streams(train, test, **columns))
    with suppress(TaskError, DataError):
        data, epoch = check_task(task, [(10, 1)]), Epoch(0, 1, torch.Generator())
        assert sum(len(y) for _, y in data.train.shuffled(epoch, 3)) == data.train.count
        assert sum(len(y) for _, y in data.test.in_order(2)) == data.test.count
