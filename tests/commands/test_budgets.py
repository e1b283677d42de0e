"""Several budgets at the command line: what is foretold, run, told and refused."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from landscape_study.cli import main
from landscape_study.study.store import Store
from tests.conftest import SPIRALS

pytestmark = pytest.mark.slow

GRID = ("--alpha", "[0.0125, 0.025, 0.05, 0.1]", "--lambda", "[0, 0.001, 0.01]")
RUN = ("run", "--task", SPIRALS, "--pair", "sgd", "--seeds", 1, *GRID, "--epochs", "1,2")


def landscape(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def words(*arguments: object) -> str:
    result = landscape(*arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.long
def test_a_dry_run_counts_what_a_dear_budget_has_at_most(tmp_path: Path):
    said = words(*RUN, "--dry-run", "--workers", 1, "--store", tmp_path / "x.db")
    assert re.search(r"sgd-1-epochs sgd cosine 1 4 × 3 × 1 12 \d", said)
    assert re.search(r"sgd-2-epochs sgd cosine 2 best of sgd-1-epochs 8 \d", said)


def test_status_says_what_a_dear_budget_waits_for(tmp_path: Path):
    path = tmp_path / "x.db"
    queued = "study spirals: 12 cells in the database, 12 new; up to 8 more are asked for later"
    assert queued in words(*RUN, "--queue", "--store", path)
    said = words("status", "spirals", "--store", path)
    assert "sgd-2-epochs 8 0 0 8 0 0" in said
    assert said.endswith("sgd-2-epochs: waits for the best cells of sgd-1-epochs")


@pytest.mark.long
def test_both_budgets_are_run_told_and_not_run_again(tmp_path: Path):
    path = tmp_path / "x.db"
    settled = "sgd-2-epochs: the best 8 of 12 cells of sgd-1-epochs"
    ranks = r"sgd-1-epochs (is enough|is not enough|tells of|.*open).*sgd-2-epochs"
    said = words(*RUN, "--store", path, "--workers", 1, "--no-plot")
    assert settled in said
    assert re.search(ranks, said)
    assert "waits for" not in said
    again = words(*RUN, "--store", path, "--workers", 1, "--no-plot")
    assert "20 cells, 20 of them finished" in again
    with closing(Store(str(path))) as store:
        assert len(store.cells("spirals")) == 20
    assert re.search(ranks, words("compare", "spirals", "--store", path))
    report = tmp_path / "spirals.html"
    words("report", "spirals", "--store", path, "-o", report)
    assert "What a cheap budget tells" in report.read_text("utf-8")


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        ("2,2", "epochs: budgets: [2, 2]: a budget stands there twice: give each once"),
        ("two", "--epochs two: no number of epochs: give one, or several as in 15,60,240"),
        ("{ share = 0.5 }", "epochs: budgets: missing: please give it"),
    ],
)
def test_what_are_no_budgets_is_told_in_one_line(epochs: str, message: str):
    result = landscape(*RUN[:-1], epochs)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
