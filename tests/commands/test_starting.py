"""Commands to begin with: what `new` writes runs, and `try` says what is wrong with one cell."""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from landscape_study.cli import main
from landscape_study.commands.running import run
from landscape_study.commands.starting import try_
from landscape_study.study.planning.request import Changes
from landscape_study.study.running.trial_cell import only
from landscape_study.study.spec.study import Cell, Study
from tests.conftest import make_study

pytestmark = pytest.mark.slow

GRID = ["--alpha", "[0.1, 0.2]", "--lambda", "[0, 0.01]"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDSCAPE_STORE", str(tmp_path / "own.db"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    return tmp_path


def landscape(*words: str, expected: int = 0) -> Result:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == expected, done.output
    return done


def told_next(output: str) -> list[str]:
    """The command that `new` told for one cell."""
    import shlex

    (line,) = (line for line in output.splitlines() if line.startswith("one cell of it:"))
    return shlex.split(line.partition(":")[2])[1:]


@pytest.mark.parametrize(
    ("kind", "file", "metric"),
    [
        ("command", "my-study.toml", "val_loss: 0.4"),
        ("function", "own_function.py", "val_loss: "),
        pytest.param("task", "own_task.py", "test_error: ", marks=pytest.mark.long),
    ],
)
def test_what_is_written_runs_and_says_what_came_of_it(
    folder: Path, kind: str, file: str, metric: str
):
    done = landscape("new", kind, file)
    tried = landscape(*told_next(done.output), "--device", "cpu", "--workers", "2")
    assert f"\n{metric}" in tried.output
    assert "curve: 10 points; took" in tried.output
    assert not (folder / "own.db").exists()
    if kind != "function":  # of one cell nobody knows how many there will be
        assert "the whole study: " in tried.output
    if kind == "command":
        assert "84 cells on 2 workers" in tried.output
        assert Study.from_file(folder / file).name == "my-study"


def test_what_is_there_is_replaced_only_when_asked_to(folder: Path):
    (folder / "mine.toml").write_text("mine")
    refused = landscape("new", "command", "mine.toml", expected=2)
    assert "mine.toml is there already" in refused.output
    assert (folder / "mine.toml").read_text() == "mine"
    landscape("new", "command", "mine.toml", "--force")
    assert (folder / "mine.toml").read_text() != "mine"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("mine.py", "mine.py: a command is a .toml file"),
        ("no/such/mine.toml", "no/such/mine.toml cannot be written: No such file"),
    ],
)
def test_where_nothing_can_be_written(file: str, message: str):
    assert message in landscape("new", "command", file, expected=2).output


SCRIPT = """
import json, sys
if float(sys.argv[1]) > 1:
    sys.exit("too fast")
print(json.dumps({"val_los": 1, "acc": 0.5}))
print(json.dumps({"loss": float(sys.argv[2]), "acc": 0.75}))
"""


def tried(*options: str, script: str = "train.py", expected: int = 0) -> str:
    Path("train.py").write_text(SCRIPT)
    words = [sys.executable, script, "{alpha}", "{lambda}"]
    return landscape("try", *options, "--", *words, expected=expected).output


def test_the_cell_in_the_middle_is_tried_or_the_one_that_is_named():
    assert "α = 0.2, λ = 0.01\nloss: 0.01\n" in tried(*GRID, "--metric", "loss")
    named = tried("--alpha", "0.5", "--lambda", "0.3", "--metric", "loss")
    assert "α = 0.5, λ = 0.3\nloss: 0.3\nother numbers: acc 0.75\n" in named
    assert "one value and no curve: print such a line after each epoch" in named
    assert "the whole study" not in named


def test_memory_is_that_of_the_cell_and_not_of_what_started_it(folder: Path):
    """What is forked begins with the pages of its parent, and the kernel remembers that."""
    words = ["sh", "-c", "sleep 0.1; echo {alpha} {lambda} > {result}; echo 3 > {result}"]
    output = landscape("try", *GRID, "--metric", "loss", "--", *words).output
    said = re.search(r"curve: 1 point; took 0\.\d+ s, (\S+) MB\n", output)
    assert said
    assert float(said[1]) < 20


def test_a_metric_that_is_misspelt():
    output = tried(*GRID, "--metric", "val_loss", expected=1)
    assert "failed: it printed no 'val_loss', but 'val_los'\n" in output


def test_a_file_that_is_misspelt():
    output = tried(*GRID, "--metric", "loss", script="trian.py", expected=1)
    assert "failed: it ended with exit code 2" in output
    assert "mind: there is no file trian.py here: did you mean train.py?" in output


def test_a_cell_that_fails_shows_its_log():
    output = tried("--alpha", "2", "--lambda", "1", "--metric", "loss", expected=1)
    assert "failed: it ended with exit code 1\n    too fast\n" in output


def test_what_the_command_does_not_hear_of_is_told():
    """Options are those of `run`, so that one word of its line is changed."""
    more = ["--pair", "mine", "--pair", "other", "--seeds", "2", "--maximize", "--name", "n"]
    output = tried(*GRID, *more, "--metric", "loss")
    assert "mine, seed 0, α = 0.2" in output
    assert "no {seed}: unless it reads LANDSCAPE_SEED, all seeds give the same" in output
    assert "no {pair}: unless it reads LANDSCAPE_PAIR, all panels of the same grid give" in output
    assert "the whole study: 16 cells" in output


def test_try_takes_what_says_what_run_trains():
    def named(command: click.Command) -> set[str]:
        return {option.name or "" for option in command.params}

    design = {"sampler", "trials", "until"}  # options of their own for one field
    changed = {field.name for field in fields(Changes)} - {"design"} | design
    assert changed <= named(try_) & named(run)


REFINED = """
name = "refined"
command = ["sh", "-c", "echo '{\\"loss\\": '$0'}'", "{alpha}", "{lambda}"]
metric = "loss"
alpha = [0.1, 0.2, 0.4]
lambda = [0, 0.01]

[[panel]]
pair = "mine"
extra_cells = [[0.3, 0.01]]
prune = "median"
"""


def test_try_takes_one_cell_of_a_refined_study(folder: Path):
    (folder / "refined.toml").write_text(REFINED)
    output = landscape("try", "refined.toml", "--alpha", "0.2", "--lambda", "0.01").output
    assert "loss: 0.2" in output
    assert "the whole study: 7 cells" in output


def test_one_cell_is_trained_whatever_the_design(folder: Path):
    study = make_study(lambdas=(0.0, 0.001, 0.01))
    design = {"sampler": "tpe", "trials": 400_000}
    extra = {"extra_cells": [[0.07, 0.005]]}
    study = study.change_panels(design=design, prune="halving", **extra)
    alone = only(study, study.panels[1], Cell(0.05, 0.001))
    assert [panel.name for panel in alone.panels] == ["adamw"]
    assert alone.panels[0].cells() == (Cell(0.05, 0.001),)
    assert alone.panels[0].prune is None


def test_a_placeholder_that_is_misspelt():
    done = landscape("try", *GRID, "--metric", "loss", "--", "a", "{alhpa}", expected=2)
    assert "{alhpa} is no placeholder: did you mean {alpha}?" in done.output
