"""The studies that come with the tool: the paper's figures at two scales."""

import math

import pytest

from landscape_study.landscapes.figures.study_figure import study_figure
from landscape_study.landscapes.reference import reference_frame
from landscape_study.study.errors import UsageError
from landscape_study.study.planning.plan import make_plan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.spec.presets import PRESETS, load_preset
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from landscape_study.study.tasks import TASKS
from tests.study.runs import train_here

LAPTOP = ("digits", "mnist1d", "mnist5k", "chars")
FIGURES = ("fig1", "fig2", "fig3", "fig4", *(f"supp{i}" for i in range(1, 7)))


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_of_the_paper_has_a_preset_at_both_scales(name: str):
    paper, laptop = load_preset(name), load_preset(f"digits-{name}")
    assert TASKS[paper.task].data_set in ("cifar10", "imagenet32")
    assert laptop.task in LAPTOP
    assert laptop.figure.kind == paper.figure.kind
    assert laptop.figure.columns == paper.figure.columns


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_called_as_its_file_and_resolves(name: str):
    study = load_preset(name)
    assert study.name == name
    assert len(PRESETS[name]) <= 80
    if study.task in LAPTOP:
        assert len(study.seeds) >= 2


@pytest.mark.parametrize(
    ("name", "pairs", "schedules", "epochs"),
    [
        ("fig1", {"adam", "adamw"}, {"constant", "step", "cosine"}, {100}),
        ("fig2", {"sgd", "sgdw", "adam", "adamw"}, {"cosine"}, {100}),
        ("fig3", {"adam", "adamw"}, {"cosine"}, {1800}),
        ("fig4", {"adam", "adamw", "sgdw"}, {"cosine", "restarts"}, {1800}),
        ("fig4-imagenet32", {"adam", "adamw", "sgdw"}, {"cosine", "restarts"}, {150}),
        ("supp2", {"adam"}, {"constant"}, {1800}),
        ("supp3", {"adamw"}, {"cosine"}, {25, 100, 400}),
        ("supp3-imagenet32", {"adamw", "sgdw"}, {"cosine"}, {1, 16, 64}),
        ("supp4", {"adam", "adamw"}, {"cosine"}, {150}),
        ("supp6", {"adam", "adamw", "sgdw"}, {"cosine", "restarts"}, {150}),
    ],
)
def test_the_papers_pairs_schedules_and_budgets(
    name: str, pairs: set[str], schedules: set[str], epochs: set[int]
):
    panels = load_preset(name).panels
    assert {panel.pair for panel in panels} == pairs
    assert {panel.schedule.kind for panel in panels} == schedules
    assert {panel.epochs for panel in panels} == epochs


def test_figure_2_has_the_cells_of_the_published_one():
    published = reference_frame("fig2")
    for panel in load_preset("fig2").panels:
        own = published[published["pair"] == panel.pair]
        cells = {
            (round(a, 12), round(el, 12))
            for a, el in zip(own["alpha"], own["lambda"], strict=True)
        }
        mine = {(round(c.alpha, 12), round(c.lambda_, 12)) for c in panel.cells()}
        assert mine == cells


def test_figure_3_has_the_papers_decays():
    adam, adamw = load_preset("fig3").panels
    assert adam.grid.lambda_.values == (2e-7, *(5e-4 * 2.0**-k for k in range(10, -1, -1)))
    assert adamw.normalized
    assert adamw.grid.lambda_.values == tuple(0.00625 * 2**k for k in range(7))


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("fig4", (100, 300, 700, 1500)),
        ("supp6", (10, 30, 70, 150)),
        ("supp1", (100, 300, 700, 1500)),
    ],
)
def test_restarts_end_where_the_papers_do(name: str, ends: tuple[int, ...]):
    restarts = [p for p in load_preset(name).panels if p.schedule.kind == "restarts"]
    assert restarts
    assert {panel.schedule.ends(panel.epochs) for panel in restarts} == {ends}
    assert all(panel.normalized for panel in restarts)


@pytest.mark.parametrize("name", ["supp3", "digits-supp3"])
def test_raw_and_normalized_decays_of_supp3_cover_the_same_range(name: str):
    """In the middle of the budgets, for which raw λ and λ_norm are made to agree."""
    study = load_preset(name)
    batch_size, examples = (128, 50_000) if name == "supp3" else (50, 500)
    panels = {panel.name: panel for panel in study.panels}
    middle = sorted({panel.epochs for panel in study.panels})[1]
    raw, norm = panels[f"adamw-raw-{middle}-epochs"], panels[f"adamw-norm-{middle}-epochs"]
    factor = math.sqrt(batch_size / (examples * middle))
    for ours, theirs in zip(norm.grid.lambda_.values, raw.grid.lambda_.values, strict=True):
        assert 0.5 < ours * factor / theirs < 2


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(UsageError, match="unknown preset 'fig9': choose one of digits-fig1"):
        load_preset("fig9")


def shrunk(study: Study) -> Study:
    """The same panels with two values of each axis and two epochs for one seed.

    Restarts end their last whole cycle after the first one.
    """
    panels = []
    for panel in study.panels:
        axes = {
            "alpha": list(panel.grid.alpha.values[-2:]),
            "lambda": list(panel.grid.lambda_.values[:2]),
        }
        short = {"epochs": 2}
        if panel.schedule.kind == "restarts":
            short["schedule"] = {"kind": "restarts", "t_0": 1, "t_mult": 2}
        panels.append(panel.changed(axes | short))
    return study.change(panels=panels, seeds=1)


@pytest.mark.long
@pytest.mark.parametrize("name", [n for n in PRESETS if load_preset(n).task in LAPTOP])
def test_from_an_empty_database_to_the_figure(name: str, tmp_path):
    study = shrunk(load_preset(name))
    plan = make_plan(study, RunSettings(device="cpu", workers=1, engine="vmap"))
    store = Store(str(tmp_path / "x.db"), create=True)
    store.create(plan.study, plan.identity, plan.chunks)
    train_here(plan, store)
    assert all(progress.finished == progress.total for progress in store.progress(name))
    assert list(check(store, [name])) == []
    figure = study_figure(store, name)
    figure.savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000
