"""The source of a user's own task, by which a changed loss or activation is noticed."""

from __future__ import annotations

import importlib
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from landscape_study.study.own_code.source import function_digest, source_digest

TASK = """
import numpy as np
from functools import partial
import helpers_of_mine
from layers_of_mine import Layer
from losses_of_mine import smooth
from landscape_study.study.tasks.task import Task
loss = partial(smooth, 0.1)
"""
PARTS = {
    "task_of_mine": TASK,
    "helpers_of_mine": "import deeper_of_mine\nSIZE = 3\n",
    "deeper_of_mine": "DEPTH = 2\n",
    "layers_of_mine": "class Layer:\n    pass\n",
    "losses_of_mine": "def smooth(by, outputs, targets):\n    return by\n",
    "strangers_of_mine": "X = 1\n",
}


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules from which a task is imported."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in PARTS.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in PARTS:
        sys.modules.pop(name, None)


def digest(folder: Path) -> str:
    importlib.invalidate_caches()
    for name in PARTS:
        sys.modules.pop(name, None)
    importlib.import_module("task_of_mine")
    importlib.import_module("strangers_of_mine")
    return source_digest("task_of_mine:task")


@pytest.mark.parametrize("name", PARTS)
def test_what_the_task_uses_changes_it_and_what_it_does_not_use_does_not(name, parts):
    before = digest(parts)
    assert digest(parts) == before
    (parts / f"{name}.py").write_text(f"{PARTS[name]}\nchanged = 1\n")
    assert (digest(parts) == before) == (name == "strangers_of_mine")


def test_comments_docstrings_and_layout_do_not_change_it_but_a_number_does(parts):
    before, own = digest(parts), parts / "task_of_mine.py"
    text = own.read_text()
    function = "\n\ndef more(x):\n    return x * 0.1\n"
    own.write_text(f"{text}{function}")
    longer = digest(parts)
    assert longer != before
    documented = function.replace("(x):\n", '( x ) :  # comment\n    """Says so."""\n\n')
    own.write_text(f'"""About it."""\n{text}{documented}')
    assert digest(parts) == longer
    own.write_text(f"{text}{function.replace('0.1', '0.2')}")
    assert digest(parts) != longer


def test_what_is_no_python_any_more_counts_by_its_bytes(parts):
    before = digest(parts)
    (parts / "losses_of_mine.py").write_text("edited (")
    changed = source_digest("task_of_mine:task")
    assert changed != before
    (parts / "losses_of_mine.py").write_text("edited ((")
    assert source_digest("task_of_mine:task") != changed


def test_where_the_files_lie_does_not_change_it(parts, tmp_path, monkeypatch):
    before = digest(parts)
    moved = parts.rename(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(moved)
    assert digest(moved) == before


def test_a_source_that_is_gone_is_no_fault(parts):
    before = digest(parts)
    (parts / "losses_of_mine.py").unlink()
    assert source_digest("task_of_mine:task") != before
    assert source_digest("no_such_module:task") == source_digest("another:task")


LAZY = """
def network():
    from package_of_mine import nets
    return nets.Net()
"""


@pytest.fixture
def lazy(parts: Path) -> Path:
    """A task that imports a package when its network is made."""
    (parts / "task_of_mine.py").write_text(LAZY)
    package = parts / "package_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("NAME = 1\n")
    (package / "nets.py").write_text("from . import layers\nfrom .sizes import SIZE\n")
    (package / "layers.py").write_text("KIND = 'tanh'\n")
    (package / "sizes.py").write_text("SIZE = 3\n")
    (package / "unused.py").write_text("X = 1\n")
    return package


@pytest.mark.parametrize("name", ["__init__", "nets", "layers", "sizes", "unused"])
def test_what_a_function_imports_counts_whether_it_was_called_or_not(lazy: Path, name: str):
    before = source_digest("task_of_mine:task")
    importlib.import_module("package_of_mine.nets")
    try:
        assert source_digest("task_of_mine:task") == before
    finally:
        for module in [name for name in sys.modules if name.startswith("package_of_mine")]:
            del sys.modules[module]
    with (lazy / f"{name}.py").open("a") as file:
        file.write("changed = 1\n")
    assert (source_digest("task_of_mine:task") == before) == (name == "unused")


def test_nothing_is_imported_to_find_it(lazy: Path):
    (lazy / "__init__.py").write_text("raise RuntimeError('imported')\n")
    assert source_digest("task_of_mine:task")


@pytest.mark.parametrize("folder", ["site-packages", "dist-packages"])
def test_packages_of_other_environments_are_not_the_users(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
):
    elsewhere = tmp_path / "other" / folder
    elsewhere.mkdir(parents=True)
    monkeypatch.syspath_prepend(elsewhere)
    (parts / "task_of_mine.py").write_text("import bought\n")
    (elsewhere / "bought.py").write_text("X = 1\n")
    before = source_digest("task_of_mine:task")
    (elsewhere / "bought.py").write_text("X = 2\n")
    assert source_digest("task_of_mine:task") == before


# Functions that stand in no module

CELL = """
WIDTH = 8
TABLE = {"a": [1, 2.5]}
lock = object()

class Net:
    scale = 4

    def forward(self):
        return 2 * helper(1)

    @property
    def size(self):
        return 16

def helper(x):
    return x + 1

def unused():
    return 5

def train(cell, run):
    print(lock)
    return WIDTH * helper(cell.alpha) + TABLE["a"][0] + Net().forward()
"""


def digest_of(text: str) -> str:
    """Of the function `train` of a notebook's cell."""
    lines = text.splitlines(keepends=True)
    name = f"<cell {hash(text)}>"
    linecache.cache[name] = (len(text), None, lines, name)  # as IPython does
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), names)
    return function_digest(names["train"])


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        ("def unused():\n    return 5", "def unused():\n    return 6", True),
        ("    return x + 1", "    # one more\n    return (x + 1)", True),
        ("lock = object()", "lock = [object()]", True),
        ("return x + 1", "return x + 2", False),
        ("WIDTH = 8", "WIDTH = 9", False),
        ("2.5", "3.5", False),
        ("2 * helper", "3 * helper", False),
        ("scale = 4", "scale = 5", False),
        ("return 16", "return 17", False),
        ("WIDTH * helper", "WIDTH - helper", False),
    ],
)
def test_a_function_of_a_notebook_is_known_by_what_it_uses(before: str, after: str, is_same: bool):
    changed = CELL.replace(before, after)
    assert changed != CELL
    assert (digest_of(changed) == digest_of(CELL)) == is_same


def test_a_function_that_calls_itself_is_known_too():
    text = "def train(cell, run):\n    return train(cell, None) if run else {}\n"
    assert digest_of(text.format(1)) != digest_of(text.format(2))


def test_a_function_within_another_is_known_by_what_it_was_made_with():
    def make(k: float):
        return lambda cell, run: k * cell.alpha

    assert function_digest(make(1.0)) == function_digest(make(1.0)) != function_digest(make(2.0))


def test_a_function_without_a_source_is_known_by_its_code():
    found = []
    for number in (1, 1, 2):
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(f"def train(cell, run):\n    return cell.alpha + cell.x{number}", names)
        found.append(function_digest(names["train"]))
    assert found[0] == found[1] != found[2]


def test_a_task_of_a_file_is_known_as_one_of_its_module(parts: Path):
    assert source_digest(f"{parts}/task_of_mine.py:task") == digest(parts)
    (parts / "deeper_of_mine.py").write_text("DEPTH = 3\n")
    assert source_digest(f"{parts}/task_of_mine.py:task") == digest(parts)
