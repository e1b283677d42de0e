"""Commands that train or look after a study, given a file of results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import landscape_study as ls
from landscape_study.cli import main
from landscape_study.study.errors import UsageError
from landscape_study.study.store import Store

COMMANDS = ("run", "try", "status", "resume", "extend", "refine", "worker", "check")


@pytest.fixture
def said(tmp_path: Path, monkeypatch) -> Callable[..., str]:
    """What a command says that is refused, in a folder with files of results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDSCAPE_STORE", "own.db")
    (tmp_path / "runs").mkdir()
    for name in ("loss.csv", "loss.json", "runs/one.csv"):
        (tmp_path / name).write_text("lr,wd,loss\n")

    def call(*words: str) -> str:
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2
        return done.output

    return call


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["loss.csv", "./loss.json", "runs"])
def test_it_is_told_what_to_do_with_them(said, command: str, name: str):
    told = said(command, name)
    assert (
        f"{name} is no study, but results of training elsewhere: `landscape report {name}`" in told
    )
    assert f"`landscape import {name}` stores them as a study" in told
    assert f"ls.report(None, '{name}')" in told


@pytest.mark.parametrize("command", COMMANDS)
def test_beside_a_database_too(said, command: str):
    Store("own.db", create=True)
    assert "loss.csv is no study, but results of training elsewhere" in said(command, "loss.csv")


def test_what_is_not_there_is_an_unknown_study(said):
    Store("own.db", create=True)
    assert "unknown preset 'none.csv'" in said("run", "none.csv")
    assert "no study 'none.csv'" in said("status", "none.csv")
    assert "no study 'own.db'" in said("status", "own.db")


def imported(name: str) -> None:
    """Store a small study."""
    rows = [f"{a},{b},{a + b}" for a in (0.1, 0.2, 0.4) for b in (1, 2, 4)]
    Path("mine.csv").write_text("\n".join(["lr,wd,loss", *rows]))
    ls.import_files("own.db", "mine.csv", name=name)


def test_no_database_of_studies_is_merged_from_them_or_into_them(said):
    imported("some")
    for words in (("own.db", "loss.csv"), ("loss.csv", "own.db"), ("new.db", "runs")):
        assert "is no study, but results of training elsewhere" in said("merge", *words)
    assert not Path("new.db").exists()
    assert Path("loss.csv").read_text() == "lr,wd,loss\n"


CALLS: dict[str, Callable[[Path | str], object]] = {
    "run": ls.run,
    "resume": ls.resume,
    "worker": ls.worker,
    "status": ls.status,
    "check": ls.check,
    "extend": ls.extend,
    "refine": ls.refine,
    "merge": lambda path: ls.merge("new.db", path),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("stands", [False, True], ids=["no database", "a database"])
def test_calls_say_so_too(said, call: str, stands: bool):
    if stands:
        Store("own.db", create=True)
    for name in ("loss.csv", "./loss.json", "runs"):
        with pytest.raises(UsageError) as refused:
            CALLS[call](name)
        assert f"{name} is no study, but results of training elsewhere" in str(refused.value)
        assert f"ls.import_files(store, '{name}')" in str(refused.value)


def test_a_study_is_not_hidden_by_a_folder_of_its_name(said, monkeypatch):
    """What else is wrong with it is told as it is."""
    (Path("runs") / "more.csv").write_text("lr,wd,loss\n")
    imported("runs")
    with pytest.raises(UsageError, match="study 'runs' was imported"):
        ls.resume("runs")
    assert ls.check("runs") == []


def test_of_an_imported_study_no_time_is_shown(said):
    imported("some")
    done = CliRunner().invoke(main, ["status", "some"])
    assert "best" in done.output
    assert "time" not in done.output
    assert " s " not in done.output
