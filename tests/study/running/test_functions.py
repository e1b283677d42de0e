"""Studies of functions of the user's own, from the command line or Python to the database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner, Result

import landscape_study as ls
from landscape_study.cli import main
from landscape_study.study.errors import UsageError
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check

EXAMPLE = Path(__file__).parents[3] / "examples" / "classifier.py"
TOP = "import time\nfrom landscape_study import objective\n\n@objective\n"
GRID = ["--alpha", "[0.1, 0.2]", "--lambda", "[0, 0.01]", "--metric", "val_loss"]
QUICK = ["--no-live", "--no-plot", "--workers", "2"]

pytestmark = pytest.mark.long


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty working directory, with its own database; modules from there are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDSCAPE_STORE", str(tmp_path / "own.db"))
    monkeypatch.setattr("landscape_study.study.running.job.POLL", 0.05)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for module in set(sys.modules) - known:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module]


def write(folder: Path, body: str) -> str:
    """Write a file with an objective; its name for --task."""
    (folder / "mine.py").write_text(f"{TOP}def train(cell, run):\n    {body}\n")
    sys.modules.pop("mine", None)
    return "mine.py:train"


def run(*words: str, name: str = "run", expected: int = 0) -> Result:
    done = CliRunner().invoke(main, [name, *words])
    assert done.exit_code == expected, done.output
    return done


def test_a_function_is_a_study(folder: Path):
    (folder / "classifier.py").write_text(EXAMPLE.read_text().replace("EPOCHS = 20", "EPOCHS = 3"))
    words = ["--task", "classifier.py:train", *GRID, "--pair", "plain", "--pair", "averaged"]
    done = run(*words, "--queue")
    assert "study train: 8 cells in the database, 8 new" in done.output
    done = run("train", "--task", "classifier.py:train", name="worker")
    store = Store(str(folder / "own.db"))
    cells = ls.cells(store, "train")
    assert set(cells["state"]) == {"finished"}
    assert set(cells["pair"]) == {"plain", "averaged"}
    curves = ls.curves(store, "train")
    assert curves["epoch"].max() == 3
    last = curves[curves["epoch"] == 3]
    np.testing.assert_allclose(np.sort(last["val_loss"]), np.sort(cells["val_loss"]), rtol=1e-6)
    assert last["accuracy"].between(0.5, 1).all()
    assert list(check(store, ["train"])) == []
    assert not (folder / "own.db.runs" / "train").exists()
    assert f"{len(cells)} cells, {len(cells)} of them finished" in run(*words, *QUICK).output
    run("train", "--format", "md", name="report")
    text = (folder / "train.md").read_text()
    assert "Function classifier.py:train" in text
    assert "Your own training, pair plain" in text
    store.close()


def test_a_function_of_python_is_a_study(folder: Path):
    offset = 3.0
    grid: dict[str, Any] = {"alpha": np.array([1.0, 2.0]), "lambda_": [0, 0.5], "quiet": True}

    def train(cell, run):
        run.report(1, val_loss=9)
        run.report(2, val_loss=8)
        return offset + cell.alpha + cell.lambda_

    study = ls.run(train, metric="val_loss", **grid)
    assert (study.name, study.function) == ("train", True)
    cells = ls.cells(folder / "own.db", "train")
    assert cells["val_loss"].tolist() == (3 + cells["alpha"] + cells["lambda"]).tolist()
    with pytest.raises(UsageError, match="hand it over again, as in landscape"):
        ls.resume("train", quiet=True)
    ls.resume("train", task=train, quiet=True)
    grown = ls.extend("train", task=train, sides="alpha-high", steps=1, quiet=True)
    assert len(grown.panels[0].grid.alpha.values) == 3
    offset = 4.0
    with pytest.raises(UsageError, match=r"say so: settings=RunSettings\(accept_source=True\)"):
        ls.run(train, metric="val_loss", seeds=2, **grid)


GOES_ON = """
    kept = run.folder / "kept"
    first = int(kept.read_text()) + 1 if kept.exists() else 1
    for epoch in range(first, 61):
        time.sleep(0.05)
        run.report(epoch, val_loss=1 / epoch, first=first)
        if run.should_stop():
            kept.write_text(str(epoch))
            return -1.0
    return 1 / epoch
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_or_killed_it_leaves_nothing_and_goes_on(folder: Path, number: signal.Signals):
    task = write(folder, GOES_ON.strip())
    words = ["run", "--task", task, "--alpha", "[1]", "--lambda", "[0.1]", "--metric", "val_loss"]
    command = [sys.executable, "-m", "landscape_study", *words, *QUICK]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    reports, deadline = (
        folder / "own.db.runs" / "train" / "chunk-1" / "reports.jsonl",
        time.monotonic() + 60,
    )
    while not reports.exists() or reports.read_text().count("report") < 5:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert processes_of(folder)
    os.kill(process.pid, number)
    kept = reports.parent / "kept"
    if number == signal.SIGTERM:
        assert process.wait(30) == 128 + number
        stopped = int(kept.read_text())
    else:
        process.wait()
        stopped = 0
        while processes_of(folder):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        kept.unlink(missing_ok=True)  # whether it was still asked to end is a race
    assert not processes_of(folder)
    run("train", "--task", task, *QUICK, name="resume")
    cells = ls.cells(str(folder / "own.db"), "train")
    assert cells["val_loss"].tolist() == [1 / 60]
    curves = ls.curves(str(folder / "own.db"), "train")
    assert curves["epoch"].tolist() == [*range(1, 61)]
    assert curves["first"].tolist() == [1] * stopped + [stopped + 1] * (60 - stopped)
    assert "all is well" in run("train", name="check").output


def processes_of(folder: Path) -> list[psutil.Process]:
    """Those that hold the function, or run it: the folder is on their import path."""
    found = psutil.process_iter(["cmdline", "status"])
    return [
        process
        for process in found
        if str(folder) in " ".join(process.info["cmdline"] or [])
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
