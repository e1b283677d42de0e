"""Smoothed labels and dropout that a study asks for: in training, and nowhere else."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Panel
from landscape_study.study.tasks.regularization import (
    dropout_modules,
    is_cross_entropy,
    training_loss,
    with_dropout,
)
from landscape_study.study.tasks.task import Task
from landscape_study.study.training.chunk import train_chunk
from landscape_study.study.training.compiling import library
from landscape_study.study.training.engines import Programs
from tests.study.chunks import BATCH, CELLS, DOUBLE
from tests.study.conftest import CLASSES, tiny_data

WHY_NOT = library.why_not()
COMPILED = pytest.param(
    "compiled",
    marks=[pytest.mark.slow, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))],
)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, CLASSES))


def task(**changes: object) -> Task:
    facts = {"classes": CLASSES, "batch_size": BATCH, "epochs": 2}
    return Task("tiny", network, partial(tiny_data, "vector"), **facts | changes)


@pytest.mark.parametrize("loss", [nn.functional.cross_entropy, nn.CrossEntropyLoss()])
def test_the_loss_of_training_is_smoothed(loss):
    made = task(loss=loss)
    outputs, targets = torch.randn(4, CLASSES), torch.tensor([0, 1, 2, 0])
    expected = nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)
    torch.testing.assert_close(training_loss(made, 0.1)(outputs, targets), expected)
    assert is_cross_entropy(made)
    assert training_loss(made, 0.0) is made.loss
    torch.testing.assert_close(
        made.loss(outputs, targets), nn.functional.cross_entropy(outputs, targets)
    )
    assert not is_cross_entropy(task(loss=lambda outputs, targets: outputs.sum()))


def test_dropout_is_that_of_the_study():
    assert [m.p for m in dropout_modules(with_dropout(task(), 0.2).network())] == [0.2]
    assert [m.p for m in dropout_modules(with_dropout(task(), None).network())] == [0.5]


@pytest.mark.some(2)
@pytest.mark.arithmetic
@pytest.mark.parametrize("engine", ["vmap", "captured", COMPILED])
@pytest.mark.parametrize("options", [{"label_smoothing": 0.2}, {"dropout": 0.1}])
def test_engines_train_with_them_as_the_plain_loop_does(options: dict[str, float], engine: str):
    made = task()
    data = made.data().to("cpu", torch.float64)
    grid = {"alpha": [0.002, 0.05], "lambda": [0, 0.3]}
    panel = Panel.model_validate({"pair": "adamw", "epochs": 2} | grid)
    asked = Options(**DOUBLE.model_dump() | options)
    train = partial(train_chunk, made, data, panel, CELLS, seed=1, batch_size=BATCH)
    programs = Programs()  # of one worker, which trains without them before
    usual = train(options=DOUBLE, engine=engine, programs=programs)
    fused = train(options=asked, engine=engine, programs=programs)
    plain = train(options=asked, engine="referee")
    for metric, curve in plain.curves.items():
        np.testing.assert_allclose(fused.curves[metric], curve, rtol=1e-6)
    assert not np.allclose(plain.curves["train_loss"], usual.curves["train_loss"], rtol=1e-3)
