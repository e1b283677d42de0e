"""The terminal shows any metric in its unit, and what is better as the best."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from landscape_study.study.console.lines import merged_line, witness_lines
from landscape_study.study.console.live import draw
from landscape_study.study.console.live_record import live_record
from landscape_study.study.console.progress import best_so_far, news_line
from landscape_study.study.console.text_tables import status_table
from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.study import Cell
from landscape_study.study.store import CellMean, PanelProgress
from landscape_study.study.store.merging import Merged
from tests.conftest import make_study
from tests.landscapes.other_metrics import ACCURACY, LOSS, PERCENT, REWARD, Other, measured

ERRORS = {(0.1, 0.001): 5.0, (0.1, 0.0): 7.5, (0.05, 0.01): 4.0, (0.05, 0.0): 6.0}
each = pytest.mark.parametrize("other", [ACCURACY, LOSS, REWARD], ids=lambda o: o.metric.title)


def means(other: Other) -> list[CellMean]:
    """The cells of one panel; the third one diverged."""
    return [
        CellMean("sgd", Cell(alpha, lambda_), 2, float(other(error)), int(error == 4.0))
        for (alpha, lambda_), error in ERRORS.items()
    ]


def progress(*best: float | None) -> list[PanelProgress]:
    names = ("sgd", "adamw", "adam")
    return [
        PanelProgress(name, 6, 4, 0, 0, 0, one, 1.0)
        for name, one in zip(names, best, strict=False)
    ]


def record_of(other: Other):
    study = measured(make_study(pairs=("sgd",), seeds=2), other.metric)
    return live_record(study, [], means(other))


class TestLive:
    @each
    def test_the_best_cell_and_the_colours_are_those_of_the_errors(self, other):
        known, found = record_of(PERCENT), record_of(other)
        assert found.panels[0].best == known.panels[0].best == (1, 1)
        for (cell, error), (same, value) in zip(
            known.panels[0].error, found.panels[0].error, strict=True
        ):
            assert same == cell
            best, worst = found.scale
            assert (value - best) / (worst - best) == pytest.approx((error - 5.0) / 3.0)

    @pytest.mark.parametrize(
        ("other", "news", "legend"),
        [
            (ACCURACY, "best 0.9500 at", "accuracy 0.9500 ▀▀▀▀▀▀▀▀ 0.9200"),
            (LOSS, "best 0.01500 nats at", "test loss 0.01500 nats ▀▀▀▀▀▀▀▀ 0.01800 nats"),
            (REWARD, "best −125.0 at", "reward −125.0 ▀▀▀▀▀▀▀▀ −140.0"),
        ],
    )
    def test_it_says_the_metric(self, other, news, legend):
        record = record_of(other)
        assert record.panels[0].news == (news, "α 0.1 λ 0.001")
        console = Console(file=io.StringIO(), width=80, height=24)
        console.print(draw(record, 80, 24))
        assert legend in console.file.getvalue()

    def test_where_nobody_said_what_matters_the_cells_say_how_wide_the_colours_are(self):
        metric = replace(LOSS.metric, matters=None)
        best, worst = record_of(replace(LOSS, metric=metric)).scale
        assert best == pytest.approx(0.015)
        assert worst == pytest.approx(0.015 + 1.2 * 0.001)
        study = measured(make_study(), replace(ACCURACY.metric, matters=None))
        assert live_record(study, [], []).scale == (0.0, -1.0)

    def test_cells_that_diverged_without_a_value_are_no_scale(self):
        study = measured(make_study(pairs=("sgd",)), replace(LOSS.metric, matters=None))
        cells = [
            CellMean("sgd", Cell(0.1, 0.0), 1, 0.02, 0),
            CellMean("sgd", Cell(0.1, 0.001), 1, 0.03, 0),
            CellMean("sgd", Cell(0.05, 0.001), 1, float("inf"), 1),
        ]
        record = live_record(study, [], cells)
        assert record.scale == pytest.approx((0.02, 0.032))
        console = Console(file=io.StringIO(), width=80, height=24)
        console.print(draw(record, 80, 24))
        assert "diverged" in console.file.getvalue()


class TestNews:
    @pytest.mark.parametrize(
        ("metric", "best", "said"),
        [
            (ACCURACY.metric, (0.91, 0.93, None), "best 0.9300 (adamw)"),
            (LOSS.metric, (0.013, 0.012, None), "best 0.01200 nats (adamw)"),
            (REWARD.metric, (-120.0, -130.0), "best −120.0 (sgd)"),
            (Metric("ppl", "perplexity"), (1234567.0,), "best 1234567 (sgd)"),
            (TEST_ERROR, (3.0, 2.5), "best 2.50 % (adamw)"),
        ],
    )
    def test_the_best_value_is_told(self, metric, best, said):
        assert news_line(progress(*best), 5, 80, metric) == f"5 s left · {said}"

    def test_what_diverged_without_a_value_is_not_the_best(self):
        known = progress(float("inf"), 0.9)
        assert best_so_far(known, ACCURACY.metric) == (0.9, "adamw")


@pytest.mark.parametrize(
    ("other", "column", "cell", "caption"),
    [
        (PERCENT, "best %", "5.00", "best: lowest test error of one cell and seed"),
        (ACCURACY, "best", "0.9500", "best: highest accuracy of one cell and seed"),
        (LOSS, "best nats", "0.01500", "best: lowest test loss of one cell and seed"),
    ],
)
def test_the_status_names_the_metric(other, column, cell, caption):
    study = measured(make_study(pairs=("sgd",)), other.metric)
    table = status_table(study, progress(float(other(5.0))))
    (found,) = [one for one in table.columns if str(one.header).startswith("best")]
    assert found.header == column
    assert list(found.cells) == [cell]
    assert str(table.caption).startswith(caption)


@pytest.mark.parametrize(
    ("other", "agrees", "differs"),
    [
        (PERCENT, "0.25 points", "the error lies 0.25 points apart"),
        (ACCURACY, "0.0025", "the accuracy lies 0.0025 apart"),
        (LOSS, "0.00025 nats", "the test loss lies 0.00025 nats apart"),
    ],
)
def test_witnesses_lie_apart_in_the_unit_of_the_metric(other, agrees, differs):
    study = measured(make_study(pairs=("sgd", "adamw")), other.metric)
    values = {"recorded": float(other(4.0)), "found": float(other(4.25)), "rounding": 0.0}
    one = Witness("sgd", 0, 0.1, 0.0, epochs=3, **values, agrees=True)
    two = replace(one, panel="adamw", agrees=False, why="test loss after epoch 1")
    said = list(witness_lines(study, [one, two], {}))
    assert said[0] == f"witness of sgd: agrees, {agrees} (3 of 3 epochs)"
    assert f"DISAGREES: test loss after epoch 1; {differs} (3 of 3 epochs)" in said[1]
    assert "agrees, 0.5 sd" in next(iter(witness_lines(study, [one], {"sgd": 0.5 * other.size})))


def test_merged_cells_differ_in_the_unit_of_the_metric():
    merged = Merged("mine", taken=3, there=2, differing=1, difference=0.002)
    assert merged_line(merged, "resume", LOSS.metric) == (
        "study mine: 3 cells taken, 2 were there, of which 1 have another test loss, by at most "
        "0.00200 nats: kept as they are"
    )
    assert "another error, by at most 0.00 points" in merged_line(merged, "resume")
