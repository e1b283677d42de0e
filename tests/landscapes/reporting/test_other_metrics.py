"""The report and the tables say any metric: in its unit, in digits that matter, what is better."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.reporting import phrases
from landscape_study.landscapes.reporting.page import render, report_pictures
from landscape_study.landscapes.reporting.report_record import (
    Pairing,
    PanelReport,
    Report,
)
from landscape_study.landscapes.reporting.verdict_frame import comparison_frame
from landscape_study.landscapes.reporting.verdict_tables import comparison_table, verdict_table
from landscape_study.landscapes.statistics.comparison import compare_panels
from landscape_study.landscapes.statistics.recommendation import recommend, tuning_paths
from landscape_study.landscapes.statistics.separability import panel_separability, separability
from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.metric import TEST_ERROR, TOP5_ERROR, Metric
from tests.landscapes.other_metrics import ACCURACY, LOSS, PERCENT, Other, measured
from tests.landscapes.studies import Curves, panel_data, panel_of, study_data
from tests.landscapes.surfaces import frame_of, valley
from tests.valleys import valley_error, valley_study

pytestmark = pytest.mark.slow

EPOCHS = 6
IN_PERCENT = Metric("accuracy", "accuracy", unit="%", goal="maximize")
PAIRS = ("adam", "adamw")
others = pytest.mark.parametrize("other", [ACCURACY, LOSS], ids=lambda o: o.metric.title)


def errors(pair: str, rng: np.random.Generator) -> Curves:
    """Curves of two seeds of the cells of a valley, that end at its errors."""
    (panel,) = (one for one in valley_study(exponents=2).panels if one.name == pair)
    fall = 20 * np.linspace(1, 0, EPOCHS)
    return {
        (cell.alpha, cell.lambda_): [
            (valley_error(pair, cell) + 0.05 * rng.normal() + fall).tolist() for _ in range(2)
        ]
        for cell in panel.cells()
    }


def data_of(other: Other):
    rng = np.random.default_rng(0)
    known = {pair: other.curves(errors(pair, rng)) for pair in PAIRS}
    return study_data(
        *(
            panel_data(panel_of(pair, curves, pair=pair), curves, metric=other.metric)
            for pair, curves in known.items()
        )
    )


def panel_report(one: PanelData) -> PanelReport:
    found = panel_separability(one)
    return PanelReport(
        panel=one.panel,
        landscape=one.landscape,
        separability=found,
        recommendation=recommend(one.landscape, found.noise, found.units),
        paths=tuning_paths(one.landscape),
        finished=len(one.cells),
        total=len(one.cells),
        diverged=0,
    )


def report_of(other: Other):
    """The report of a study of two valleys, and its curves."""
    data, curves = data_of(other)
    one, two = data
    report = Report(
        study=measured(valley_study(exponents=2), other.metric),
        panels=tuple(map(panel_report, data)),
        asks_how_coupled=True,
        pairings=(Pairing(one.title, two.title, compare_panels(one, two)),),
        moves=(),
        explanations=(),
        doubts=(),
        warnings=(),
        failed=(),
        growth=(),
        budgets=(),
        laws=(),
        runs=(),
        spec="",
        commands=(),
    )
    return report, curves


@pytest.fixture(scope="module")
def reports():
    """The report of each metric, its pictures, and its text in Markdown."""
    made = {}
    for other in (PERCENT, ACCURACY, LOSS):
        report, curves = report_of(other)
        pictures = report_pictures(report, curves)
        made[other.metric.name] = report, pictures, render(report, [], pictures, "md", "x")
    return made


def shown(table) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return " ".join(console.file.getvalue().split())


class TestReport:
    @pytest.mark.some(3)
    @others
    def test_the_verdicts_and_the_free_numbers_are_those_of_the_errors(self, reports, other):
        known, found = reports["test_error"][0], reports[other.metric.name][0]
        for a, b in zip(known.panels, found.panels, strict=True):
            assert a.separability.verdict == b.separability.verdict
            assert (
                phrases.verdict_numbers(a.separability)[:3]
                == phrases.verdict_numbers(b.separability)[:3]
            )
            assert b.separability.regret.value == pytest.approx(
                other.size * a.separability.regret.value
            )

    def test_captions_say_the_metric(self, reports):
        def captions(name: str) -> list[str]:
            return [picture.caption for picture in reports[name][1][0]]

        heatmap, slices, curves = captions("accuracy")
        assert "colour: accuracy." in heatmap
        assert "beside them the accuracy lost (0.0000, 0.00" in heatmap
        assert slices.startswith("Accuracy against λ at several α, ± one standard error; ")
        assert "triangles: values beyond the axis" in slices
        assert curves.startswith("Accuracy of the 5 best cells, mean over seeds")
        heatmap, slices, curves = captions("nll")
        assert "beside them the nats of test loss lost (0.000" in heatmap
        assert "beside them the points lost (0." in captions("test_error")[0]
        assert "triangles: errors beyond the axis" in captions("test_error")[1]

    def test_alternative_texts_end_at_the_best_value(self, reports):
        alts = {name: made[1][1][-1].alt for name, made in reports.items()}
        (percent,) = (alts["test_error"].partition("ending at ")[2],)
        value = float(percent.split()[0])
        assert percent.endswith(" % for the best.")
        assert alts["accuracy"].endswith(f"ending at {ACCURACY(value):.4f} for the best.")
        assert f"ending at {LOSS(value):.4f}" in alts["nll"]
        assert alts["nll"].endswith(" nats for the best.")

    @others
    def test_no_page_says_percent_or_error_of_another_metric(self, reports, other):
        text = reports[other.metric.name][2].replace("95 %", "").replace("standard error", "")
        for word in ("%", "percent", "points", "error"):
            assert word not in text, text[max(text.index(word) - 60, 0) : text.index(word) + 40]

    @pytest.mark.parametrize(
        ("other", "said", "best", "worse"),
        [
            (PERCENT, "Its test error is then 4.50 %", "1 point of the best error", "error rises"),
            (ACCURACY, "Its accuracy is then 0.9550,", "0.01 of the best acc", "accuracy falls"),
            (LOSS, "is then 0.01450 nats,", "0.001 nats of the best test loss", "loss rises"),
        ],
    )
    def test_the_sentences_of_a_panel(self, reports, other, said, best, worse):
        panel = reports[other.metric.name][0].panels[1]
        cell = panel.panel.grid.cells()[0]
        values = {"recorded": float(other(4.0)), "found": float(other(4.5)), "rounding": 0.0}
        one = Witness("adamw", 0, cell.alpha, cell.lambda_, EPOCHS, **values, agrees=True)
        assert said in replace(panel, witness=one).witnessed
        assert f"within {best}" in panel.best_columns
        assert worse in panel.recommended

    def test_tables_and_notes(self, reports):
        text = reports["accuracy"][2]
        assert "| panel | verdict | best accuracy | tilt |" in text
        assert "| panels | best accuracy | tilt |" in text
        assert "Accuracy, ± its standard error over seeds" in text
        assert "the best accuracy may be at λ = 0" in text
        assert "in accuracy, to take the best cell of the first" in text
        assert "both α and λ change the accuracy by more than noise" in text
        assert "| 0.97" in text
        loss = reports["nll"][2]
        assert "Test loss in nats, ± its standard error" in loss
        assert "in nats of test loss, to take the best cell" in loss
        assert "| 0.0119" in loss

    def test_percent_is_said_as_ever(self, reports):
        text = reports["test_error"][2]
        for sentence in (
            "Test error in percent, ± its standard error over seeds; intervals of 95 %. α is the "
            "learning rate, λ the regularization factor; the best error may be at λ = 0, all "
            "other numbers leave λ = 0 out.",
            "transfer is what it costs in the second panel, in points of error, to take the best "
            "cell of the first (∞: it diverges there).",
            "and both α and λ change the error by more than noise. Cannot tell: anything else.",
        ):
            assert sentence in text

    def test_tau_is_defined_where_it_first_stands(self, reports):
        for metric in ("test_error", "accuracy", "nll"):
            text = reports[metric][2]
            assert (
                text[text.index("τ") :].partition("(")[2].startswith("what matters, or the noise")
            )

    @others
    def test_the_page_is_made_too(self, reports, other):
        report, pictures, _ = reports[other.metric.name]
        page = render(report, [], pictures, "html", "x")
        assert f'<th scope="col">best {other.metric.title}</th>' in page


class TestTables:
    def test_a_comparison_has_the_digits_and_the_unit_of_the_metric(self):
        text = {}
        for other in (PERCENT, ACCURACY, LOSS):
            one, two = data_of(other)[0]
            text[other.metric.name] = shown(
                comparison_table([("a → b", compare_panels(one, two))])
            )
        assert "correlation, and points lost in the second by taking" in text["test_error"]
        assert "correlation, and accuracy lost in the second by taking" in text["accuracy"]
        assert "correlation, and nats of test loss lost in the second by" in text["nll"]
        best = float(text["test_error"].split("→ b ")[1].split()[0].replace("−", "-"))
        turned = float(text["accuracy"].split("→ b ")[1].split()[0].replace("−", "-"))
        assert turned == pytest.approx(-best / 100, abs=1e-4)

    def test_a_frame_of_comparisons_has_no_column_of_units(self):
        one, two = data_of(ACCURACY)[0]
        assert not [name for name in comparison_frame([(one, two)]) if "units" in name]

    def test_verdicts_say_what_regrets_are_of(self):
        found = [(one.name, panel_separability(one)) for one in data_of(ACCURACY)[0]]
        assert "regret: accuracy lost by tuning λ, then α" in shown(verdict_table(found))
        known = [(one.name, panel_separability(one)) for one in data_of(PERCENT)[0]]
        assert "regret: points of error lost by tuning λ" in shown(verdict_table(known))
        assert "points of error or accuracy lost" in shown(verdict_table([*known, *found]))


class TestPhrases:
    @pytest.mark.parametrize(
        ("otherwise", "told"),
        [
            ((), ""),
            ((("half", "coupled"),), "with half of it the verdict would be “coupled”"),
            (
                (("half", "coupled"), ("double", "coupled")),
                "with half of it or with twice as much the verdict would be “coupled”",
            ),
            (
                (("half", "coupled"), ("double", "cannot tell")),
                "with half of it the verdict would be “coupled”, with twice as much the verdict "
                "would be “cannot tell”",
            ),
        ],
    )
    def test_a_verdict_that_hangs_on_what_matters(self, otherwise, told):
        frame = frame_of(valley(0)).assign(loss=lambda f: f["test_error"])
        found = separability(frame, Metric("loss", "loss"), replicates=10)
        share = {"half": 0.5, "double": 2.0}
        matters = found.units.matters
        found = replace(found, otherwise=tuple((share[a] * matters, b) for a, b in otherwise))
        assert phrases.hinges(found) == told
        table = verdict_table([("p", found)])
        assert told in str(table.caption)
        assert "--matters says otherwise" in str(table.caption)

    @pytest.mark.parametrize(
        ("metric", "lost"),
        [
            (TEST_ERROR, "points of error"),
            (TOP5_ERROR, "points of error"),
            (IN_PERCENT, "points of accuracy"),
            (ACCURACY.metric, "accuracy"),
            (LOSS.metric, "nats of test loss"),
        ],
    )
    def test_what_is_lost(self, metric, lost):
        assert phrases.lost(metric) == lost

    def test_an_accuracy_in_percent_is_no_error(self):
        assert phrases.verdicts_note(IN_PERCENT).startswith("Accuracy in percent, ±")
        assert "the best accuracy may" in phrases.verdicts_note(IN_PERCENT)
        assert phrases.first_upper("validation NLL") == "Validation NLL"
        assert phrases.first_upper("val_loss, ±") == "val_loss, ±"

    @pytest.mark.parametrize(
        ("other", "values", "apart", "moved"),
        [
            (PERCENT, "then 4.50 %, where 4.00 % was", "0.50 points apart", "0.02 points."),
            (ACCURACY, "then 0.9550, where 0.9600 was", "0.0050 apart", "0.0002."),
            (LOSS, "then 0.01450 nats, where 0.01400 nats was", "0.00050 nats apart", "nats."),
        ],
    )
    def test_witnesses(self, other, values, apart, moved):
        one = Witness(
            *("adamw", 0, 0.1, 0.0, EPOCHS),
            recorded=float(other(4.0)),
            found=float(other(4.5)),
            rounding=0.02 * other.size,
            agrees=True,
        )
        found = panel_separability(data_of(other)[0][1])
        title = other.metric.title
        said = phrases.witnessed(one, "α = 0.1, λ = 0", title, None, EPOCHS, found.units)
        assert f"Its {title} is {values} recorded: {apart}; one rounding unit" in said
        assert said.endswith(moved)
        none = phrases.witnessed(
            replace(one, found=float("nan")), "x", title, None, 6, found.units
        )
        assert "is then none, where" in none
