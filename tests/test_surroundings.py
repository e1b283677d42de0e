"""The command line wherever it is run: terminals, folders, homes, readers that go away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from landscape_study.study.store import Store
from landscape_study.study.tasks import OWN_NAME
from tests.conftest import make_study
from tests.study.store.test_store import train_all

pytestmark = pytest.mark.long

LANDSCAPE = [sys.executable, "-m", "landscape_study"]
ROOT = Path(__file__).parent.parent
PARTS = ("study", "landscapes", "commands", "cli", "src")  # of the tool

TASK = """
import torch
from torch import nn
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.task import Task

def data():
    inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    targets = (inputs[:, 0] > 0).long()
    return Data(inputs[:32], targets[:32], inputs[32:], targets[32:])

task = Task("mine", lambda: nn.Linear(4, 2), data, 2, 16, 1)
"""
STUDY = """
name = "mine"
task = "my_task:task"
[[panel]]
pair = "sgd"
alpha = [0.1, 0.3]
lambda = [0, 0.01]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a user works: a task, a study file, and a database with a finished study."""
    (tmp_path / "my_task.py").write_text(TASK)
    (tmp_path / "study.toml").write_text(STUDY)
    store = Store(str(tmp_path / "known.db"), create=True)
    train_all(store, make_study())
    store.close()
    return tmp_path


def landscape(
    folder: Path, *arguments: str, **environment: str | None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder; a variable that is None is not set."""
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment
    return subprocess.run(
        [*LANDSCAPE, *arguments],
        cwd=folder,
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
    )


def trains(folder: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Check that a study is trained and drawn."""
    done = landscape(folder, "run", "study.toml", "--store", "r.db", **environment)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    assert (folder / "mine.png").exists()
    return done


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii", "MPLBACKEND": "nonsense", "HOME": "/dev/null"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": None},
    ],
    ids=["odd", "bare"],
)
def test_a_study_is_trained_and_drawn(folder: Path, environment: dict[str, str | None]):
    """Beside files of the user's own that are called as parts of the tool."""
    for name in PARTS:
        (folder / f"{name}.py").write_text("mine = 1\n")
    done = trains(folder, XDG_CACHE_HOME="/dev/null/x", **environment)
    assert done.stderr.count("warning: no cache: ") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("command", ["status", "pairs", "list"])
def test_what_a_terminal_cannot_write_it_shows_in_another_way(
    folder: Path, command: str, encoding: str
):
    store = () if command == "pairs" else ("--store", "known.db")
    done = landscape(folder, command, *store, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["study", "cli"])
def test_a_task_may_lie_in_a_file_of_any_name(folder: Path, name: str):
    (folder / f"{name}.py").write_text(TASK)
    done = landscape(folder, "run", "study.toml", "--task", f"{name}:task", "--store", "r.db")
    assert done.returncode == 0, done.stderr


def test_a_task_in_a_file_of_the_tools_name_is_refused(folder: Path):
    (folder / f"{OWN_NAME}.py").write_text(TASK)
    run = ("run", "study.toml", "--task", f"{OWN_NAME}:task", "--store", "r.db")
    done = landscape(folder, *run, PYTHONSAFEPATH="1")  # as the installed command has it
    assert done.returncode == 2
    assert f"the name '{OWN_NAME}' is this tool's own" in done.stderr
    assert f"rename {OWN_NAME}.py" in done.stderr
    assert not (folder / "r.db").exists()


ARGUMENTS = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", required=True)
parser.parse_args()
"""


@pytest.mark.parametrize(
    ("code", "ended"),
    [(ARGUMENTS, "SystemExit: 2"), ("import sys; sys.exit(3)", "SystemExit: 3")],
    ids=["argparse", "exit"],
)
def test_a_task_that_ends_the_program_is_told(folder: Path, code: str, ended: str):
    (folder / "my_task.py").write_text(TASK + code)
    done = landscape(folder, "run", "study.toml", "--store", "r.db")
    assert done.returncode == 2
    assert f"importing 'my_task' ended the program ({ended})" in done.stderr
    assert "if __name__ == '__main__'" in done.stderr
    assert "landscape: error" not in done.stderr


def test_a_task_does_not_read_this_tools_arguments(folder: Path):
    """`parse_known_args` would take them for its own, and workers have none."""
    reads = "import sys; assert len(sys.argv) == 1, sys.argv\n"
    (folder / "my_task.py").write_text(reads + TASK)
    done = landscape(folder, "run", "study.toml", "--store", "r.db", "--dry-run")
    assert done.returncode == 0, done.stderr


def test_a_task_that_goes_elsewhere_does_not_take_the_database_along(folder: Path):
    (folder / "elsewhere").mkdir()
    (folder / "my_task.py").write_text(f"import os\nos.chdir('elsewhere')\n{TASK}")
    done = landscape(folder, "run", "study.toml", "--store", "r.db", "--no-plot")
    assert done.returncode == 0, done.stderr
    assert (folder / "r.db").exists()
    assert not list((folder / "elsewhere").iterdir())


@pytest.mark.parametrize("function", ["data", "network", "loss"])
def test_user_code_that_ends_the_program_is_told(folder: Path, function: str):
    leaves = "import sys\ndef leave(*_): sys.exit(0)\nimport dataclasses\n"
    (folder / "my_task.py").write_text(
        f"{TASK}{leaves}task = dataclasses.replace(task, {function}=leave)\n"
    )
    done = landscape(folder, "run", "study.toml", "--store", "r.db")
    assert done.returncode == 2
    assert "failed: SystemExit: 0" in done.stderr


def test_a_reader_that_goes_away_is_no_error(folder: Path):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*LANDSCAPE, "list", "--store", "known.db"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has such a device")
def test_a_full_disk_behind_the_output_is_told(folder: Path):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [*LANDSCAPE, "list", "--store", "known.db"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert "No space left on device: free some space" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_closed_output_is_no_error(folder: Path, closed: str):
    command = f"{sys.executable} -m landscape_study list --store known.db {closed}"
    done = subprocess.run(
        command, shell=True, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}
    )
    assert done.returncode == 0


@pytest.mark.parametrize("kind", ["study", "database"])
def test_a_pipe_is_not_waited_for(folder: Path, kind: str):
    os.mkfifo(folder / "pipe.toml")
    given = {"study": ("run", "pipe.toml"), "database": ("list", "--store", "pipe.toml")}[kind]
    done = landscape(folder, *given)
    assert done.returncode in (1, 2)
    assert "no regular file" in done.stderr
