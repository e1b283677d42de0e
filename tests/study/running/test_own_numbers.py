"""Panels with a batch size and options of their own, trained by one worker in one study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples.spirals import spirals

from landscape_study.study.planning.plan import make_plan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.running.job import TaskJob
from landscape_study.study.running.worker import work
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.tasks.task import identify
from tests.conftest import SPIRALS

OWN = {
    "plain": {},
    "batch": {"batch_size": 64},
    "clipped": {"options": {"clip_norm": 0.1}},
    "parts": {"batch_size": 30, "options": {"accumulate": 3, "beta2": 0.9}},
}

ALL = [{"name": name} | own for name, own in OWN.items()]


def study(panels: list[dict[str, Any]], **more: Any) -> Study:
    table = {
        "name": "own",
        "task": SPIRALS,
        "epochs": 2,
        "alpha": [0.05, 0.2],
        "lambda": [0.01],
        "batch_size": 40,
        "options": {"precision": "float64"},
        "panel": [{"pair": "adamw"} | panel for panel in panels],
    }
    return Study.from_dict(table | more, "the test")


def trained(path: Path, asked: Study, engine: str) -> dict[str, np.ndarray]:
    """Training losses by panel, [cells, epochs]."""
    store = Store(str(path), create=True)
    identity = identify(SPIRALS, spirals, spirals.data())
    store.create(asked, identity, lambda cells: [cells])
    job = TaskJob(
        store=store.url,
        study=asked,
        identity=identity,
        run_id=store.start_run("own", {}),
        engine=engine,
        width=2,
    )
    work(job, "cpu")
    rows = [row for row in store.curves("own") if row["metric"] == "train_loss"]
    return {
        panel.name: np.array([row["values"] for row in rows if row["panel"] == panel.name])
        for panel in asked.panels
    }


@pytest.mark.long
@pytest.mark.parametrize("engine", ["vmap", "referee", "captured"])
def test_each_panel_is_trained_as_if_its_numbers_were_the_studys(tmp_path, engine):
    found = trained(tmp_path / "all.db", study(ALL), engine)
    for name, own in OWN.items():
        options = {"precision": "float64"} | own.get("options", {})
        alone = study([{"name": name}], **own | {"options": options})
        (wanted,) = trained(tmp_path / f"{name}.db", alone, "vmap").values()
        np.testing.assert_allclose(found[name], wanted, rtol=1e-6)
    assert len({one.tobytes() for one in found.values()}) == len(OWN)


def test_the_plan_has_room_for_the_largest_batch():
    plan = make_plan(study(ALL), RunSettings(device="cpu", engine="vmap"))
    assert (plan.setting.batch_size, plan.setting.at_once) == (64, 64)
