"""The report of a study: what it says, and that the page and the Markdown hold it."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from landscape_study.landscapes.reporting import phrases
from landscape_study.landscapes.reporting.comparison_request import Request, comparison_tables
from landscape_study.landscapes.reporting.page import write_report
from landscape_study.landscapes.reporting.report_record import study_report
from landscape_study.landscapes.reporting.sentences import verdict_lines
from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.budget_ranks import BudgetRank
from landscape_study.study.errors import SpecError, StoreError, UsageError
from landscape_study.study.spec.study import Axis, Cell, Study
from landscape_study.study.store import Store
from tests.valleys import fill, restart_study, valley_error, valley_study

pytestmark = pytest.mark.slow

nan = float("nan")


class Page(HTMLParser):
    """The elements of a page: tag, attributes; its text; every tag closed in order."""

    VOID = frozenset({"meta", "link", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def valley(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A finished study: Adam + L2 coupled, AdamW separable."""
    store = Store(str(tmp_path_factory.mktemp("report") / "valley.db"), create=True)
    fill(store, valley_study())
    return store


@pytest.fixture(scope="module")
def html(valley: Store) -> str:
    return write_report(valley, "valley", valley.folder / "valley.html").read_text("utf-8")


@pytest.mark.long
def test_it_says_what_explains_each_pair(valley: Store, html: str):
    """Within a panel the timescale is α·λ of the one, and λ of the other."""
    coupled, separable = study_report(valley, "valley").explanations
    assert (coupled.title, separable.title) == ("Adam + L2", "AdamW")
    assert set(coupled.best) == {"α·λ", "the timescale"}
    assert set(separable.best) == {"λ", "the timescale"}
    said = " ".join(Page(html).text.split())
    markdown = write_report(valley, "valley", valley.folder / "said.md", kind="md").read_text()
    for found in (coupled, separable):
        assert found.is_told
        assert phrases.explained(found) in said
        assert f"- {phrases.explained(found)}\n" in markdown
    assert "What explains the landscape" in said
    assert phrases.EXPLAINED in said


def test_the_record_knows_what_the_valleys_are(valley: Store):
    report = study_report(valley, "valley")
    adam, adamw = report.panels
    assert (adam.separability.verdict, adamw.separability.verdict) == ("coupled", "separable")
    assert adamw.recommendation is not None
    assert adamw.name(adamw.recommendation.cell) == "α = 0.01, λ = 0.001"
    assert "Recommended: α = 0.01, λ = 0.001 (" in adamw.recommended
    assert "at worst by 0." in adamw.recommended
    assert adamw.paths[-1].cost < 0.3 < adam.paths[-1].cost
    (pairing,) = report.pairings
    assert (pairing.one, pairing.other) == ("Adam + L2", "AdamW")
    assert pairing.comparison.tilt.low > 0
    assert report.moves == ()
    assert report.warnings == ()
    assert len(report.runs) == 1


def test_the_page_holds_verdicts_numbers_and_commands(html: str, valley: Store):
    text = " ".join(Page(html).text.split())
    adam = study_report(valley, "valley").panels[0].separability
    for expected in (
        "coupled the good cells lie on a falling diagonal. Tune α and λ together",
        "separable in the basin the best λ hardly depends on α.",
        phrases.number(adam.tilt.value),
        phrases.interval(adam.regret),
        f"landscape report valley --store {valley.name}",
        f"landscape show valley --store {valley.name} > valley.toml && landscape run valley.toml",
        'name = "valley"',
        "180 of 180 cells finished",
        "torch",
        "Adam + L2 → AdamW",
    ):
        assert expected in text, expected


def test_the_page_loads_nothing_and_forbids_it(html: str):
    page = Page(html)
    assert not {"script", "iframe", "object"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        for name in ("src", "href"):
            target = attributes.get(name)
            assert target is None or target.startswith(("data:", "#")), target
    assert "url(" not in html
    policies = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )


def test_pictures_are_vector_and_have_alternative_texts(html: str):
    pictures = Page(html).all("img")
    assert len(pictures) >= 4
    for picture in pictures:
        kind, _, content = str(picture["src"]).partition(";base64,")
        assert kind == "data:image/svg+xml"
        svg = base64.b64decode(content).decode()
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert svg.count("<image") <= 1, "only the colour bar may be pixels"
        assert len(str(picture["alt"])) > 60
    assert "Heatmap of AdamW: test error, α upwards from" in str(pictures)
    assert "Verdict: separable" in str(pictures)


def test_every_link_of_the_page_leads_somewhere(html: str):
    page = Page(html)
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = {str(a["href"])[1:] for a in page.all("a")}
    assert links == ids == {"adam", "adamw"}


@pytest.mark.long
def test_the_same_database_gives_the_same_page(html: str, valley: Store, tmp_path: Path):
    again = write_report(valley, "valley", tmp_path / "again.html")
    assert again.read_text("utf-8") == html


@pytest.mark.long
def test_markdown_keeps_its_figures_beside_it(valley: Store, tmp_path: Path):
    path = write_report(valley, "valley", tmp_path / "out" / "my valley.md", kind="md")
    text = path.read_text("utf-8")
    figures = re.findall(r"!\[[^\]]{60,}\]\(([^)]+)\)", text)
    assert len(figures) >= 4
    for figure in figures:
        assert " " not in figure, "Markdown ends an address there"
        file = path.parent / unquote(figure)
        assert ElementTree.parse(file).getroot().tag.endswith("svg")
    assert "| Adam + L2 | coupled |" in text
    assert "```toml\nname = " in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {9}


def test_one_panel_only(valley: Store, tmp_path: Path):
    path = write_report(valley, "valley", tmp_path / "one.html", panels=["adamw", "adamw"])
    assert len(Page(path.read_text("utf-8")).all("section")) == 1
    text = Page(path.read_text("utf-8")).text
    assert "AdamW" in text
    assert "Adam + L2" not in text


@pytest.mark.long
@pytest.mark.parametrize(
    ("fields", "chunks", "said"),
    [
        pytest.param({}, 0, "cannot tell", id="nothing finished"),
        pytest.param({}, 5, "cells have finished; the numbers may change", id="half done"),
        pytest.param({"seeds": 1}, None, "One seed:", id="one seed"),
        pytest.param({"exponents": 0}, None, "cannot tell", id="one cell"),
        pytest.param({"exponents": 1}, None, "AdamW", id="three by three"),
    ],
)
@pytest.mark.parametrize("kind", ["html", "md"])
def test_whatever_there_is_gets_an_honest_report(store: Store, kind, fields, chunks, said):
    fill(store, valley_study(**fields), chunks=chunks)
    path = write_report(store, "valley", store.folder / f"valley.{kind}", kind=kind)
    text = path.read_text("utf-8")
    assert said in (Page(text).text if kind == "html" else text)
    assert not re.search(r"\bnan\b", Page(text).text if kind == "html" else text)


def test_diverged_cells_are_told(store: Store):
    def error(panel: str, cell) -> float:
        return nan if cell.alpha > 0.05 else valley_error(panel, cell)

    fill(store, valley_study(), error)
    report = study_report(store, "valley")
    assert "Adam + L2: 40 of 180 cells diverged; they count as bad as the span." in report.warnings
    fill_all = study_report(store, "valley", ["adam"])
    assert len(fill_all.panels) == 1


def test_a_study_that_diverged_everywhere(store: Store):
    fill(store, valley_study(), lambda panel, cell: nan)
    path = write_report(store, "valley", store.folder / "valley.html")
    text = " ".join(Page(path.read_text("utf-8")).text.split())
    assert "cannot tell every finished cell diverged" in text
    assert "No cell to recommend" in text


@pytest.mark.parametrize("seeds", [1, 2])
def test_captions_name_what_is_drawn(store: Store, seeds: int):
    """With one seed there are no standard errors, with one α no dearest one to start from."""
    study = valley_study(seeds=seeds, pairs=("adamw",))
    if seeds == 1:
        study = study.change_panels(alpha=Axis(values=(0.01,)))
    fill(store, study)
    text = write_report(store, "valley", store.folder / "valley.md", kind="md").read_text("utf-8")
    assert text.count("± one standard error") == (2 if seeds == 2 else 0)
    assert text.count("the median and the dearest α") == (1 if seeds == 2 else 0)
    assert "tuning λ at one α, then α at that λ" in text


@pytest.mark.long
@pytest.mark.parametrize(
    ("good", "says"),
    [
        (40, "Circles: the 10 best cells; star: the best one; colour: "),
        (12, "Circles: the 3 best cells; star: the best one; colour: "),  # of few, a quarter
        (7, "Star: the best cell; colour: "),
        (1, "Star: the best cell; colour: "),
        (0, "Colour: "),
    ],
)
def test_a_heatmap_has_no_more_circles_than_say_something(store: Store, good: int, says: str):
    study = valley_study(seeds=1, pairs=("adamw",))
    places: dict[object, int] = {}

    def error(panel: str, cell) -> float:
        return valley_error(panel, cell) if places.setdefault(cell, len(places)) < good else nan

    fill(store, study, error)
    text = write_report(store, "valley", store.folder / "valley.md", kind="md").read_text("utf-8")
    assert says in text


@pytest.mark.long
def test_best_errors_without_regularization(store: Store):
    """The best error is that of any cell; the difference of the best ones leaves λ = 0 out."""

    def error(panel: str, cell) -> float:
        return valley_error(panel, cell) if cell.lambda_ else 1.0

    fill(store, valley_study(seeds=1), error, noise=0.0)
    text = write_report(store, "valley", store.folder / "valley.md", kind="md").read_text("utf-8")
    assert "| AdamW | separable | 1.00 |" in text
    assert "the best error may be at λ = 0, all other numbers leave λ = 0 out" in text
    assert "all over λ > 0, also the best error" in text
    (adam, _) = study_report(store, "valley").panels
    assert "(at 9 of 9 α), the best λ is 0." in adam.best_columns


def test_markup_in_what_a_user_writes_is_text(store: Store):
    study = valley_study(exponents=1).change(task="<script>alert(1)</script>:x")
    fill(store, study)
    path = write_report(store, "valley", store.folder / "valley.html")
    page = Page(path.read_text("utf-8"))
    assert page.all("script") == []
    assert "<script>alert(1)</script>:x" in page.text


def test_what_cannot_be_reported(valley: Store, tmp_path: Path):
    with pytest.raises(UsageError, match="no study 'nope'"):
        write_report(valley, "nope", tmp_path / "x.html")
    with pytest.raises(SpecError, match="no panel 'sgd'"):
        write_report(valley, "valley", tmp_path / "x.html", panels=["sgd"])
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(valley, "valley", tmp_path / "file" / "x.html")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-0.884, "−0.88"),
        (-0.001, "0.00"),
        (0.0, "0.00"),
        (12.345, "12.35"),
        (nan, "–"),
        (math.inf, "∞"),
    ],
)
def test_numbers_in_words(value: float, said: str):
    assert phrases.number(value) == said


def test_intervals_in_words():
    assert phrases.with_interval(Estimate(-0.5, -1.0, 0.25)) == "−0.50 (−1.00 to 0.25)"
    assert phrases.with_interval(Estimate(-0.5)) == "−0.50"
    assert phrases.with_interval(Estimate()) == phrases.UNKNOWN
    assert math.isnan(Estimate().low)


def test_a_study_of_the_mechanism_has_its_figure_beside_the_verdicts(store: Store):
    study = valley_study(seeds=1, pairs=("adamw",)).change(figure={"kind": "mechanism"})
    fill(store, study)
    text = write_report(store, "valley", store.folder / "x.md", kind="md").read_text("utf-8")
    alternatives = re.findall(r"!\[([^\]]+)\]", text)
    assert alternatives[0].startswith(
        "Figure of the whole study valley: Norms of weights, gradients and steps over α × λ"
    )
    assert alternatives[1].startswith("Heatmap of AdamW")
    assert (store.folder / "x" / "valley-mechanism.svg").exists()
    assert "What explains the landscape" in text


@pytest.mark.long
@pytest.mark.parametrize("kind", ["anytime", "generalization", "schedule"])
@pytest.mark.parametrize("form", ["html", "md"])
def test_a_study_of_another_kind_has_its_figure_and_no_verdicts(store: Store, kind, form):
    fill(store, restart_study(kind))
    path = write_report(store, "restarts", store.folder / f"restarts.{form}", kind=form)
    text = path.read_text("utf-8")
    if form == "html":
        page = Page(text)
        alternatives, said = [str(image["alt"]) for image in page.all("img")], page.text
    else:
        alternatives, said = re.findall(r"!\[([^\]]+)\]", text), text
        assert (store.folder / "restarts" / f"restarts-{kind}.svg").exists()
    assert alternatives[0].startswith("Figure of the whole study restarts: ")
    assert not [one for one in alternatives if one.startswith("Heatmap")]
    assert {"AdamW" in one for one in alternatives if one.startswith("Slices")} == {True, False}
    for verdict in ("coupled", "separable", "annot tell", "tilt", "at 1 of 1 α"):
        assert verdict not in said.partition("Make it again")[0], verdict
    assert "Recommended: α = 0.01" in said
    line = {"anytime": "AdamWR ", "generalization": "At equal", "schedule": "cycles end at 2, 6"}
    assert line[kind] in said


def test_a_panel_of_one_cell_recommends_it_and_no_more(store: Store):
    fill(store, valley_study(exponents=0).change_panels(**{"lambda": [0.001]}))
    text = write_report(store, "valley", store.folder / "x.md", kind="md").read_text("utf-8")
    assert re.search(r"^Recommended: α = 0.01, λ = 0.001 \(\d.\d\d %\).$", text, re.M)
    assert "Heatmap of" not in text
    assert "Slices of" not in text
    assert "Learning curves of the 1 best cell" in text


def budget_error(panel: str, cell: Cell) -> float:
    """An upright basin, which lies an octave further up in α at six epochs."""
    x = math.log2(cell.alpha / 0.01) - (1.0 if "6-epochs" in panel else 0.0)
    y = math.log2(cell.lambda_ / 0.001) if cell.lambda_ else -6.0
    return 2.0 + 0.2 * x * x + 0.1 * y * y


def budget_study(design: str | None = None) -> Study:
    """AdamW at three and six epochs, and Adam + L2 at one budget."""
    adam, adamw = valley_study().panels
    several = adamw.changed({"epochs": [3, 6]})
    study = valley_study().change(panels=[adam, several])
    if design is None:
        return study
    return study.change(panels=[one.changed({"design": design}) for one in study.panels])


@pytest.mark.long
def test_what_a_cheap_budget_tells_is_in_page_and_markdown(store: Store, tmp_path: Path):
    fill(store, budget_study(), budget_error)
    (found,) = study_report(store, "valley").budgets
    assert (found.cheap, found.dear) == ("adamw-3-epochs", "adamw-6-epochs")
    assert found.is_chosen
    assert found.cells == 30  # a third of 90; none of them at λ = 0
    assert 0.3 < found.rank.value < 0.9
    assert found.alpha.low > 0.2  # cut by the cells that were chosen
    assert found.lambda_.low < 0 < found.lambda_.high
    path = write_report(store, "valley", tmp_path / "valley.html")
    page = " ".join(Page(path.read_text("utf-8")).text.split())
    path = write_report(store, "valley", tmp_path / "valley.md", kind="md")
    markdown = " ".join(path.read_text("utf-8").split())
    for text in (page, markdown):
        assert "What a cheap budget tells" in text
        assert "adamw-3-epochs → adamw-6-epochs" in text
        assert phrases.budget_line(found) in text
        assert phrases.CHOSEN in text
        for number, interval in phrases.budget_numbers(found):
            assert number in text
            assert interval in text
    assert verdict_lines(store, "valley")[-1] == phrases.budget_line(found)
    tables = comparison_tables(store, Request("valley"))
    (caption,) = [str(one.caption) for one in tables if phrases.CHOSEN in str(one.caption)]
    assert caption.startswith(phrases.budget_line(found))


def test_whole_grids_at_several_budgets_are_told_of_too(store: Store):
    fill(store, budget_study("grid"), budget_error)
    report = study_report(store, "valley")
    (found,) = report.budgets
    (pairing,) = (one for one in report.pairings if one.one == "AdamW, 3 epochs")
    assert found.cells == 81
    assert not found.is_chosen
    assert phrases.CHOSEN not in report.budgets_note
    assert (found.rank, found.lost) == (pairing.comparison.rank, pairing.comparison.transfer)
    assert found.alpha.low < 1 < found.alpha.high


def test_a_study_of_one_budget_tells_nothing_of_budgets(valley: Store, html: str):
    assert study_report(valley, "valley").budgets == ()
    assert "cheap budget" not in html


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.0, 0.2, "A is enough to tune for B: its best cell costs 0.10 (0.00 to 0.20) points"),
        (0.3, 0.9, "A is not enough to tune for B: its best cell costs 0.10 (0.30 to 0.90)"),
        (0.0, 0.9, "It is open whether A is enough to tune for B: its best cell costs 0.10 (0"),
        (nan, nan, "It is open whether A is enough to tune for B: its best cell costs 0.10 po"),
    ],
)
def test_whether_a_cheap_budget_is_enough(low: float, high: float, said: str):
    known, cost = Estimate(0.5), Estimate(0.1, low, high)
    found = BudgetRank("A", "B", 9, known, cost, known, known, place=(7, 30))
    line = phrases.budget_line(found)
    assert line.startswith(said)
    ranks = "The ranks of 9 cells correlate by 0.50; the best one of B has place 7 of 30 at A."
    assert line.endswith(f"points there (what matters: 0.25 points). {ranks}")
    cut = phrases.budget_line(replace(found, is_chosen=True, is_cut=True))
    assert cut.startswith(line)
    assert cut.endswith("not chosen: with a larger share, B may have better ones.")


def test_a_budget_of_which_nothing_is_finished():
    line = phrases.budget_line(BudgetRank("A", "B", 2, *[Estimate()] * 4))
    assert line == "What A tells of B is not known: 2 cells with λ > 0 are finished in both."
