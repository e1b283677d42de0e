"""The calls from Python: their examples run, and they are what the commands are."""

from __future__ import annotations

import doctest
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import landscape_study as ls
from landscape_study import landscapes, study
from landscape_study.cli import main
from landscape_study.commands.running import extend, run
from landscape_study.landscapes import landscape_calls
from landscape_study.study import study_calls
from landscape_study.study.pairs import translation
from landscape_study.study.planning.request import Changes, asked_study
from landscape_study.study.spec.extension import STEPS
from landscape_study.study.spec.presets import DEFAULT
from landscape_study.study.store import Store, address
from landscape_study.study.store.database import ADDRESS, DEFAULT_URL, Database

CALLED = {"import": "import_files"}  # a word that Python keeps for itself
LISTS = {"list", "show", "pairs", "tasks", "presets"}
STARTING = {"new", "try"}  # of the command line only  # of which Python has the values


@pytest.mark.some(1)
@pytest.mark.slow
@pytest.mark.parametrize("module", [study_calls, landscape_calls, translation])
def test_the_examples_give_what_they_say(
    module: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)  # type: ignore[arg-type]
    assert found.failed == 0
    assert found.attempted > 2


def test_what_a_command_does_a_call_does():
    known = set(ls.__all__)
    for command in main.commands:
        assert command in LISTS | STARTING or CALLED.get(command, command) in known, command


@pytest.mark.parametrize("module", [ls, study, landscapes], ids=lambda m: m.__name__)
def test_every_name_is_there_and_listed(module: object):
    for name in module.__all__:  # type: ignore[attr-defined]
        assert getattr(module, name) is not None
        assert name in dir(module)


def test_another_name_is_told_as_python_does():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ls.nonsense  # noqa: B018


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    grid = {"pairs": ["adamw"], "alpha": [0.1], "lambda_": [0], "epochs": 1, "seeds": 1}
    path = tmp_path_factory.mktemp("trained") / "a.db"
    study_calls.run("digits-fig2", store=path, quiet=True, name="one", **grid)
    return path


@pytest.fixture
def small(trained: Path, tmp_path: Path) -> Path:
    """A database with a study of one finished cell, `one`."""
    return Path(shutil.copy(trained, tmp_path))


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda db: ls.plot(db, "one", kind="heatmap"), "no figure 'heatmap': choose one of heat"),
        (lambda db: ls.report(db, "one", kind="pdf"), "no format 'pdf': choose one of html, md"),
        (lambda db: ls.export(db, "one", "a.csv", "all"), "no table 'all': choose one of cells"),
        (lambda db: ls.run(store=db, worker=2), "nothing of a study is called worker: change na"),
        (lambda db: ls.run(None, store=db), "None is no study: give a Study, a preset's name"),
        (lambda db: ls.RunSettings(workers="2"), "workers = '2': give a whole number of 1 or mo"),
        (lambda db: ls.RunSettings(chunk=2.5), "chunk = 2.5: give a whole number of 1 or more"),
        (lambda db: ls.extend("one", store=db, steps=0), "steps = 0: give a whole number from 1"),
        (lambda db: ls.extend("one", store=db, auto_extend=-1), "-1 rounds: give a whole number"),
        (lambda db: ls.load(db, "one", "adam"), "no panel 'adam'"),
        (lambda db: ls.extend("one", store=db, sides="up"), "unknown side 'up'"),
        (lambda db: ls.merge("x.db", db, studies="two"), "no study 'two'"),
        (lambda db: ls.plot(db, "one", kind="anytime", metric="speed"), "speed"),
        (lambda db: ls.data("mnist"), "mnist"),
    ],
)
def test_a_wrong_call_gets_one_clear_message(call, message: str, small: Path):
    with pytest.raises(ls.LandscapeError, match=re.escape(message)):
        call(small)


@pytest.mark.slow
def test_a_single_name_stands_for_a_list_of_one(small: Path, tmp_path: Path):
    assert [one.panel for one in ls.load(small, "one", "adamw")] == ["adamw"]
    assert ls.plot(small, "one", "adamw", contours=True).axes
    assert [one.study for one in ls.merge(tmp_path / "b.db", small, studies="one")] == ["one"]


def test_the_environment_names_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LANDSCAPE_STORE", str(tmp_path / "named.db"))
    assert address(None) == str(tmp_path / "named.db")
    with pytest.raises(ls.LandscapeError, match=r"named\.db"):
        ls.status("one")


def test_calls_and_commands_have_the_same_defaults():
    options = {option.name: option for option in run.params}
    assert options["store"].default == DEFAULT_URL
    assert options["store"].envvar == ADDRESS
    assert asked_study((), Changes()).name == DEFAULT
    assert next(o for o in extend.params if o.name == "steps").default == STEPS


@pytest.mark.slow
def test_a_queued_study_is_trained_by_workers(tmp_path: Path):
    grid = {"pairs": ["adamw"], "alpha": np.array([0.1, 0.2]), "lambda_": [0], "epochs": 1}
    path = tmp_path / "q.db"
    ls.run("digits-fig2", store=path, quiet=True, queue=True, name="q", seeds=1, **grid)
    assert [one.finished for one in ls.status("q", store=path)] == [0]
    ls.worker("q", store=path, quiet=True)
    assert [one.finished for one in ls.status("q", store=path)] == [2]


@pytest.mark.slow
def test_interrupted_it_says_how_to_go_on(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("landscape_study.study.running.training_run.train", stop)
    with pytest.raises(KeyboardInterrupt):
        ls.resume("one", store=small)
    told = " ".join(capsys.readouterr().out.split())
    assert "stopped; 1 finished cells are in" in told
    assert "resume('one') goes on from there" in told


def test_an_empty_database_gives_nothing_and_makes_none(tmp_path: Path):
    Store(str(tmp_path / "empty.db"), create=True).close()
    assert ls.merge(tmp_path / "new.db", tmp_path / "empty.db") == []
    assert not (tmp_path / "new.db").exists()


def test_schedules_of_a_preset_need_no_database(tmp_path: Path):
    assert ls.plot(tmp_path / "none.db", "digits-supp2", kind="schedule").axes


@pytest.mark.slow
def test_extending_says_what_grows(small: Path, capsys: pytest.CaptureFixture[str]):
    ls.extend("one", store=small)
    assert "no best cell lies on a border; name a side to extend it" in capsys.readouterr().out
    ls.extend("one", store=small, sides="alpha-high", steps=1)
    assert "extending adamw alpha-high" in capsys.readouterr().out


@pytest.mark.slow
def test_refining_says_what_is_new(small: Path, capsys: pytest.CaptureFixture[str]):
    """Of one cell nothing; of two values of α what lies between them."""
    ls.refine("one", store=small)
    assert "nothing lies between the best cells" in capsys.readouterr().out
    ls.extend("one", store=small, sides="alpha-high", steps=1, quiet=True)
    study = ls.refine("one", store=small, panels="adamw")
    assert "refining adamw by 1 cells" in capsys.readouterr().out
    assert len(study.panels[0].grid.extra) == 1
    assert [panel.finished for panel in ls.status("one", store=small)] == [3]


def test_nothing_slow_is_imported_before_it_is_used():
    code = (
        "import sys, landscape_study as ls; dir(ls); "
        "slow = {'torch', 'pandas', 'matplotlib', 'sqlalchemy', 'optuna', 'scipy'}; "
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_a_report_imports_nothing_that_takes_long_for_little():
    code = (
        "import sys, landscape_study.landscapes.reporting.page; "
        "slow = {'torch', 'seaborn', 'sklearn', 'scipy.stats', 'scipy.optimize'}; "
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
