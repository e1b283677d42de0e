"""What a run of a function leaves: reports, a value, or why there is none."""

import json
import math
import os
import random
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from landscape_study.study.objectives import function_run
from landscape_study.study.objectives.function_run import (
    REPORTS,
    FunctionCell,
    FunctionRun,
    carry_out,
)
from landscape_study.study.objectives.reports import Reports

CELL = FunctionCell(alpha=0.5, lambda_=0.25, seed=3, pair="mine", panel="first")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Call a function for a cell, as its process does; what it left."""
    monkeypatch.setattr(function_run, "_seed", lambda seed: None)

    def call(function, run: FunctionRun | None = None) -> Reports:
        carry_out(function, CELL, run or FunctionRun("cpu", tmp_path), "val_loss")
        return Reports(tmp_path, "val_loss")

    return call


def test_the_function_is_given_its_cell_and_its_run(call, tmp_path: Path):
    def train(cell, run):
        assert (run.device, run.folder, run.should_stop()) == ("cpu", tmp_path, False)
        return cell.alpha + cell.lambda_ + cell.seed + len(cell.pair) + len(cell.panel)

    before = signal.getsignal(signal.SIGTERM)
    try:
        assert call(train).value == 0.75 + 3 + 4 + 5
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "returned",
    [
        0.5,
        np.float32(0.5),
        np.array([[0.5]]),
        torch.tensor(0.5, requires_grad=True),
        torch.tensor([0.5], dtype=torch.float16),
        {"val_loss": torch.tensor(0.5), "name": "x", "history": [1, 2]},
    ],
)
def test_what_is_a_value(call, returned):
    assert call(lambda cell, run: returned).value == 0.5


def test_what_is_no_finite_number_is_a_value_all_the_same(call):
    assert math.isnan(call(lambda cell, run: math.nan).value)
    assert call(lambda cell, run: -math.inf).value == -math.inf
    assert call(lambda cell, run: 3).value == 3


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (None, "it returned None: return 'val_loss', a number, or a dict that has it"),
        ("0.5", "it returned '0.5' (str): return 'val_loss'"),
        (True, "it returned True (bool): return"),
        ((0.5, 0.9), "it returned (0.5, 0.9) (tuple): return"),
        (np.zeros(3), "it returned a ndarray of shape (3,): return"),
        (torch.zeros(2, 2), "it returned a Tensor of shape (2, 2): return"),
        ({"loss": 1, "acc": 2}, "it returned no 'val_loss', but 'loss'"),
        ({"q": 1}, "it returned no 'val_loss', only q"),
        ({}, "it returned a dict without numbers: return 'val_loss'"),
        ({"val_loss": "low"}, "it returned 'low' (str) as 'val_loss': return"),
        (10**400, "it returned 1000"),
    ],
)
def test_what_is_no_value_is_told(call, returned, told: str):
    found = call(lambda cell, run: returned)
    assert found.value is None
    assert found.lacking.startswith(told)


def test_an_exception_is_told_with_its_place_and_printed(call, capfd):
    def train(cell, run):
        raise ValueError("no data")

    found = call(train)
    assert found.lacking.startswith("it raised ValueError: no data (test_function_run.py, line ")
    printed = capfd.readouterr().err
    assert printed.endswith("ValueError: no data\n")
    assert "carry_out" not in printed


def test_sys_exit_is_no_result(call):
    told = call(lambda cell, run: sys.exit(0)).lacking
    assert told.startswith("it called sys.exit(0)")
    assert told.endswith("return the metric")


def test_a_run_that_wrote_nothing_ended_without_returning(tmp_path: Path):
    assert Reports(tmp_path, "val_loss").lacking == "it ended without returning"


def test_reports_are_curves_whatever_their_order(call):
    def train(cell, run):
        run.report(2, val_loss=np.float32(2))
        run.report(epoch=1, val_loss=torch.tensor(3.0))
        run.report(3, train_loss=0.5)
        run.report(3, val_loss=9)
        run.report(3, val_loss=1, epochs_left=0)
        return {"val_loss": 0.75, "accuracy": 0.9, "train_loss": 7}

    found = call(train)
    assert found.value == 0.75  # what was returned, whatever was reported
    curves = found.curves()
    np.testing.assert_array_equal(curves.pop("val_loss"), np.float32([3, 2, 1]))
    np.testing.assert_array_equal(curves.pop("train_loss"), np.float32([np.nan, np.nan, 0.5]))
    np.testing.assert_array_equal(curves.pop("accuracy"), np.float32([np.nan, np.nan, 0.9]))
    assert curves.keys() == {"epochs_left"}


def test_steps_that_are_no_epochs_are_kept_and_one_point_is_no_curve(call):
    def train(cell, run):
        for step in (100, 200):
            run.report(step, val_loss=1 / step)
        return {"step": 300, "val_loss": 0.5}

    np.testing.assert_array_equal(call(train).curves()["step"], np.float32([100, 200, 300]))


def test_one_point_is_no_curve(call):
    def train(cell, run):
        run.report(1, val_loss=2)
        return 2

    assert call(train).curves() == {}


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({"epoch": 1, "val_loss": [1.0]}, "val_loss is [1.0] (list): give a number"),
        ({"epoch": 1, "val_loss": None}, "val_loss is None: give a number"),
        ({"epoch": "one", "val_loss": 1}, "epoch is 'one' (str): give a number"),
        ({"epoch": math.nan, "val_loss": 1}, "epoch is nan (float): give a number"),
        ({"epoch": 1, "val_loss": torch.ones(2)}, "val_loss is a Tensor of shape (2,): give"),
    ],
)
def test_a_report_of_no_number_is_told_to_the_function(call, numbers: dict, told: str):
    def train(cell, run):
        run.report(**numbers)
        return 1.0

    assert f"it raised TypeError: run.report: {told}" in call(train).lacking


def attempt(epochs: list[int], value: float):
    """A function that reports so many epochs; what it reports tells the attempts apart."""

    def train(cell, run):
        for epoch in epochs:
            run.report(epoch, val_loss=10 * value + epoch)
        if value < 0:
            raise RuntimeError
        return value

    return train


def test_a_run_that_goes_on_from_its_checkpoint_goes_on_with_its_curves(call):
    assert call(attempt([1, 2, 3, 4], -1)).value is None
    found = call(attempt([3, 4, 5], 2))
    assert (found.value, found.failed) == (2, None)
    np.testing.assert_array_equal(found.curves()["val_loss"], np.float32([-9, -8, 23, 24, 25]))


def test_a_run_that_begins_anew_leaves_nothing_of_the_former(call):
    call(attempt([1, 2, 3, 4], -1))
    np.testing.assert_array_equal(
        call(attempt([1, 2], 2)).curves()["val_loss"], np.float32([21, 22])
    )


def test_a_torn_last_line_is_no_line(call, tmp_path: Path):
    call(attempt([1, 2], 2))
    with (tmp_path / REPORTS).open("a") as file:
        file.write(json.dumps({"report": {"epoch": 3, "val_loss": 5}})[:-4])
    found = Reports(tmp_path, "val_loss")
    assert found.value == 2
    assert len(found.curves()["val_loss"]) == 2


def test_a_child_that_the_function_forks_leaves_nothing(call, tmp_path: Path):
    own = os.getpid()

    def train(cell, run):
        return 1.0 if (child := os.fork()) and os.waitpid(child, 0) else 2.0

    found = call(train)
    if os.getpid() != own:
        os._exit(0)
    assert found.value == 1.0
    assert (tmp_path / REPORTS).read_text().count("returned") == 1


def test_random_numbers_follow_the_seed(tmp_path: Path):
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        drawn = [drawn_with(seed, tmp_path) for seed in (1, 1, 2)]
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
    assert drawn[0] == drawn[1]
    assert not set(drawn[1]) & set(drawn[2])


def drawn_with(seed: int, folder: Path) -> list[float]:
    """What the generators that need no name give to a cell with this seed."""
    found: list[float] = []

    def train(cell, run):
        found.extend([random.random(), np.random.rand(), torch.rand(1).item()])
        return 1.0

    cell = FunctionCell(1.0, 0.0, seed, "", "")
    carry_out(train, cell, FunctionRun("cpu", folder), "val_loss")
    return found
