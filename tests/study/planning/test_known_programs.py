"""What is compiled for a built-in task is remembered under all that decides what is traced."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from landscape_study.study.pairs.options import Options
from landscape_study.study.planning import known_programs
from landscape_study.study.planning.known_programs import keep, programs_name, recall
from landscape_study.study.records.identity import Identity
from landscape_study.study.spec.study import Study
from landscape_study.study.training.compiling import library
from tests.conftest import make_study

HERE = Identity("of digits")
GRADIENT = ("gradient", (torch.Size([8970]), torch.Size([50, 64]), torch.Size([])))
SCORES = ("scores", (torch.Size([8970]),))


def digits(**changes: object) -> Study:
    return make_study(task="digits", **changes)  # type: ignore[arg-type]


def test_what_is_kept_is_recalled_beside_what_was_known(own_programs: Path):
    name = programs_name(digits(), HERE)
    assert name is not None
    assert recall(name) == {}
    keep(name, {GRADIENT: "one"})
    keep(name, {SCORES: "two"})
    keep(name, {GRADIENT: "three"})
    assert recall(name) == {GRADIENT: "three", SCORES: "two"}


def test_grids_and_names_change_nothing():
    other = digits(name="other", alphas=(0.3,), epochs=9, pairs=("adam",), seeds=2)
    assert programs_name(other, HERE) == programs_name(digits(), HERE)


def test_other_data_or_options_are_not_known():
    found = {
        programs_name(digits(), HERE),
        programs_name(digits(), replace(HERE, fingerprint="of others")),
        programs_name(digits(options=Options(clip_norm=1.0)), HERE),
        programs_name(digits(options=Options(precision="float64")), HERE),
        programs_name(make_study(task="mnist1d"), HERE),
    }
    assert len(found) == 5


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (torch, "__version__", "0.0"),
        (known_programs, "circumstances", lambda: "another processor"),
        (known_programs, "_sources", lambda: "another loss"),
    ],
)
def test_other_surroundings_are_not_known(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, value: str | Callable[[], str]
):
    here = programs_name(digits(), HERE)
    monkeypatch.setattr(owner, name, value)
    assert programs_name(digits(), HERE) != here


def test_a_users_own_task_may_change_without_a_trace():
    assert programs_name(make_study(), HERE) is None


OWN_TASK = """
from pathlib import Path
import torch
from torch import nn
from landscape_study import task_from

DRAWN = torch.Generator().manual_seed(0)
DATA = torch.randn(40, 6, generator=DRAWN), torch.arange(40) % 3

class Bound(nn.Module):
    def forward(self, x):
        return x.clamp(max=float(Path("bound.txt").read_text()))

def network():
    return nn.Sequential(nn.Linear(6, 8), Bound(), nn.Linear(8, 3))

task = task_from(network, DATA, DATA, classes=3, batch_size=20, epochs=10)
"""

OWN_RUN = """
import sys
import landscape_study as ls

settings = ls.RunSettings(workers=1, device="cpu", engine=sys.argv[2], witness=False)
axes = {"alpha": [0.1, 0.2], "lambda_": [0, 0.01], "seeds": 1, "pairs": ["sgd"]}
where = {"store": "a.db", "quiet": True, "settings": settings}
asked = {"task": "own.py:task", "name": sys.argv[1], "metric": "test_loss"}
study = ls.run("digits-fig2", **asked, **axes, **where)
print(*ls.cells("a.db", study.name)["test_loss"])
"""


@pytest.mark.long
@pytest.mark.skipif(library.why_not() is not None, reason=str(library.why_not()))
def test_a_task_of_ones_own_is_traced_in_each_run(own_programs: Path, tmp_path: Path):
    """What it reads may change though its source does not, and show after many steps only."""
    (tmp_path / "own.py").write_text(OWN_TASK)

    def losses(name: str, engine: str, bound: float) -> list[float]:
        (tmp_path / "bound.txt").write_text(str(bound))
        command = [sys.executable, "-c", OWN_RUN, name, engine]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert (done.returncode, done.stderr) == (0, "")
        return [float(loss) for loss in done.stdout.split()]

    bounded = losses("slow", "referee", 0.5)
    assert losses("first", "compiled", 100.0) != pytest.approx(bounded, rel=1e-3)
    assert losses("again", "compiled", 0.5) == pytest.approx(bounded, rel=1e-3)


RUN = """
import sys
import landscape_study as ls
from landscape_study.study.planning.plan import make_plan

settings = ls.RunSettings(workers=1, device="cpu", engine="compiled", witness=False)
grid = {"pairs": ["adamw"], "epochs": 1, "alpha": [0.1], "lambda_": [0], "seeds": 1}
where = {"store": "a.db", "quiet": True, "settings": settings}
study = ls.run("digits-fig2", name=sys.argv[1], **where, **grid)
known = make_plan(study, settings).libraries()
traces = "landscape_study.study.training.compiling.cell_graph" in sys.modules
print(traces, "torch._dynamo" in sys.modules, sorted(name[:6] for name, _ in known))
"""


@pytest.mark.long
@pytest.mark.skipif(library.why_not() is not None, reason=str(library.why_not()))
def test_what_one_run_compiled_no_other_one_traces(own_programs: Path, tmp_path: Path):
    def run(name: str) -> str:
        command = [sys.executable, "-c", RUN, name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    programs = "['gradie', 'scores', 'scores', 'update']"
    assert run("first") == f"True False {programs}\n"  # PyTorch's compilers take a second
    assert run("second") == f"False False {programs}\n"
