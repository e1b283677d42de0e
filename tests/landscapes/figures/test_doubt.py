"""A panel whose witness disagrees is marked wherever it is shown; others stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.text import Text

from landscape_study.cli import main
from landscape_study.landscapes.figures.anytime_record import anytime_record
from landscape_study.landscapes.figures.curves import curves_record, plot_curves
from landscape_study.landscapes.figures.difference import comparison_record, plot_comparison
from landscape_study.landscapes.figures.generalization_record import generalization_record
from landscape_study.landscapes.figures.heatmaps.heatmap import plot_heatmap
from landscape_study.landscapes.figures.heatmaps.heatmap_record import heatmap_record
from landscape_study.landscapes.figures.interactive import interactive_heatmap
from landscape_study.landscapes.figures.slices_record import slices_record
from landscape_study.landscapes.figures.study_figure import study_figure
from landscape_study.landscapes.figures.style import ALARM, save
from landscape_study.landscapes.growing.extending import sides_to_extend
from landscape_study.landscapes.growing.refining import cells_to_refine
from landscape_study.landscapes.reading.frames import cells_frame, curves_frame
from landscape_study.landscapes.reading.landscape import Landscape, landscape
from landscape_study.landscapes.reading.panels import PanelData, study_panels
from landscape_study.landscapes.reporting.comparison_request import (
    Request,
    comparison_tables,
    save_comparison,
)
from landscape_study.landscapes.reporting.page import Format, write_report
from landscape_study.landscapes.reporting.report_record import PanelReport, study_report
from landscape_study.landscapes.reporting.sentences import figure_lines, verdict_lines
from landscape_study.landscapes.statistics.optimum import moves
from landscape_study.study.errors import UsageError
from landscape_study.study.records.witness_record import DOUBT, Witness, marked
from landscape_study.study.spec.figure_kinds import FigureKind
from landscape_study.study.store import Store
from tests.valleys import EPOCHS, fill, restart_study, valley_study

pytestmark = pytest.mark.slow

AGREES = Witness("adamw", 1, 0.01, 0.0005, 4, recorded=2.5, found=2.52, rounding=0.01, agrees=True)
WHY = "train loss after epoch 3: 0.52 recorded, 0.71 by the plain loop"
DIFFERS = Witness(
    "adam", 0, 0.01, 0.001, EPOCHS, recorded=2.0, found=2.9, rounding=0.01, agrees=False, why=WHY
)
STUDIES = {  # drawn in every way
    "valley": valley_study(),
    "restarts": restart_study(),
    "losses": restart_study("generalization"),
}


def add_studies(folder: Path, *witnesses: Witness) -> Store:
    """The finished studies, each with these witnesses."""
    store = Store(str(folder / "doubt.db"), create=True)
    for name, study in STUDIES.items():
        fill(store, study.change(name=name))
        for witness in witnesses:
            store.record_witness(name, witness)
    return store


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Studies without witnesses."""
    with closing(add_studies(tmp_path_factory.mktemp("plain"))) as store:
        yield store


@pytest.fixture(scope="module")
def doubted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The same, where the witness of Adam + L2 disagrees and that of AdamW agrees."""
    with closing(add_studies(tmp_path_factory.mktemp("doubted"), AGREES, DIFFERS)) as store:
        yield store


def panels(store: Store, name: str = "valley") -> list[PanelData]:
    return study_panels(store, name, ["adam", "adamw"])


def words_of(figure: Figure) -> list[Text]:
    """All that is written in a figure."""
    return [text for text in figure.findobj(Text) if text.get_text()]


def alarming(figure: Figure) -> str:
    """What is written in the colour of alarm."""
    return " ".join(t.get_text() for t in words_of(figure) if same_color(t.get_color(), ALARM))


class TestWhereItEnters:
    @pytest.mark.parametrize("read", [cells_frame, curves_frame])
    def test_frames_say_which_panels_are_doubtful(self, plain: Store, doubted: Store, read):
        frame = read(doubted, "valley")
        assert frame["doubtful"].dtype == bool
        assert set(frame["panel"][frame["doubtful"]]) == {"adam"}
        assert (frame["doubtful"] == (frame["panel"] == "adam")).all()
        assert not read(plain, "valley")["doubtful"].any()

    def test_the_landscape_is_marked(self, doubted: Store):
        adam, adamw = panels(doubted)
        assert (adam.landscape.doubtful, adamw.landscape.doubtful) == (True, False)
        assert (adam.title, adamw.title) == ("Adam + L2 ⚠", "AdamW")
        assert (adam.label, adamw.label) == ("adam ⚠", "adamw")
        assert (adam.name, adam.landscape.panel) == ("adam", "adam")

    def test_a_doubtful_panel_is_not_right_since_another_cell_agrees(self, tmp_path: Path):
        study = valley_study(exponents=1)
        with closing(Store(str(tmp_path / "newest.db"), create=True)) as store:
            fill(store, study)
            store.record_witness("valley", DIFFERS)
            store.record_witness("valley", replace(DIFFERS, agrees=True, why=""))
            doubtful = [one.panel for one in store.witnesses("valley") if not one.agrees]
            assert doubtful == [DIFFERS.panel]

    def test_frames_without_the_column_or_with_gaps_are_not_doubtful(self, doubted: Store):
        frame, panel = cells_frame(doubted, "valley"), doubted.study("valley").panel("adam")
        assert not landscape(frame.drop(columns="doubtful"), panel).doubtful
        assert not landscape(frame.assign(doubtful=pd.NA), panel).doubtful
        curves = curves_frame(doubted, "valley")
        for same in (curves.drop(columns="doubtful"), curves.assign(doubtful=pd.NA)):
            assert curves_record(same, cells=[(0.01, 0.001)]).doubt == ""

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    def test_exported_tables_have_the_column(self, doubted: Store, tmp_path: Path, suffix: str):
        path = tmp_path / f"cells{suffix}"
        arguments = ["export", "valley", "-o", str(path), "--store", doubted.name]
        assert CliRunner().invoke(main, arguments).exit_code == 0
        read = pd.read_csv if suffix == ".csv" else pd.read_parquet
        frame = read(path)
        assert set(frame["panel"][frame["doubtful"]]) == {"adam"}


class TestRecords:
    def test_of_heatmaps_and_slices(self, doubted: Store):
        adam, adamw = (one.landscape for one in panels(doubted))
        for record in (heatmap_record, slices_record):
            assert record(adam).doubtful
            assert record(adam).title == "Adam + L2 ⚠"
            assert " ".join(record(adam).summary).startswith(f"{DOUBT}; best 2.0")
            assert not record(adamw).doubtful
            assert DOUBT not in " ".join(record(adamw).summary)

    def test_of_a_landscape_where_all_diverged(self, make):
        lost = make([[90.0, 90.0]], diverged=[[1, 1]], doubtful=True)
        assert " ".join(heatmap_record(lost).summary) == f"{DOUBT}; every finished cell diverged"

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_of_a_difference(self, doubted: Store, order: tuple[int, int]):
        found = [panels(doubted)[i].landscape for i in order]
        record = comparison_record(*found).difference
        assert record.doubtful
        assert "⚠" in record.title
        assert " ".join(record.summary).startswith(f"{DOUBT}; ")

    def test_of_curves(self, doubted: Store):
        curves = curves_frame(doubted, "valley")
        both = curves_record(curves, cells=[(0.01, 0.001)])
        assert [curve.label.partition(",")[0] for curve in both.curves] == ["adam ⚠", "adamw"]
        one = curves[curves["panel"] == "adam"], curves[curves["panel"] == "adamw"]
        doubts = [curves_record(frame, cells=[(0.01, 0.001)]).doubt for frame in one]
        assert doubts == [f"⚠ {DOUBT}", ""]
        assert both.doubt == f"⚠ {DOUBT}"

    def test_of_anytime_figures(self, doubted: Store):
        data = study_panels(doubted, "restarts")
        record = anytime_record(data, curves_frame(doubted, "restarts"))
        labels = [line.label.partition(":")[0] for line in record.axes[0].lines]
        assert labels == ["Adam + L2 ⚠", "AdamW", "AdamWR"]
        assert f"Adam + L2 ⚠: {DOUBT}." in record.headline

    def test_of_generalization_figures(self, doubted: Store):
        data = study_panels(doubted, "losses")
        record = generalization_record(data, curves_frame(doubted, "losses"))
        titles = [family.title.partition(",")[0] for family in record.families]
        assert titles == ["Adam + L2 ⚠", "AdamW", "AdamWR"]
        assert f"Adam + L2 ⚠: {DOUBT}." in record.headline


FIGURES: list[tuple[str, FigureKind]] = [
    ("valley", "heatmaps"),
    ("valley", "slices"),
    ("restarts", "anytime"),
    ("losses", "generalization"),
]


class TestFigures:
    @pytest.mark.some(4)
    @pytest.mark.parametrize("width", [None, "column", "page"])
    @pytest.mark.parametrize(("name", "kind"), FIGURES)
    def test_each_shows_the_mark_in_the_colour_of_alarm(
        self, doubted: Store, name: str, kind: FigureKind, width: str | None
    ):
        figure = study_figure(doubted, name, kind=kind, width=width)
        assert "Adam + L2 ⚠" in alarming(figure).replace("\n", " ")
        assert "AdamW" not in alarming(figure)
        said = " ".join(" ".join(text.get_text() for text in words_of(figure)).split())
        assert DOUBT in said

    @pytest.mark.some(2)
    @pytest.mark.parametrize(("name", "kind"), FIGURES)
    def test_none_shows_it_of_panels_that_agree_or_have_none(
        self, plain: Store, doubted: Store, name: str, kind: FigureKind, tmp_path: Path
    ):
        figures = [
            study_figure(store, name, ["adamw"], kind=kind, width="page")
            for store in (plain, doubted)
        ]
        assert alarming(figures[1]) == ""
        same, drawn = (save(f, tmp_path / f"{i}.png") for i, f in enumerate(figures))
        assert drawn.read_bytes() == same.read_bytes()

    def test_of_a_single_heatmap(self, doubted: Store):
        ax = plot_heatmap(panels(doubted)[0].landscape)
        assert alarming(ax.figure).replace("\n", " ").startswith(f"{DOUBT}; best")
        assert alarming(ax.figure).endswith("Adam + L2 ⚠")

    def test_of_a_comparison(self, doubted: Store):
        figure = plot_comparison(*(one.landscape for one in panels(doubted)))
        titles = [ax.get_title(loc="left") for ax in figure.axes[:3]]
        assert titles == ["Adam + L2 ⚠", "AdamW", "AdamW − Adam + L2 ⚠"]
        assert alarming(figure).count("plain loop") == 2

    def test_of_curves(self, doubted: Store):
        curves = curves_frame(doubted, "valley")
        ax = plot_curves(curves, cells=[(0.01, 0.001)])
        assert ax.get_title(loc="left") == f"⚠ {DOUBT}"
        assert "adam ⚠, α = 0.01" in alarming(ax.figure)
        assert "adamw" not in alarming(ax.figure)

    def test_to_hover_over(self, doubted: Store):
        pytest.importorskip("plotly")
        adam, adamw = (one.landscape for one in panels(doubted))

        def title(one: Landscape) -> str:
            return interactive_heatmap(one).layout.annotations[0].text

        assert f"<b>Adam + L2 ⚠</b><br><sup>{DOUBT}; best" in title(adam)
        assert ALARM in title(adam)
        assert title(adamw).startswith("<b>AdamW</b><br><sup>best")


class TestTables:
    def test_verdicts_in_lines(self, doubted: Store):
        assert [line.partition(":")[0] for line in verdict_lines(doubted, "valley")] == [
            "adam ⚠",
            "adamw",
        ]

    @pytest.mark.parametrize("name", ["restarts", "losses"])
    def test_what_figures_say(self, doubted: Store, name: str):
        assert f"Adam + L2 ⚠: {DOUBT}." in figure_lines(doubted, name)

    def test_comparisons(self, doubted: Store, tmp_path: Path):
        verdicts, differences, _ = comparison_tables(doubted, Request("valley"))
        assert list(verdicts.columns[0].cells) == ["adam ⚠", "adamw"]
        assert str(verdicts.caption).endswith(f"\nadam ⚠: {DOUBT}")
        assert list(differences.columns[0].cells) == ["adam ⚠ →\nadamw"]

    def test_a_panel_of_another_study(self, plain: Store, doubted: Store, tmp_path: Path):
        request = Request("valley", "adamw", "restarts/adam")
        verdicts, _ = comparison_tables(doubted, request)
        assert list(verdicts.columns[0].cells) == ["adamw", "restarts/adam ⚠"]
        assert save_comparison(doubted, request, tmp_path / "both.png").exists()

    def test_moves(self, doubted: Store):
        one = panels(doubted)[0]
        later = replace(one, name="adam-long")
        assert [(move.origin, move.panel) for move in moves([one, later])] == [
            ("adam ⚠", "adam-long ⚠")
        ]


def call(store: Store, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command on the database."""
    found = CliRunner().invoke(main, [*arguments, "--store", store.name], env={"COLUMNS": "60"})
    return found.exit_code, found.output


class TestCommands:
    def test_status(self, plain: Store, doubted: Store):
        code, shown = call(doubted, "status", "valley")
        assert code == 0
        lines = shown.splitlines()
        rows = [line for line in lines if line.startswith("adam")]
        witnesses = [line for line in lines if line.startswith("witness")]
        sd = doubted.seed_noise("valley")
        assert rows[0].startswith("adam ⚠ ")
        assert rows[1].startswith("adamw  ")
        assert witnesses == [
            f"witness of adam ⚠: DISAGREES: {WHY}; the error lies {0.9 / sd['adam']:.1f} sd apart "
            "(6 of 6 epochs)",
            f"witness of adamw: agrees, {0.02 / sd['adamw']:.1f} sd (4 of 6 epochs)",
        ]
        assert f"⚠ {DOUBT}: train it with --engine referee under another --name" in shown
        code, shown = call(plain, "status")
        assert code == 0
        assert "witness" not in shown

    def test_check(self, plain: Store, doubted: Store):
        code, shown = call(doubted, "check", "valley")
        assert code == 1
        assert shown.splitlines()[:2] == [
            "study valley, panel 'adam', seed 0: the witness disagrees (α = 0.01, λ = 0.001): "
            + WHY,
            f"  the results of this panel are {DOUBT}: train it with --engine referee under "
            "another --name",
        ]
        assert shown.splitlines()[-1].endswith("1 study, 360 cells: 1 fault")
        code, shown = call(plain, "check")
        assert (code, shown.count("\n")) == (0, 1)

    def test_list(self, plain: Store, doubted: Store):
        assert "\tadam ⚠, adamw" in call(doubted, "list")[1]
        assert "⚠" not in call(plain, "list")[1]

    def test_extend(self, plain: Store, doubted: Store):
        code, shown = call(doubted, "extend", "valley", "--dry-run")
        assert code != 0
        assert f"panel 'adam' is {DOUBT}, so where the best cells lie is not known" in shown
        with pytest.raises(UsageError, match=rf"'adam' is {DOUBT}.* or name another --panel"):
            cells_to_refine(doubted, "valley")
        assert cells_to_refine(doubted, "valley", ["adamw"])
        sides = sides_to_extend(doubted, "valley", ["adamw"])
        assert sides == sides_to_extend(plain, "valley", ["adamw"])
        assert sides_to_extend(doubted, "valley", ["adam"], ["alpha-low"]) == [
            ("adam", "alpha-low")
        ]

    def test_compare(self, doubted: Store):
        code, shown = call(doubted, "compare", "valley", "adam", "adamw")
        assert code == 0
        assert f"adam ⚠: {DOUBT}" in shown


def panel_report(store: Store, panel: str) -> PanelReport:
    return study_report(store, "valley", [panel]).panels[0]


class TestReport:
    def test_it_says_how_far_the_witness_lies(self, plain: Store, doubted: Store):
        apart = 0.02 / doubted.seed_noise("valley")["adamw"]
        assert panel_report(doubted, "adamw").witnessed == (
            "Witness: α = 0.01, λ = 1/2 × 0.001, seed 1, was trained again by a plain loop, for 4 "
            "of 6 epochs. Its test error is then 2.52 %, where 2.50 % was recorded: "
            f"{apart:.1f} standard deviations of the seeds' noise apart; one rounding unit in its "
            "start weights moves it by 0.01 points."
        )
        assert panel_report(doubted, "adamw").doubt == ""
        assert panel_report(plain, "adam").witnessed == (
            "No witness: no cell of this panel was trained again by a plain loop."
        )

    def test_with_one_seed_it_is_told_in_points_and_gaps_are_left_out(self, doubted: Store):
        nan = float("nan")
        report = replace(panel_report(doubted, "adamw"), spread=None)
        assert "recorded: 0.02 points apart; one rounding" in report.witnessed
        unknown = replace(AGREES, found=nan, rounding=nan)
        assert replace(report, witness=unknown).witnessed.endswith(
            "Its test error is then none, where 2.50 % was recorded."
        )

    def test_doubt_is_loud(self, doubted: Store):
        report = study_report(doubted, "valley")
        assert report.doubts == (panel_report(doubted, "adam").doubt,)
        assert report.doubts[0].startswith(f"Adam + L2 ⚠: {DOUBT} ({WHY}). ")

    @pytest.mark.long
    @pytest.mark.parametrize("kind", ["html", "md"])
    def test_the_page_shows_it(self, plain: Store, doubted: Store, tmp_path: Path, kind: Format):
        path = write_report(doubted, "valley", tmp_path / f"r.{kind}", kind=kind)
        page = path.read_text("utf-8").replace("&#39;", "'")
        report = study_report(doubted, "valley")
        assert page.count(report.doubts[0]) == 2  # above all, and in its section
        for panel in report.panels:
            assert page.count(panel.witnessed) == 1
        assert page.index(report.doubts[0]) < page.index("Verdicts")
        path = write_report(plain, "valley", tmp_path / f"p.{kind}", kind=kind)
        page = path.read_text("utf-8")
        assert page.count("No witness: no cell of this panel") == 2
        assert "⚠" not in page

    @pytest.mark.long
    def test_of_a_study_that_is_drawn_otherwise(self, doubted: Store, tmp_path: Path):
        path = write_report(doubted, "restarts", tmp_path / "r.md", kind="md")
        page = path.read_text("utf-8")
        assert page.count(f"Adam + L2 ⚠: {DOUBT} (") == 2
        assert page.count("No witness: ") == 1  # of AdamWR


def test_the_mark_is_there_only_where_it_is_due():
    assert (marked("adam", True), marked("adam", False)) == ("adam ⚠", "adam")
