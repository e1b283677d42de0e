"""Samplers replayed on landscapes that are known whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.samplers import (
    OTHERS,
    Whole,
    known_landscapes,
    main,
    outcome,
    replayed,
    summary,
    valley,
)
from click.testing import CliRunner


def test_every_landscape_is_a_whole_one_with_its_seeds():
    wholes = list(known_landscapes())
    assert len({one.name for one in wholes}) == len(wholes) > 35
    for one in wholes:
        assert not one.cells.duplicated(["alpha", "lambda", "seed"]).any()
        assert (one.cells["lambda"] > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["verdict", "random"])
def test_each_training_is_answered_once(sampler: str):
    whole = valley(-1.0, 0.1)
    rows = replayed(whole, sampler, 40, seed=0)
    assert len(set(rows)) == len(rows) <= 40
    if sampler == "random":
        assert len(rows) == 40
        assert set(whole.cells.loc[rows, "seed"]) == {0.0}


def test_the_outcome_is_judged_against_the_whole_landscape():
    whole = valley(0.0, 0.1)
    verdict, gap = outcome(whole, list(whole.cells.index))
    assert (verdict, gap) == ("separable", 0.0)
    bad = whole.cells["test_error"].nlargest(20).index
    _, far = outcome(Whole("bad", whole.cells), list(bad))
    assert far > 3.0
    assert np.isfinite(far)


def test_contrary_verdicts_and_those_where_there_is_none_are_counted_apart():
    told = [
        *(("coupled", "coupled"), ("coupled", "separable"), ("coupled", "cannot tell")),
        *(("cannot tell", "coupled"), ("cannot tell", "cannot tell")),
    ]
    rows = pd.DataFrame(told, columns=["full", "verdict"])
    rows = rows.assign(sampler="verdict", landscape=rows["full"], gap=0.0, share=0.25)
    found = summary(rows).loc["verdict"]
    assert found["the grid's verdict"] == found["cannot tell"] == pytest.approx(1 / 3)
    assert found["the contrary"] == pytest.approx(1 / 3)
    assert found["a verdict where there is none"] == 0.5
    assert "a verdict where there is none" in summary(rows[:3])


def test_asking_is_timed():
    result = CliRunner().invoke(main, ["--asking", "--against", "random"])
    assert result.exit_code == 0, result.output
    told = [line.partition(" cells after 500 trials in ")[0] for line in result.output.split("\n")]
    assert told == ["verdict: 32", "random: 32", ""]


@pytest.mark.long
def test_it_works_from_end_to_end():
    result = CliRunner().invoke(main, ["--quick"])
    assert result.exit_code == 0, result.output
    assert "fig2/sgdw: separable; verdict says so in" in result.output
    for name in ("verdict", OTHERS[0]):
        assert f"\n{name} " in result.output
