"""Whoever trains proves what it trains: each worker, not only who created the study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from examples.spirals import spirals

from landscape_study.study.errors import StudyMismatchError
from landscape_study.study.records.identity import Identity, require_same
from landscape_study.study.records.provenance import provenance
from landscape_study.study.running import task_chunks
from landscape_study.study.running.worker import work
from landscape_study.study.spec.command_line import retry_line
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.task import TaskProtocol
from tests.study.running.test_worker import make_job

ONE = Identity("data", "source")
GRID = {"name": "small", "alpha": [0.1], "lambda": [0.0], "metric": "loss"}
OWN = Study.from_dict(GRID | {"task": "a:b", "function": True}, "here")
COMMAND = Study.from_dict(GRID | {"command": ["a", "{alpha}", "{lambda}"]}, "here")
HANDED = Study.from_dict(GRID | {"task": "__main__:train", "function": True}, "here")


def test_what_is_the_same_passes():
    require_same(ONE, ONE, OWN, "here.db")
    require_same(Identity("data"), ONE, OWN, "here.db")  # of an older database
    require_same(Identity("data"), Identity("data"), OWN, "here.db")


def test_other_data_are_told_with_what_may_be_the_reason():
    with pytest.raises(StudyMismatchError) as caught:
        require_same(ONE, replace(ONE, fingerprint="other"), OWN, "here.db")
    told = str(caught.value)
    assert told.startswith("here.db: task 'a:b' has other data or another network than when study")
    assert "its data() differs from call to call" in told


@pytest.mark.parametrize(
    ("study", "what", "remedy"),
    [
        (OWN, "task 'a:b'", "landscape resume small --accept-source --task a:b --store here.db"),
        (
            COMMAND,
            "its command",
            "landscape resume small --accept-source --trust-command --store here.db",
        ),
        (HANDED, "task '__main__:train'", "settings=RunSettings(accept_source=True)"),
    ],
)
def test_another_source_is_told_with_the_whole_remedy(study: Study, what: str, remedy: str):
    with pytest.raises(StudyMismatchError) as caught:
        require_same(ONE, replace(ONE, source="other"), study, "here.db", "host")
    told = str(caught.value)
    assert told.startswith(f"here.db: a worker on host: the source of {what} is not what it was")
    assert remedy in told


def test_what_is_mended_is_tried_again_by_one_command():
    assert retry_line(COMMAND, "here.db") == (
        "landscape resume small --retry-failed --accept-source --trust-command --store here.db"
    )
    assert retry_line(HANDED, "here.db").startswith("resume('small', task=…, retry_failed=True, ")
    builtin = Study.from_dict(GRID | {"task": "digits", "panel": [{"pair": "adam"}]}, "here")
    again = "landscape resume small --retry-failed --store here.db"
    assert retry_line(builtin, "here.db") == again


def together(cells: Sequence[Cell]) -> list[Sequence[Cell]]:
    """All in one chunk, if there are any."""
    return [cells] if cells else []


def other_data(task: TaskProtocol) -> Data:
    data = spirals.data()
    return replace(data, train_targets=data.train_targets.flip(0))


def other_normalization(task: TaskProtocol) -> TaskProtocol:
    return replace(spirals, normalize=lambda inputs: 2 * inputs)


def other_network(task: TaskProtocol) -> TaskProtocol:
    return replace(spirals, network=lambda: torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("function", "changed"),
    [
        ("load_data", other_data),
        ("load_task", other_normalization),
        ("load_task", other_network),
    ],
)
def test_a_worker_that_holds_something_else_claims_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, function: str, changed: Callable[..., object]
):
    job = make_job("vmap", 8)
    store.create(job.study, job.identity, lambda cells: [cells])
    run_id = store.start_run("small", provenance(["cpu"], "vmap"))
    monkeypatch.setattr(task_chunks, function, changed)
    with pytest.raises(StudyMismatchError, match=r"a worker on .* other data or another network"):
        work(make_job("vmap", 8, store.url, run_id), "cpu")
    assert {(row["state"], row["attempts"]) for row in store.cells("small")} == {("open", 0)}


def test_a_study_is_not_grown_with_another_identity_unless_that_is_accepted(store: Store):
    job = make_job("vmap", 8)
    named = replace(job.identity, source="first")
    store.create(job.study, named, together)
    grown, changed = job.study.change(seeds=2), replace(named, source="second")
    with pytest.raises(StudyMismatchError, match="--accept-source"):
        store.create(grown, changed, together)
    assert len(store.study("small").seeds) == 1
    store.create(grown, changed, together, accept_source=True)
    assert store.identity("small") == changed
    other = replace(changed, fingerprint="other")
    with pytest.raises(StudyMismatchError, match="other data or another network"):
        store.create(grown, other, together, accept_source=True)
