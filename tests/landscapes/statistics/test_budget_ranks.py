"""What a cheap budget tells of a dear one: known answers, and the same as of whole grids."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from landscape_study.landscapes.statistics.budget_ranks import budget_rank, budget_steps
from landscape_study.landscapes.statistics.comparison import compare
from landscape_study.landscapes.statistics.optimum import optimum
from landscape_study.study.spec.design import Promoted
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.study import Study
from tests.landscapes.statistics.budget_coverage import shares
from tests.landscapes.statistics.test_comparison import holds, valley


def means(frame: pd.DataFrame) -> pd.Series:
    return frame.groupby(["alpha", "lambda"])["test_error"].mean()


def best_third(cheap: pd.DataFrame, dear: pd.DataFrame) -> pd.DataFrame:
    """The rows of `dear` in the best third of the cells of `cheap`."""
    best = means(cheap).nsmallest(40).index
    return dear[pd.MultiIndex.from_frame(dear[["alpha", "lambda"]]).isin(best)]


def scattered(frame: pd.DataFrame) -> pd.DataFrame:
    """A few cells of a grid, none beside another."""
    spots = (np.log2(frame["alpha"]) * 3 + np.log2(frame["lambda"])) % 11 == 0
    return frame[spots]


def test_whole_grids_have_the_numbers_of_their_comparison():
    cheap, dear = valley(), valley(seed=1, shift=(1.0, -1.0))
    found, whole = budget_rank(cheap, dear), compare(cheap, dear)
    assert (found.rank, found.lost, found.cells) == (whole.rank, whole.transfer, whole.common)
    moved = (optimum(dear, seed=1).alpha - optimum(cheap).alpha).estimate()
    assert found.alpha.value == pytest.approx(moved.value)
    assert (found.alpha.low, found.alpha.high) == pytest.approx((moved.low, moved.high))
    assert holds(found.alpha, 1.0)
    assert holds(found.lambda_, -1.0)


def test_ranks_are_those_of_scipy_over_the_cells_that_both_have():
    cheap, dear = valley(noise=1.0), valley(noise=1.0, seed=1, shift=(1.0, 1.0))
    few = best_third(cheap, dear)
    known = spearmanr(means(cheap).loc[means(few).index], means(few)).statistic
    found = budget_rank(cheap, few)
    assert found.cells == 40
    assert found.rank.value == pytest.approx(known)
    assert found.rank.low < known < found.rank.high
    place = (means(cheap) <= means(cheap).loc[means(few).idxmin()]).sum()
    assert found.place == (place, 121)


def test_chosen_cells_rank_lower_than_all():
    cheap, dear = valley(noise=0.5), valley(noise=0.5, seed=1)
    whole, few = budget_rank(cheap, dear), budget_rank(cheap, best_third(cheap, dear))
    assert few.rank.value < whole.rank.value - 0.2
    assert few.rank.value < whole.rank.low


def test_what_the_best_cheap_cell_costs_says_whether_it_is_enough():
    cheap = valley(noise=0.05)
    found = budget_rank(cheap, valley(seed=1, noise=0.05, shift=(4.0, 0.0)))
    assert found.lost.value == pytest.approx(0.1 * 4**2, abs=0.15)
    assert found.is_enough is False
    assert budget_rank(cheap, valley(seed=9, noise=0.02)).is_enough is True


def test_noise_leaves_open_whether_the_cheap_budget_is_enough():
    found = budget_rank(valley(noise=0.5), valley(noise=0.5, seed=1, shift=(1.0, 0.0)))
    assert found.lost.low < found.units.matters < found.lost.high
    assert found.is_enough is None


@pytest.mark.parametrize(("shift", "is_cut"), [(0.0, False), (2.0, False), (5.0, True)])
def test_a_best_cell_beside_some_that_were_not_chosen_asks_for_more(shift: float, is_cut: bool):
    cheap = valley(noise=0.01)
    dear = valley(noise=0.01, seed=1, shift=(shift, 0.0))
    assert budget_rank(cheap, best_third(cheap, dear), is_chosen=True).is_cut is is_cut
    assert not budget_rank(cheap, best_third(cheap, dear)).is_cut  # not chosen, but not trained
    assert not budget_rank(cheap, dear, is_chosen=True).is_cut


def test_cells_that_diverged_at_the_cheap_budget_are_none_that_were_left_out():
    cheap, dear = valley(noise=0.01), valley(noise=0.01, seed=1, shift=(5.0, 0.0))
    few = best_third(cheap, dear)
    spots = pd.MultiIndex.from_frame(cheap[["alpha", "lambda"]])
    chosen = spots.isin(pd.MultiIndex.from_frame(few[["alpha", "lambda"]]))
    assert not budget_rank(cheap.assign(diverged=~chosen), few, is_chosen=True).is_cut


def test_scattered_cells_are_ranked_as_they_are():
    """No surface between them is: `compare` finds no common cell there."""
    cheap, dear = scattered(valley(noise=0.02)), scattered(valley(noise=0.02, seed=1))
    assert compare(cheap, dear).common == 0
    found = budget_rank(cheap, dear)
    assert (found.cells, found.rank.value) == (11, pytest.approx(1, abs=0.05))
    assert found.rank.has_interval


def test_values_that_a_database_rounded_are_the_same_cells():
    cheap, dear = valley(), valley(seed=1)
    dear["alpha"] *= 1 + 1e-12
    assert budget_rank(cheap, dear).cells == 121


@pytest.mark.parametrize(
    ("spoil", "cells"),
    [
        pytest.param(lambda f: f.iloc[:0], 0, id="empty"),
        pytest.param(lambda f: f.assign(state="open"), 0, id="nothing finished"),
        pytest.param(lambda f: f.assign(alpha=3 * f["alpha"]), 0, id="no common cell"),
        pytest.param(lambda f: f.assign(**{"lambda": 0.0}), 0, id="no decay"),
        pytest.param(lambda f: f.assign(diverged=True), 121, id="all diverged"),
        pytest.param(lambda f: f[(f["alpha"] == 1) & (f["lambda"] == 1)], 1, id="one cell"),
    ],
)
def test_what_cannot_be_told_is_nan(spoil, cells: int):
    found = budget_rank(valley(), spoil(valley(seed=1)))
    assert found.cells == cells
    assert math.isnan(found.rank.value)
    assert found.is_enough is None
    assert (found.place is None) is (found.cells != 1)


def test_diverged_cells_share_the_last_rank():
    cheap, dear = valley(), valley(seed=1)
    worst = (dear["alpha"] > 8) & (dear["lambda"] > 4)
    found = budget_rank(cheap, dear.assign(diverged=worst))
    assert 0.9 < found.rank.value < 1
    assert holds(found.lost, 0.0)


def test_costs_are_in_the_metrics_own_unit():
    nats = Metric("nll", "nll", unit="nats", matters=0.001)
    frames = [
        valley(seed=seed, shift=(2.0 * seed, 0.0), noise=0.05).rename(
            columns={"test_error": "nll"}
        )
        for seed in (0, 1)
    ]
    small = [one.assign(nll=one["nll"] / 250) for one in frames]
    found = budget_rank(*small, nats)
    assert holds(found.lost, 0.4 / 250)
    assert found.units.matters == 0.001


def names(*panels: dict[str, object], **rest: object) -> list[tuple[str, str]]:
    study = {"name": "s", "task": "digits", "alpha": [0.1], "lambda": [0.01]} | rest
    return budget_steps(Study.from_dict(study | {"panel": [*panels]}, "test").panels)


def test_consecutive_budgets_of_what_is_else_alike():
    assert names({"pair": "adamw", "epochs": [60, 15, 240]}, {"pair": "sgd", "epochs": 15}) == [
        ("adamw-15-epochs", "adamw-60-epochs"),
        ("adamw-60-epochs", "adamw-240-epochs"),
    ]
    other = {"pair": "adamw", "name": "b", "epochs": 60}
    short = {"pair": "adamw", "name": "a", "epochs": 15}
    assert names(other, short) == [("a", "b")]
    for own in ({"schedule": "linear"}, {"normalized": True}, {"batch_size": 5}, {"epochs": 15}):
        assert names(other | own, short) == []


def test_of_an_objective_who_has_the_best_cells_of_whom():
    long = {"pair": "long", "design": {"best_of": "short"}}
    command = {"command": ["a", "{alpha}", "{lambda}", "{pair}"], "metric": "loss"}
    assert names({"pair": "short"}, long, **command) == [("short", "long")]
    assert names({"pair": "short"}, {"pair": "long"}, **command) == []


@pytest.mark.parametrize("chosen", [False, True])
def test_intervals_hold_the_truth_and_say_whether_the_cheap_budget_is_enough(chosen: bool):
    _, lost, enough, _ = shares(0.0, 0.03, 3, chosen=chosen, repeats=8)
    assert (lost, enough) == (1.0, 1.0)
    rank, lost, enough, too_few = shares(4.0, 0.03, 3, chosen=chosen, repeats=8)
    assert rank >= (0.3 if chosen else 0.7)
    assert lost >= 0.7
    assert (enough, too_few) == (0.0, 1.0)


@pytest.mark.parametrize(("panel", "place", "worse"), [("raw", 36, 0.03), ("norm", 46, 0.15)])
def test_what_the_page_says_of_the_digits(panel: str, place: int, worse: float):
    """docs/designs.md: what is lost by promoting a third of the cells twice."""
    root = Path(__file__).parents[3]
    whole = pd.read_csv(root / "results" / "reference" / "digits-supp3.csv")
    cheap, middle, dear = (
        whole[whole["panel"] == f"adamw-{panel}-{epochs}-epochs"] for epochs in (15, 60, 240)
    )
    assert budget_rank(cheap, dear, replicates=10).place == (place, 72)
    promoted = Promoted(best_of="cheap")
    first = means(cheap).nsmallest(promoted.chosen(72)).index
    second = means(middle).loc[first].nsmallest(promoted.chosen(24)).index
    assert (len(first), len(second)) == (24, 8)
    assert means(dear).loc[second].min() - means(dear).min() == pytest.approx(worse, abs=0.005)
    page = (root / "docs" / "designs.md").read_text(encoding="utf-8")
    assert re.search(rf"place {place}\b", page)
    assert re.search(rf"\b{worse} ", page)
