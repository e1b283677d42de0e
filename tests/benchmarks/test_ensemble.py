"""The hand-written ensemble trains what the loop trains."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path

import pytest
import torch
from benchmarks import ensemble, loop
from benchmarks.networks import NETWORKS
from benchmarks.row_trials import read_trials

from landscape_study.study.spec.study import Axis, Grid
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.task import Task

ALPHAS = {"sgd": (0.01, 0.1), "sgdw": (0.01, 0.1), "adam": (0.001, 0.01), "adamw": (0.001, 0.01)}


def in_float64(task: Task) -> Task:
    """The task in double precision."""
    data = task.data().to("cpu", torch.float64)
    return dataclasses.replace(task, network=lambda: task.network().double(), data=lambda: data)


@pytest.mark.slow
@pytest.mark.arithmetic
@pytest.mark.parametrize("pair", ALPHAS)
def test_it_equals_the_loop_cell_by_cell(pair: str):
    """With a larger ε: batch norm cancels the biases before it, so their gradients are rounding
    errors, which Adam's division by √v̂ + 1e-8 makes large and L2 regularization larger.
    """
    study, task = NETWORKS["digits"].study(), in_float64(load_task("digits"))
    grid = Grid(alpha=Axis(values=ALPHAS[pair]), lambda_=Axis(values=(0.0, 0.01)))
    panel = study.panel(pair).model_copy(update={"grid": grid, "epochs": 2})
    options = study.options.model_copy(update={"eps": 1e-3})
    settings = {"seed": 3, "batch_size": 50, "options": options}
    together = ensemble.train(task, panel, **settings)
    for k, cell in enumerate(grid.cells()):
        alone = loop.train(task, panel, cell.alpha, cell.lambda_, **settings)
        for metric, curve in alone.items():
            own = "test_error" if metric == "value" else metric
            rel = 1e-5 if metric == "value" else 1e-12  # errors are means in float32
            assert together[own][k].tolist() == pytest.approx(curve, rel=rel)


def test_its_cells_are_read_as_those_of_the_other_rows(tmp_path: Path):
    study, url = NETWORKS["digits"].study(quick=True), f"sqlite:///{tmp_path / 'cells.db'}"
    loop.create_studies(study, url)
    began, (panel, *_) = datetime(2026, 1, 2), study.panels
    curves = ensemble.train(
        load_task("digits"), panel, seed=0, batch_size=50, options=study.options
    )
    ensemble.save(study, panel, url, curves, began)
    trials = read_trials(tmp_path / "cells.db")
    expected = {("digits/sgd/seed0", cell.alpha, cell.lambda_) for cell in panel.cells()}
    assert trials.errors.keys() == trials.losses.keys() == expected
    assert list(trials.losses.values()) == curves["train_loss"][:, -1].tolist()
    assert trials.last_end > trials.first_start == 1767312000  # in UTC
