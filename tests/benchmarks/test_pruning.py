"""Pruners replayed on studies that are trained whole."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import pytest
from benchmarks.pruning import main, replayed, wholes
from click.testing import CliRunner

from landscape_study.study.spec.pruning import Pruning
from landscape_study.study.store import Store
from tests.valleys import EPOCHS, fill, valley_study

pytestmark = pytest.mark.slow


@pytest.mark.some(1)
@pytest.mark.parametrize("pruner", ["surface", "halving", "median"])
def test_all_cells_are_accounted_for(tmp_path: Path, pruner: str):
    with closing(Store(str(tmp_path / "valley.db"), create=True)) as store:
        study = valley_study(exponents=4)
        fill(store, study)
        (whole, *_) = wholes(store, study.name)
    cells, seeds = len(whole.panel.cells()), len(study.seeds)
    epochs, finished = replayed(whole, Pruning(pruner=pruner), random.Random(0))
    assert cells * seeds < epochs < cells * seeds * EPOCHS
    assert finished < {*whole.panel.cells()}
    if pruner == "surface":
        assert {*whole.best[:3]} <= finished


@pytest.mark.long
def test_it_works_from_end_to_end():
    done = CliRunner().invoke(main, ["--quick"])
    assert done.exit_code == 0, done.output
    assert "times fewer epochs" in done.output
    assert "of the ten best" in done.output
