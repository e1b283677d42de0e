"""Studies of data that stream, from the plan to the witness, in this process and in workers."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from examples.streaming import Waves, shards, waves, waves_in_shards

from landscape_study import Data, Streams, Study
from landscape_study.study.errors import DataError, StudyMismatchError, UsageError
from landscape_study.study.planning import plan as plan_module
from landscape_study.study.planning.cost import Pace, Setting, cell_bytes, reading_seconds
from landscape_study.study.planning.fitting import fitting_data
from landscape_study.study.planning.layout import Layout
from landscape_study.study.planning.plan import Plan, estimate_seconds, make_plan
from landscape_study.study.planning.probing import Choice
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.provenance import Worker, provenance
from landscape_study.study.running import task_chunks
from landscape_study.study.running.job import TaskJob
from landscape_study.study.running.training_run import train
from landscape_study.study.running.trial_cell import try_cell
from landscape_study.study.running.worker import work
from landscape_study.study.store import Store
from landscape_study.study.tasks.task import load_data
from tests.conftest import make_study
from tests.study.runs import planned, results

WAVES, SHARDS = "examples.streaming:waves", "examples.streaming:waves_in_shards"

HERE = RunSettings(device="cpu", workers=1)


def job_of(plan: Plan, store: Store) -> TaskJob:
    """Work for this process."""
    return TaskJob(
        store=store.url,
        study=plan.study,
        identity=plan.identity,
        run_id=store.start_run(plan.study.name, provenance(["cpu"], plan.engine)),
        engine=plan.engine,
        width=plan.width,
    )


def study_of(task: str, **changes: Any) -> Study:
    """Two cells of one pair in a few short epochs."""
    options = {"pairs": ("adamw",), "lambdas": (0.0,), "epochs": 2} | changes
    return make_study(task=task, **options)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("task", [pytest.param(WAVES, marks=pytest.mark.long), SHARDS])
def test_a_study_of_a_stream_is_tried_planned_trained_and_witnessed(task: str, store: Store):
    """By what the trial finds fastest, in a process of its own that makes the data anew."""
    told: list[str] = []
    study = study_of(task, alphas=(0.01, 0.03), epochs=3)
    plan = make_plan(study, HERE, store=store.url, tell=told.append)
    assert plan.engine in ("vmap", "captured")
    assert 0 < plan.cell_bytes < 1e7
    assert estimate_seconds(plan) > 0
    assert ("train: 600 examples in 30 batches" in "".join(told)) == (task == SHARDS)
    train(plan, store, HERE)
    errors = [value for value, _ in results(store).values()]
    assert len(errors) == 2
    assert min(errors) < 50  # percent, of which chance is two thirds
    (witness,) = store.witnesses("small")
    assert (witness.agrees, witness.why) == (True, "")


@pytest.mark.long
def test_one_cell_of_a_stream_is_tried(store: Store):
    plan = make_plan(study_of(WAVES), RunSettings(device="cpu", workers=1, engine="vmap"))
    panel = plan.study.panels[0]
    found = try_cell(plan, panel, panel.cells()[0], HERE)
    assert found.why is None
    assert found.points == 2


def test_a_loader_is_asked_for_its_own_batches_only():
    study = study_of(SHARDS, batch_size=30)
    message = (
        "study 'small', panel 'adamw': batch size 30, but the loader of task "
        "'examples.streaming:waves_in_shards' gives batches of 20: ask for 20, in the task"
    )
    with pytest.raises(UsageError, match=message):
        fitting_data(study, waves_in_shards)
    own = study.panels[0].model_copy(update={"batch_size": 30})
    with pytest.raises(UsageError, match="batch size 30, but the loader"):
        fitting_data(study_of(SHARDS).change(panels=[own]), waves_in_shards)
    assert fitting_data(study_of(WAVES, batch_size=30), waves).train.own_batch is None


def test_tensors_and_a_data_set_of_them_cost_the_same(store: Store):
    """Planned by memory, as the same examples in memory are."""
    few = Waves(40)
    inputs = torch.stack([wave for wave, _ in map(few.__getitem__, range(40))])
    targets = torch.arange(40) % 3
    held = dataclasses.replace(waves, data=lambda: Data(inputs, targets, inputs, targets))
    streamed = dataclasses.replace(waves, data=lambda: (few, few))
    costs = []
    for task in (held, streamed):
        setting = Setting(study_of(WAVES), task, load_data(task), "cpu", 1)
        costs.append((cell_bytes(setting), setting.batch_size, Pace(1.0, 0.1).epoch(setting)))
    assert costs[0] == costs[1]


class SlowWaves(Waves):
    """As from a slow disk."""

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        time.sleep(0.002)
        return super().__getitem__(i)


def slowly(seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for batch in shards(seed):
        time.sleep(0.02)
        yield batch


@pytest.mark.parametrize("train", [SlowWaves(600), slowly], ids=["data set", "loader"])
def test_what_reading_takes_counts_once_for_a_chunk(train: Any, monkeypatch: pytest.MonkeyPatch):
    task = dataclasses.replace(waves, data=lambda: Streams(train, Waves(200)))
    data = load_data(task)
    setting = Setting(study_of(SHARDS), task, data, "cpu", 1)
    assert 600 * 0.001 < reading_seconds(setting) < 600 * 0.01
    held = Data(*data.train.sample(10), *data.test.sample(10))
    assert reading_seconds(dataclasses.replace(setting, data=held)) == 0
    monkeypatch.setattr(plan_module.probing, "pace", lambda *_: Pace(0.0, 0.0))
    layout = Layout(("cpu",), 1, 2)
    plan = Plan(
        *(setting.study, task, data, Identity("")),
        *(layout, Choice("vmap", 2), 0.0, 0, 0),
    )
    assert estimate_seconds(plan) == pytest.approx(2 * reading_seconds(setting))
    alone = dataclasses.replace(plan, choice=Choice("referee", 2))
    assert estimate_seconds(alone) == pytest.approx(4 * reading_seconds(setting))


def failing(seed: int):
    """As `shards`, until a disk fails; it does so in training."""
    for i, batch in enumerate(shards(seed)):
        if i == 20 and seed:
            raise OSError("the disk is gone")
        yield batch


def test_what_cannot_be_read_ends_the_run_and_leaves_its_cells_open(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    """No cell is to blame; whoever resumes need not wait for the lease to end."""
    broken = dataclasses.replace(waves, data=lambda: Streams(failing, Waves(200, first=600)))
    plan = planned(store, study_of(SHARDS), engine="vmap")
    monkeypatch.setattr(task_chunks, "load_task", lambda name: broken)
    job = job_of(plan, store)
    message = "task 'waves': data.*: train, epoch 1, batch 21: OSError: the disk is gone"
    with pytest.raises(DataError, match=message):
        work(job, "cpu")
    assert {row["state"] for row in store.cells("small")} == {"open"}
    assert store.claim("small", Worker("cpu"), job.run_id) is not None


def test_a_worker_whose_loader_gives_others_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    others = dataclasses.replace(waves, data=lambda: (Waves(600, first=7), Waves(200, first=600)))
    plan = planned(store, study_of(WAVES), engine="vmap")
    monkeypatch.setattr(task_chunks, "load_task", lambda name: others)
    with pytest.raises(StudyMismatchError, match="other data or another network"):
        work(job_of(plan, store), "cpu")
