"""Functions of users: how they are marked, checked, named and known."""

import functools
import importlib
import subprocess
import sys
import threading
from pathlib import Path

import cloudpickle
import pytest

import landscape_study as ls
from landscape_study.study.errors import TaskError
from landscape_study.study.objectives.objective import (
    identify_function,
    is_objective,
    load_function,
    named,
    pickled_function,
    require_function,
)

MODULE = """
from landscape_study import objective

@objective
def train(cell, run):
    return cell.alpha

def plain(cell, run):
    return cell.alpha

number = 5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A working directory with a module of the user's, forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    known = set(sys.modules)
    (tmp_path / "own_training.py").write_text(MODULE)
    yield tmp_path
    for module in set(sys.modules) - known:
        del sys.modules[module]


def test_what_is_marked_stays_a_function(folder):
    own_training = importlib.import_module("own_training")

    assert own_training.train(type("Cell", (), {"alpha": 0.5}), None) == 0.5
    assert own_training.train.__name__ == "train"


@pytest.mark.parametrize("where", ["own_training", "own_training.py", "./own_training.py"])
def test_what_a_name_holds_tells_an_objective(folder, where: str):
    assert is_objective(f"{where}:train")
    assert not is_objective(f"{where}:plain")
    assert not is_objective(f"{where}:number")
    assert not is_objective("digits")
    assert load_function(f"{where}:plain").__name__ == "plain"


class Trains:
    """An object that is called as a function."""

    def __call__(self, cell, run):
        """Train."""
        return 1.0


class Waits:
    """The same, but it does not run when it is called."""

    async def __call__(self, cell, run):
        """Train."""
        return 1.0


async def waits(cell, run):
    return 1.0


def yields(cell, run):
    yield 1.0


@pytest.mark.parametrize(
    "function",
    [
        lambda cell, run: 1.0,
        lambda cell, run, epochs=5: 1.0,
        lambda *arguments: 1.0,
        functools.partial(lambda epochs, cell, run: 1.0, 5),
        Trains(),
    ],
)
def test_what_can_be_called_with_a_cell_and_a_run_is_one(function):
    require_function(function)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda cell: 1.0, r"takes \(cell\), but is called with a cell and a run: write def tr"),
        (lambda lr, wd, seed: 1.0, r"takes \(lr, wd, seed\), but"),
        (lambda cell, *, run: 1.0, "but is called with a cell and a run"),
        (waits, "'waits' does not run when it is called"),
        (yields, "'yields' does not run when it is called"),
        (Waits(), "Waits object does not run when it is called"),
        (Trains, "'Trains' is no function"),
        (5, "int object is no function"),
    ],
)
def test_a_wrong_signature_is_told_with_the_right_one(function, message: str):
    with pytest.raises(TaskError, match=message):
        ls.objective(function)


def test_a_module_that_marks_something_wrong_says_so_when_it_is_imported(folder):
    (folder / "wrong.py").write_text(MODULE.replace("def train(cell, run)", "def train(cell)"))
    with pytest.raises(TaskError, match=r"^'train' takes \(cell\), but"):
        is_objective("wrong:train")


def test_one_of_a_module_is_named_by_it_and_another_is_handed_over(folder):
    own_training = importlib.import_module("own_training")

    assert named(own_training.plain) == "own_training:plain"
    assert pickled_function("own_training:plain") is None
    assert named("digits") == "digits"
    factor = 3.0
    name = named(lambda cell, run: factor * cell.alpha)
    assert name is not None
    assert name.startswith("__main__:")
    assert is_objective(name)
    sent = cloudpickle.loads(pickled_function(name))
    assert sent(type("Cell", (), {"alpha": 0.5}), None) == 1.5


def test_what_no_process_can_be_sent_is_refused():
    lock = threading.Lock()

    def train(cell, run):
        with lock:
            return 1.0

    name = named(train)
    with pytest.raises(TaskError, match=r"cannot be sent to a process of its own.*pickle"):
        pickled_function(name)


def test_what_is_not_here_any_more_is_to_be_handed_over_again():
    with pytest.raises(TaskError, match="was handed over in Python, and is not here"):
        load_function("__main__:gone")


def test_it_is_known_by_its_source(folder):
    before = identify_function("own_training.py:train")
    assert identify_function("own_training:train") == before
    (folder / "own_training.py").write_text(MODULE + "# a comment\n")
    assert identify_function("own_training.py:train") == before
    (folder / "own_training.py").write_text(MODULE.replace("cell.alpha", "-cell.alpha"))
    assert identify_function("own_training.py:train") != before


@pytest.mark.slow
def test_marking_imports_nothing_slow():
    slow = "{'torch', 'numpy', 'pandas', 'joblib', 'cloudpickle', 'psutil'}"
    code = f"import sys; from landscape_study import objective; print({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
