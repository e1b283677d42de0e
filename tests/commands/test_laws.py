"""`landscape law`: how the best α and λ go with a batch size, a budget or a width."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

import landscape_study as ls
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store
from tests.commands.test_running_and_looking import landscape
from tests.valleys import fill, valley_study

pytestmark = pytest.mark.slow
SIZES = (25, 50, 100)


def batches(sizes=SIZES, name: str = "batches", **more) -> Study:
    """AdamW at several batch sizes, all over 6 epochs."""
    (panel,) = valley_study(pairs=("adamw",)).panels
    own = [panel.changed({"name": f"adamw-{b}", "batch_size": b} | more) for b in sizes]
    return valley_study().change(name=name, panels=own)


def error(panel: str, cell: Cell) -> float:
    """Where the best α goes with the root of the batch size, and the best λ along with it."""
    away = math.log2(int(panel.rpartition("-")[2]) / 50)
    x = math.log2(cell.alpha / 0.01) - away / 2
    y = math.log2(cell.lambda_ / 0.001) - away if cell.lambda_ else -6.0
    return 2.0 + 0.2 * x * x + 0.2 * y * y


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies of which the law is known."""
    path = tmp_path_factory.mktemp("laws") / "laws.db"
    opened = Store(str(path), create=True)
    fill(opened, batches(), error)
    fill(opened, valley_study())
    fill(opened, batches(name="begun"), error, chunks=0)
    for b in SIZES:
        fill(opened, batches((b,), f"of-{b}", batch_size=50), error)
    opened.close()
    return path


def words(output: str) -> str:
    return " ".join(output.split())


def test_it_says_what_goes_with_the_batch_size(store: Path):
    told = landscape("law", "batches", "--store", store)
    assert told.exit_code == 0
    text = words(told.output)
    assert "AdamW, cosine, over batch size at 6 epochs, so that larger batches make fewer" in text
    assert "λ: timescale kept, in epochs 1.0 allowed" in text
    assert "λ: λ_norm kept 0.5 contradicted" in text


def test_tables_and_the_figure_are_written(store: Path, tmp_path: Path):
    outputs = [tmp_path / "x.csv", tmp_path / "x.png"]
    told = landscape(
        *("law", "batches", "--over", "batch_size", "--pair", "adamw", "--what", "values"),
        *("-o", outputs[0], "-o", outputs[1], "--store", store),
    )
    assert told.exit_code == 0
    assert f"{outputs[0]}: 12 rows" in told.output
    assert f"figure: {outputs[1]}" in told.output
    table = pd.read_csv(outputs[0])
    own = table[table["quantity"] == "λ"]
    assert own["value"].tolist() == pytest.approx([0.0005, 0.001, 0.002], rel=0.1)
    assert outputs[1].stat().st_size > 10_000


def test_widths_are_those_of_studies(store: Path):
    names = [f"of-{b}" for b in SIZES]
    widths = [word for b in SIZES for word in ("--x", f"of-{b}={b}")]
    told = landscape("law", *names, "--over", "width", *widths, "--store", store)
    assert told.exit_code == 0
    text = words(told.output)
    assert "over width at all else, as far as it is known here" in text
    assert "α: μP −1.0 contradicted" in text


def test_files_have_numbers_that_are_told(store: Path, tmp_path: Path):
    table = tmp_path / "cells.csv"
    ls.export(str(store), "batches", table)
    sizes = [word for b in SIZES for word in ("--x", f"adamw-{b}={b}")]
    told = landscape("law", table, "--over", "batch_size", *sizes)
    assert told.exit_code == 0, told.output
    assert "λ ∝ batch size^b" in told.output
    told = landscape("law", table)
    assert told.exit_code == 2
    assert "is not known here: say it with --x PANEL=NUMBER" in words(told.output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no study 'nothing'"),
        (["valley"], "its panels of a pair all have the same batch size (50)"),
        (["begun"], "begun: nothing has finished yet"),
        (["batches", "--over", "epochs"], "its panels of a pair all have the same epochs (6)"),
        (["batches", "--over", "width"], "how wide the networks of panels are"),
        (["batches", "--pair", "lion"], "pair 'lion' does not say where λ enters"),
        (["batches", "--pair", "sgdw"], "--pair sgdw: no panel has it: choose from adamw"),
        (["batches", "--x", "narrow"], "write NAME=NUMBER"),
    ],
)
def test_what_is_wrong_is_told(store: Path, arguments, message: str):
    told = landscape("law", *arguments, "--store", store)
    assert told.exit_code in (1, 2)
    assert message in words(told.output)
    assert "Traceback" not in told.output


def test_python_has_the_same(store: Path):
    found = ls.law(str(store), "batches", pairs="adamw")
    own = found[found["quantity"] == "λ"].iloc[0]
    assert own["exponent_low"] < 1 < own["exponent_high"]
    published = ls.law(str(store), "batches", what="published")
    assert set(published["verdict"]) == {"allowed", "contradicted"}


@pytest.mark.long
def test_the_figure_is_one_of_the_kinds(store: Path, tmp_path: Path):
    told = landscape(
        "plot", "batches", "--kind", "law", "-o", tmp_path / "l.png", "--store", store
    )
    assert told.exit_code == 0
    assert told.output.startswith("AdamW, cosine, over batch size at 6 epochs")
    assert (tmp_path / "l.png").exists()
    told = landscape("plot", "valley", "--kind", "law", "--store", store)
    assert told.exit_code == 2
    assert "all have the same batch size" in words(told.output)


@pytest.mark.long
def test_the_report_has_a_section_of_it(store: Path, tmp_path: Path):
    for kind in ("md", "html"):
        page = ls.report(str(store), "batches", tmp_path / f"r.{kind}", kind=kind)
        text = page.read_text("utf-8")
        assert "Laws over batch sizes and budgets" in text
        assert "timescale kept, in epochs" in text
