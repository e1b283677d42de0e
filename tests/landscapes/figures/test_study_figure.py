"""Which figure a study gets: its own kind, or the one asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from landscape_study.landscapes.figures.study_figure import (
    OPTIONS,
    require_options,
    schedule_figure,
    study_figure,
)
from landscape_study.landscapes.reporting.page import write_report
from landscape_study.landscapes.reporting.sentences import figure_lines, verdict_lines
from landscape_study.study.errors import SpecError, UsageError
from landscape_study.study.spec.figure_kinds import FIGURE_KINDS
from landscape_study.study.store import Store
from tests.valleys import fill, restart_study, valley_study

pytestmark = pytest.mark.slow


def kind_of(figure) -> str:
    """Which kind of figure this is, by its first axes."""
    ax = figure.axes[0]
    if ax.get_gid() == "weight norm ‖θ‖":
        return "mechanism"
    if ax.get_gid() == "training":
        return "generalization"
    if ax.get_ylabel() == "η":
        return "schedule"
    if ax.get_xlabel() == "epoch":
        return "anytime"
    return "heatmaps" if ax.get_ylabel().startswith("initial learning rate") else "slices"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A study of grids, and one of each other kind of figure."""
    opened = Store(str(tmp_path_factory.mktemp("figures") / "figures.db"), create=True)
    fill(opened, valley_study(seeds=1))
    fill(opened, restart_study())
    fill(opened, restart_study("generalization").change(name="decays"))
    return opened


def titles_of(figure) -> set[str]:
    return {ax.get_xlabel() for ax in figure.axes} - {""}


@pytest.mark.long
def test_the_axis_is_what_the_study_wishes_where_nobody_says(tmp_path: Path):
    store = Store(str(tmp_path / "timed.db"), create=True)
    fill(store, valley_study(seeds=1).change(figure={"over": "timescale"}))
    over = {"timescale of the decay (epochs)"}
    assert titles_of(study_figure(store, "valley")) == over
    assert titles_of(study_figure(store, "valley", over="lambda")) != over
    assert kind_of(study_figure(store, "valley", kind="slices")) == "slices"
    page = tmp_path / "page.md"
    write_report(store, "valley", page, kind="md")
    heatmaps = [*tmp_path.rglob("*-heatmap.svg")]
    assert len(heatmaps) == len(store.study("valley").panels)
    assert all("timescale of the decay" in path.read_text() for path in heatmaps)


def test_a_wish_that_cannot_be_had_is_left(tmp_path: Path):
    store = Store(str(tmp_path / "untimed.db"), create=True)
    study = valley_study(seeds=1).change(figure={"over": "timescale"})
    alone = study.panels[0].changed({"name": "undecayed", "lambda": [0.0]})
    fill(store, study.change(panels=[*study.panels, alone]))
    assert "timescale of the decay (epochs)" not in titles_of(study_figure(store, "valley"))
    with pytest.raises(UsageError, match="panel 'undecayed': all its λ are 0"):
        study_figure(store, "valley", over="timescale")


@pytest.mark.parametrize("kind", FIGURE_KINDS)
def test_the_kind_asked_for_is_drawn(store: Store, kind):
    assert kind_of(study_figure(store, "valley", kind=kind)) == kind


def test_slices_of_one_lambda_are_refused_where_they_are_asked_for(tmp_path: Path):
    store = Store(str(tmp_path / "one.db"), create=True)
    study = valley_study(seeds=1, pairs=("adamw",))
    fill(store, study.change(panels=[study.panels[0].changed({"lambda": [0.01]})]))
    with pytest.raises(UsageError, match=r"panel 'adamw': it has one λ only.*draw its heatmap"):
        study_figure(store, "valley", kind="slices")
    assert kind_of(study_figure(store, "valley")) == "heatmaps"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("valley", "heatmaps"), ("restarts", "anytime"), ("decays", "generalization")],
)
def test_without_a_kind_it_is_the_studys_own(store: Store, name: str, kind: str):
    assert kind_of(study_figure(store, name)) == kind


def test_panels_and_metrics_are_chosen(tmp_path: Path):
    store = Store(str(tmp_path / "x.db"), create=True)
    fill(store, restart_study(metrics=["test_error", "train_loss"], columns=1))
    figure = study_figure(store, "restarts", ["adamwr", "adamw"])
    assert [ax.get_ylabel() for ax in figure.axes] == ["test error (%)", "training loss"]
    assert figure.axes[0].get_position().x0 == figure.axes[1].get_position().x0
    labels = [text.get_text()[:7] for text in figure.legends[0].get_texts()]
    assert labels == ["AdamWR:", "AdamW: ", "restart"]
    heatmaps = study_figure(store, "restarts", kind="heatmaps")  # not in one column
    assert len({ax.get_subplotspec().colspan.start for ax in heatmaps.axes[:3]}) == 3


@pytest.mark.parametrize(("columns", "width", "wide"), [(1, None, 1), (2, None, 2), (2, 2.5, 1)])
def test_columns_are_the_studys_where_they_fit(tmp_path: Path, columns, width, wide):
    store = Store(str(tmp_path / "x.db"), create=True)
    fill(store, valley_study().change(figure={"columns": columns}))
    axes = study_figure(store, "valley", width=width).axes[:2]
    assert len({ax.get_subplotspec().colspan.start for ax in axes}) == wide


def test_colours_may_begin_at_each_panels_best(tmp_path: Path):
    store = Store(str(tmp_path / "x.db"), create=True)
    study = valley_study(pairs=("adam", "adamw")).change(figure={"relative": True})
    fill(
        store, study, lambda panel, cell: {"adam": 5.0, "adamw": 9.0}[panel] + cell.alpha, noise=0
    )
    figure = study_figure(store, "valley")
    lows = [ax.collections[0].get_clim()[0] for ax in figure.axes[:2]]
    assert [round(low) for low in lows] == [5, 9]
    assert figure.axes[-1].get_ylabel() == "test error (points above the panel's best)"


@pytest.mark.parametrize("kind", FIGURE_KINDS)
def test_options_of_other_kinds_are_refused(store: Store, kind):
    options = {"span": 2.0, "cmap": "jet", "top": 3, "contours": (1.0,), "reference": "fig2"}
    options["metric"] = ("train_loss",)
    require_options(kind, span=None, cmap=None, top=None, contours=(), reference=None)
    for name, value in options.items():
        if name in OPTIONS[kind]:
            require_options(kind, **{name: value})
        else:
            with pytest.raises(UsageError, match=f"have no --{name}: leave it out"):
                study_figure(store, "valley", kind=kind, **{name: value})


def test_schedules_need_no_database():
    study = restart_study()
    assert len(schedule_figure(study).axes) == 2
    assert len(schedule_figure(study, ["adamwr", "adamwr"]).axes) == 1
    with pytest.raises(SpecError, match="no panel 'x'"):
        schedule_figure(study, ["x"])
    with pytest.raises(UsageError, match="schedule figures have no --cmap"):
        schedule_figure(study, cmap="jet")


def test_lines_say_what_the_figure_shows(store: Store):
    assert len(verdict_lines(store, "valley")) == 2
    assert verdict_lines(store, "restarts") == []
    anytime = figure_lines(store, "restarts")
    assert [line.partition(":")[0] for line in anytime[:3]] == ["Adam + L2", "AdamW", "AdamWR"]
    assert anytime[3].startswith("What AdamWR has at epoch ")
    assert "% of AdamW at epoch " in anytime[4]
    generalization = figure_lines(store, "decays", ["adam", "adamw"])
    assert len(generalization) == 3
    assert generalization[2].startswith("At equal training loss (")
    schedules = figure_lines(store, "restarts", kind="schedule")
    assert schedules == [
        "Adam + L2, AdamW: cosine, 6 epochs",
        "AdamWR: restarts (T₀ = 2, ×2), 6 epochs; cycles end at 2, 6",
    ]


@pytest.mark.parametrize("kind", FIGURE_KINDS)
def test_an_unfinished_study_draws(tmp_path: Path, kind):
    store = Store(str(tmp_path / "x.db"), create=True)
    fill(store, restart_study(), chunks=0)
    study_figure(store, "restarts", kind=kind).canvas.draw()
    lines = figure_lines(store, "restarts", kind=kind)
    assert len(lines) == {"schedule": 2, "generalization": 3, "anytime": 3}.get(kind, 0)
    if kind in ("generalization", "anytime"):
        assert lines[0] == "Adam + L2: nothing finished yet."
