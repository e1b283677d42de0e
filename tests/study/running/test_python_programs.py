"""Studies from programs of the user's own: nothing is asked of how they are written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

# Without `if __name__ == "__main__"`, with functions of its own, and two runs after each other.
PROGRAM = """
import psutil
import landscape_study as ls

print("once", flush=True)
offset = 3.0
grid = {"alpha": [0.1, 0.2], "lambda_": [0.01], "seeds": 1, "quiet": True, "store": "own.db"}

def train(cell, run):
    return offset + cell.alpha

ls.run(train, metric="val_loss", **grid)
print(sorted(ls.cells("own.db", "train")["val_loss"]))
settings = ls.RunSettings(workers=2, engine="vmap", witness=False)
(host,) = psutil.Process().children()
for name in ("first", "second"):
    ls.run("digits-fig2", name=name, epochs=1, settings=settings, **grid)
    print(set(ls.cells("own.db", name)["state"]))
assert psutil.Process().children() == [host]  # it imported once
print(host.pid)
"""


def test_a_program_is_no_module_and_its_functions_are_its_own(tmp_path: Path):
    (tmp_path / "mine.py").write_text(PROGRAM)
    command = [sys.executable, "mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, host = done.stdout.splitlines()
    assert lines == ["once", "[3.1, 3.2]", "{'finished'}", "{'finished'}"]
    assert not Path(f"/proc/{host}").exists()
