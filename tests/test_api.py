"""The calls from Python: their examples run, and they are what the commands are."""

from __future__ import annotations

import doctest
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import landscape_study as ls
from landscape_study import landscapes, study
from landscape_study.cli import main
from landscape_study.landscapes import landscape_calls
from landscape_study.study import study_calls
from landscape_study.study.store import Store
from landscape_study.study.store.database import Database

LISTS = {"list", "show", "data", "pairs", "tasks", "presets"}  # of which Python has the values
OTHER = {"status": "cells", "export": "cells", "compare": "verdicts"}  # what tells the same


@pytest.mark.slow
@pytest.mark.parametrize("module", [study_calls, landscape_calls])
def test_the_examples_give_what_they_say(
    module: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)  # type: ignore[arg-type]
    assert found.failed == 0
    assert found.attempted > 5


def test_what_a_command_does_a_call_does():
    known = set(ls.__all__)
    for command in main.commands:
        assert command in LISTS or OTHER.get(command, command) in known, command


@pytest.mark.parametrize("module", [ls, study, landscapes], ids=lambda m: m.__name__)
def test_every_name_is_there_and_listed(module: object):
    for name in module.__all__:  # type: ignore[attr-defined]
        assert getattr(module, name) is not None
        assert name in dir(module)


def test_another_name_is_told_as_python_does():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ls.nonsense  # noqa: B018


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A database with a study of one finished cell, `one`."""
    grid = {"pairs": ["adamw"], "alpha": [0.1], "lambda_": [0], "epochs": 1, "seeds": 1}
    study_calls.run("digits-fig2", store=tmp_path / "a.db", quiet=True, name="one", **grid)
    return tmp_path / "a.db"


@pytest.mark.slow
def test_a_call_closes_what_it_opened_and_nothing_else(
    small: Path, monkeypatch: pytest.MonkeyPatch
):
    closed: list[Store] = []
    close = Store.close
    monkeypatch.setattr(Store, "close", lambda store: (closed.append(store), close(store)))
    assert len(ls.cells(small, "one")) == 1
    assert [store.url.endswith("a.db") for store in closed] == [True]
    with closing(Store(str(small))) as mine:
        ls.cells(mine, "one")
        assert mine not in closed


@pytest.mark.slow
def test_quiet_calls_still_warn(small: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Database, "network_file_system", lambda database: "nfs")
    with pytest.warns(UserWarning, match="lies on a network file system"):
        ls.resume("one", store=small, quiet=True)


def test_nothing_slow_is_imported_before_it_is_used():
    code = (
        "import sys, landscape_study as ls; dir(ls); "
        "slow = {'torch', 'pandas', 'matplotlib', 'sqlalchemy', 'optuna', 'scipy'}; "
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
