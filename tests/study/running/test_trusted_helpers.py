"""Samplers and pruners of users: imported where a user names them, never since a database does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from landscape_study.study.errors import StudyMismatchError, UsageError
from landscape_study.study.planning.queued_plan import QueuedPlan
from landscape_study.study.planning.request import resumed_study
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.records.identity import Identity
from landscape_study.study.running.training_run import put
from landscape_study.study.spec.command_line import command_line
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from tests.conftest import make_study

IDENTITY = Identity("abc", "def")
TELLTALE = """
from pathlib import Path
from optuna.pruners import NopPruner as Pruner
from optuna.samplers import RandomSampler as Sampler
Path("imported").touch()
"""
BY_SAMPLER = {"design": {"sampler": "telltale:Sampler", "trials": 4}}
BY_PRUNER = {"prune": {"pruner": "telltale:Pruner"}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a module lies that tells when it is imported."""
    (tmp_path / "telltale.py").write_text(TELLTALE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    yield tmp_path
    sys.modules.pop("telltale", None)


def helped(own: dict[str, object]) -> Study:
    """A study of a built-in task, of which one panel has such a helper."""
    study = make_study(task="digits")
    plain, other = study.panels
    return study.change(panels=[plain, other.changed(own)])


@pytest.mark.parametrize("own", [BY_SAMPLER, BY_PRUNER])
def test_what_a_database_names_is_imported_only_where_it_is_trusted(
    store: Store, folder: Path, own: dict[str, object]
):
    study = helped(own)
    store.create(study, IDENTITY, lambda cells: [cells] if cells else [])
    (path,) = study.own_helpers
    with pytest.raises(UsageError, match=f"code of your own, {path}: .* add --trust-command"):
        resumed_study(store, "small", None)
    only_plain = study.change(panels=study.panels[:1])
    with pytest.raises(UsageError, match=f"code of your own, {path}: name these panels too"):
        put(QueuedPlan(only_plain, IDENTITY, 8), store, RunSettings())
    if "design" in own:
        other = helped({"design": {"sampler": "tpe", "trials": 16}})
        with pytest.raises(StudyMismatchError, match=r"design = \{ sampler = 'telltale:Sampler'"):
            put(QueuedPlan(other, IDENTITY, 8), store, RunSettings())
    assert not (folder / "imported").exists()
    assert "--trust-command" in command_line("resume", study, "here.db")
    assert resumed_study(store, "small", None, trust_command=True) == study
    put(QueuedPlan(study, IDENTITY, 8), store, RunSettings())
    assert (folder / "imported").exists()


@pytest.mark.parametrize("name", ["tpe", "optuna.samplers:RandomSampler", "verdict"])
def test_those_that_come_with_the_tool_need_no_trust(store: Store, name: str):
    axes = {"alphas": (0.1, 0.2, 0.3), "lambdas": (0.001, 0.002, 0.003)}
    study = make_study(task="digits", **axes)
    study = study.change_panels(design={"sampler": name, "trials": 16}, prune="median")
    store.create(study, IDENTITY, lambda cells: [cells] if cells else [])
    assert resumed_study(store, "small", None) == study
    assert "--trust-command" not in command_line("resume", study, "here.db")
