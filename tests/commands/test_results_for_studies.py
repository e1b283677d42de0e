"""Commands that train or look after a study, given a file of results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from landscape_study.cli import main
from landscape_study.study.store import Store

COMMANDS = ("run", "status", "resume", "extend", "worker")


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
    assert f"{name} is no study, but results of training elsewhere: store them" in told
    assert "`landscape import`, or look at them with report, plot, compare, show or ex" in told


@pytest.mark.parametrize("command", COMMANDS)
def test_beside_a_database_too(said, command: str):
    Store("own.db", create=True)
    assert "loss.csv is no study, but results of training elsewhere" in said(command, "loss.csv")


def test_what_is_not_there_is_an_unknown_study(said):
    Store("own.db", create=True)
    assert "unknown preset 'none.csv'" in said("run", "none.csv")
    assert "no study 'none.csv'" in said("status", "none.csv")
    assert "no study 'own.db'" in said("status", "own.db")
