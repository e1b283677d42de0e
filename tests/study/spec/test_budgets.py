"""Several budgets of a panel: what they stand for, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from landscape_study.study.errors import SpecError, StudyMismatchError
from landscape_study.study.pairs.schedules import Cosine
from landscape_study.study.spec.design import FEWEST_PROMOTED, Promoted, Sampled
from landscape_study.study.spec.extension import extended_study
from landscape_study.study.spec.study import Cell, Study
from tests.conftest import make_study

GRID = {
    "alpha": {"base": 0.1, "log2": [-10, 0]},
    "lambda": {"base": 0.01, "log2": [-9, 0], "zero": True},
}


def study(epochs: object = (15, 60, 240), *panels: dict[str, object], **rest: object) -> Study:
    own = {"name": "budgets", "task": "digits", "seeds": 3, "epochs": epochs}
    return Study.from_dict(own | GRID | rest | {"panel": [*panels] or [{"pair": "adamw"}]}, "f")


def promoted(best_of: str, **rest: object) -> dict[str, object]:
    return {"pair": "adamw", "name": "dear", "epochs": 60, "design": {"best_of": best_of} | rest}


def test_each_budget_is_a_panel_on_the_best_cells_of_the_one_before():
    found = study([60, 15, 240])
    assert [(p.name, p.epochs, p.design) for p in found.panels] == [
        ("adamw-15-epochs", 15, "grid"),
        ("adamw-60-epochs", 60, Promoted(best_of="adamw-15-epochs")),
        ("adamw-240-epochs", 240, Promoted(best_of="adamw-60-epochs")),
    ]
    assert {p.grid for p in found.panels} == {found.panels[0].grid}
    assert [found.at_once(p) for p in found.panels] == [121, 40, 14]
    assert [found.trainings(p) for p in found.panels] == [363, 120, 42]
    assert Study.from_toml(found.to_toml(), "again") == found


def test_a_panel_has_budgets_and_names_of_its_own():
    own = {"pair": "sgdw", "name": "slow", "epochs": {"budgets": [10, 20], "share": 0.5}}
    found = study(30, {"pair": "adamw"}, own, schedule={"kind": "cosine", "warmup": 0.1})
    assert [p.name for p in found.panels] == ["adamw", "slow-10-epochs", "slow-20-epochs"]
    assert found.panels[2].design == Promoted(best_of="slow-10-epochs", share=0.5)
    assert {p.schedule for p in found.panels} == {Cosine(warmup=0.1)}


@pytest.mark.parametrize("one", [15, [15], {"budgets": [15]}])
def test_one_budget_is_a_plain_panel(one: object):
    assert study(one) == study(15)


@pytest.mark.parametrize(
    ("sampler", "cells", "trials"), [("random", 10, 30), ("tpe", 10, 30), ("verdict", 30, 30)]
)
def test_the_cheapest_budget_may_be_sampled(sampler: str, cells: int, trials: int):
    found = study([15, 60], design={"sampler": sampler, "trials": 30})
    cheap, dear = found.panels
    assert cheap.design == Sampled(sampler=sampler, trials=30)
    most = Promoted(best_of="x").chosen(cells)
    assert (found.trainings(cheap), found.trainings(dear)) == (trials, 3 * most)


@pytest.mark.parametrize(
    ("share", "cells", "chosen"),
    [(0.33, 121, 40), (0.33, 12, 8), (0.33, 5, 5), (1.0, 121, 121), (0.07, 300, 21)],
)
def test_a_share_is_never_too_few_to_show_a_landscape(share: float, cells: int, chosen: int):
    assert Promoted(best_of="x", share=share).chosen(cells) == chosen


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        ([15, 15], r"epochs: budgets: \[15, 15\]: a budget stands there twice: give each once"),
        ([], "epochs: budgets: no budgets: give at least one"),
        ([15, "60"], "epochs: budgets 2: Input should be a valid integer, found '60'"),
        ([15, True], "epochs: budgets 2: Input should be a valid integer"),
        ([0, 15], "epochs: budgets 1: Input should be greater than or equal to 1"),
        ({"share": 0.5}, "epochs: budgets: missing: please give it"),
        ({"budgets": [15, 60], "share": 2.0}, "epochs: share: Input should be less than or equal"),
        ({"budgets": [15, 60], "shares": 0.5}, "epochs: shares: unknown key"),
    ],
)
def test_what_are_no_budgets_is_told(epochs: object, message: str):
    with pytest.raises(SpecError, match=message):
        study(epochs)


@pytest.mark.parametrize(
    ("panel", "message"),
    [
        (
            promoted("adam"),
            "^[a-z ']*: panel 'dear': there is no panel 'adam' to take the best cells of: name "
            "another panel, of adamw$",
        ),
        (promoted("dear"), "panel 'dear' takes the best cells of itself: name another panel"),
        (promoted("adamw") | {"epochs": [60, 90]}, r"epochs = \[60, 90\]: several budgets choose"),
        (promoted("adamw", sampler="tpe"), "design, sampler: unknown key"),
        (promoted("adamw", share=0.0), "design, share: Input should be greater than 0"),
        (promoted("adamw") | {"design": "best"}, r"'best' is no design: .* best_of = \"PANEL\""),
    ],
)
def test_best_cells_of_no_other_panel_are_refused(panel: dict[str, object], message: str):
    with pytest.raises(SpecError, match=message):
        study(15, {"pair": "adamw"}, panel)


def test_panels_are_counted_as_they_were_written():
    """Not one for each budget."""
    with pytest.raises(SpecError) as e:
        study([15, 60, 240], {"pair": "adamw"}, {"pair": "sgdx"}, {"pair": "adamw", "alpha": [0]})
    told = str(e.value).splitlines()
    assert [line.partition(": ")[2].partition(":")[0] for line in told] == [
        "panel 2, pair",
        "panel 3, alpha",
    ]


def test_panels_that_wait_for_each_other_are_refused():
    panels = [promoted("b") | {"name": "a"}, promoted("c") | {"name": "b"}]
    circle = r"in a circle \(b → c → b\): name a grid"
    with pytest.raises(SpecError, match=circle):
        study(15, *panels, promoted("b") | {"name": "c"})


def test_a_grid_that_grows_takes_along_who_has_its_best_cells():
    found = study()
    (grown,) = {p.grid for p in extended_study(found, [("adamw-15-epochs", "lambda-high")]).panels}
    assert grown.lambda_.values[-1] == 0.04
    by_dearest = extended_study(found, [("adamw-240-epochs", "lambda-high")])
    assert {p.grid for p in by_dearest.panels} == {grown}
    assert by_dearest.panels[2].holds(Cell(0.1, 0.04))
    assert not found.panels[2].holds(Cell(0.1, 0.04))


def test_a_stored_study_takes_another_share_but_becomes_no_grid():
    stored = study()
    more = stored.merge(study({"budgets": [15, 60, 240], "share": 0.5}), "here")
    assert [p.promoted.share for p in more.panels[1:] if p.promoted] == [0.5, 0.5]
    whole = stored.change(panels=[p.changed({"design": "grid"}) for p in stored.panels])
    with pytest.raises(StudyMismatchError, match="panel 'adamw-60-epochs': design"):
        stored.merge(whole, "here")


def test_too_many_cells_are_counted_with_those_of_dearer_budgets():
    big = make_study(alphas=(0.1,), pairs=("adamw",), seeds=9_000)
    lambdas = [0.001 * (1 + i) for i in range(100)]
    whole = big.change_panels(**{"lambda": lambdas})  # 900,000 cells
    with pytest.raises(SpecError, match="1197000 cells are more than 1000000"):
        whole.change_panels(epochs=[3, 9])


def test_the_page_counts_its_example_right():
    page = (Path(__file__).parents[3] / "docs" / "designs.md").read_text(encoding="utf-8")
    section = page.split("## Cheap budgets first\n")[1].split("\n## ")[0]
    example, by_hand = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    found = Study.from_toml(example, "the page")
    counts = [found.at_once(p) for p in found.panels]
    trainings = [found.trainings(p) for p in found.panels]
    epochs = sum(n * (p.epochs or 0) for n, p in zip(trainings, found.panels, strict=True))
    whole = [trainings[0] * (p.epochs or 0) for p in found.panels]
    first, second, third = counts
    assert f"with {first} cells" in section
    assert f"the best {second} of them" in section
    assert f"the best {third} of those" in section
    assert f"{sum(trainings)} trainings and {epochs:,} epochs in all" in section
    assert f"would take {3 * trainings[0]:,} and {sum(whole):,}." in section
    assert "never fewer than 8." in section  # cells
    assert FEWEST_PROMOTED == 8
    both = Study.from_toml(by_hand, "the page")
    assert both.panels[1].design == Promoted(best_of="adamw", share=0.2)
