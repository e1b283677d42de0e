"""What update rules cost."""

from __future__ import annotations

import inspect
import re

import pytest
import torch
from benchmarks.updates import main, workload
from click.testing import CliRunner


@pytest.mark.slow
def test_it_measures():
    threads = torch.get_num_threads()
    done = CliRunner().invoke(main, ["--quick"])
    torch.set_num_threads(threads)
    assert done.exit_code == 0, done.output
    rows = re.findall(r"^(\w+) +([\d.]+) +([\d.]+) × +([\d.]+) ×", done.output, re.MULTILINE)
    assert [row[0] for row in rows] == ["adam", "sgd", "muon"]
    assert rows[0][2:] == ("1.00", "1.00")
    assert float(rows[2][2]) > 1  # products of matrices beside adam's


@pytest.mark.slow
def test_a_turn_does_the_steps_that_it_counts():
    made = workload("sgd", steps_by="captured")
    engine = inspect.getclosurevars(made.steps).nonlocals["stepping"]
    before = engine.optimizer.steps[0]
    made.steps()
    assert engine.optimizer.steps[0] == before + 20
