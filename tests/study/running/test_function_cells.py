"""What becomes of the cells of a function, in the process of one worker."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from landscape_study.study.errors import StudyMismatchError, TrainingError
from landscape_study.study.objectives.process import Limits
from landscape_study.study.store.checking import check
from tests.study.running.command_runs import FunctionCells

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch):
    """What is imported here is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("mine", None)


ENDS = {  # by α: what the function does, the state, and what is told
    1: ("return {'val_loss': 1, 'x': 2}", "finished", ""),
    2: ("return float('inf')", "finished", ""),
    3: ("raise ValueError('no data')", "failed", "it raised ValueError: no data (mine.py, line"),
    4: ("sys.exit(0)", "failed", "it called sys.exit(0)"),
    5: ("time.sleep(60)", "failed", "it took longer than its time, 1.2 s"),
    6: ("os.kill(os.getpid(), 9)", "failed", "it was killed 3 times, as for lack of memory"),
    7: ("return None", "failed", "it returned None: return 'val_loss'"),
    8: ("os._exit(0)", "failed", "it ended without returning"),
    9: ("return input()", "failed", "it raised EOFError"),
    10: ("x = bytearray(400 * 1024**2); time.sleep(60)", "failed", "it took more than its memory"),
    11: ("subprocess.Popen(['setsid', 'sleep', '60']); return 2", "finished", ""),
    12: ("print('x' * 10**7); return 3", "finished", ""),
    13: ("run.report(2, val_loss=1); run.report(1, acc=3); return 4", "finished", ""),
    14: ("return {'loss': 1}", "failed", "it returned no 'val_loss', but 'loss'"),
}


@pytest.mark.long
def test_how_a_cell_ends_and_the_others_go_on(tmp_path: Path):
    ways = "\n".join(f"if cell.alpha == {a}: {way}" for a, (way, _, _) in ENDS.items())
    cells = FunctionCells(tmp_path, f"print('began', int(cell.alpha))\n{ways}", [*ENDS])
    began = time.monotonic()
    cells(limits=Limits(1.2, 200 * 1024**2))
    assert time.monotonic() - began < 30
    assert cells.states == [state for _, state, _ in ENDS.values()]
    told = {failure.cell.alpha: failure.reason or "" for failure in cells.store.failures("own")}
    for alpha, reason in told.items():
        assert reason.startswith(ENDS[int(alpha)][2])
        assert f"began {int(alpha)} ⏎ " in reason or alpha in (3, 9)  # whose lines are more
    assert "return input() ⏎" in told[9]
    assert [row["alpha"] for row in cells.store.cells("own") if row["diverged_epoch"]] == [2]
    assert not any(finding.is_fault for finding in check(cells.store, ["own"]))
    curves = {curve["metric"]: curve["values"] for curve in cells.store.curves("own")}
    np.testing.assert_array_equal(curves["val_loss"], np.float32([np.nan, 1]))


def test_what_fails_everywhere_ends_the_run_and_is_mended(tmp_path: Path):
    cells = FunctionCells(tmp_path, "raise RuntimeError('no data')", [1, 2, 3, 4])
    with pytest.raises(TrainingError, match=r"it raised RuntimeError: no data \(mine.py, line"):
        cells()
    assert cells.states == ["failed", "failed", "failed", "open"]
    cells.write("return cell.alpha")
    with pytest.raises(StudyMismatchError, match=r"a worker on .*: the source of task '.*mine.py"):
        cells()
    assert cells.states == ["failed", "failed", "failed", "open"]


def test_what_cannot_be_loaded_by_a_worker_ends_the_run(tmp_path: Path):
    after = "if os.environ.get('LANDSCAPE_DEVICE'):\n    1 / 0"  # only in a slot
    cells = FunctionCells(tmp_path, "return 1.0", after=after)
    with pytest.raises(TrainingError, match=r"cannot be loaded in a process .*: .*by zero"):
        cells()


def test_a_run_that_was_killed_goes_on_from_its_folder(tmp_path: Path):
    body = """
    kept = run.folder / "kept"
    first = 1
    if kept.exists():
        first = int(kept.read_text()) + 1
    for epoch in range(first, 5):
        run.report(epoch, val_loss=epoch, first=first)
        kept.write_text(str(epoch))
        if epoch == 2 == 3 - first:
            os.kill(os.getpid(), 9)
    return 0.5
    """
    cells = FunctionCells(tmp_path, body)
    cells()
    assert cells.states == ["finished"]
    curves = {curve["metric"]: curve["values"] for curve in cells.store.curves("own")}
    np.testing.assert_array_equal(curves["val_loss"], np.float32([1, 2, 3, 4]))
    np.testing.assert_array_equal(curves["first"], np.float32([1, 1, 3, 3]))
    assert cells.folders == []
