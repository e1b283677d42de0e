"""A witness says how far a cell lies from what the plain loop gives."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest

from landscape_study.study.records.witness_record import Witness

AGREES = Witness("sgd", 0, 0.1, 0.01, 60, recorded=2.5, found=2.75, rounding=0.1, agrees=True)
DIFFERS = replace(AGREES, agrees=False, why="train loss after epoch 3: 0.52 recorded, 0.71 found")


@pytest.mark.parametrize(
    ("noise", "deviations", "apart"),
    [
        (0.5, 0.5, "0.5 sd"),
        (0.125, 2.0, "2.0 sd"),
        (None, math.nan, "0.25 points"),
        (0.0, math.nan, "0.25 points"),
        (math.nan, math.nan, "0.25 points"),
    ],
    ids=["wide", "narrow", "one seed", "no noise", "unknown"],
)
def test_the_distance_is_told_in_deviations_where_they_are_known(
    noise: float | None, deviations: float, apart: str
):
    assert AGREES.distance == 0.25
    assert AGREES.deviations(noise) == pytest.approx(deviations, nan_ok=True)
    assert AGREES.apart(noise) == apart


@pytest.mark.parametrize("lost", [{"recorded": math.nan}, {"found": math.nan}])
def test_of_what_diverged_the_distance_is_not_known(lost: dict[str, float]):
    one = replace(DIFFERS, **lost)
    assert math.isnan(one.distance)
    assert one.apart(0.5) == one.apart(None) == "distance unknown"


def test_the_line_says_whether_it_agrees_how_far_and_after_how_long():
    assert AGREES.line(0.5, 60) == "agrees, 0.5 sd (60 of 60 epochs)"
    assert replace(AGREES, epochs=7).line(None, 60) == "agrees, 0.25 points (7 of 60 epochs)"
    assert DIFFERS.line(0.5, 60) == (
        "DISAGREES: train loss after epoch 3: 0.52 recorded, 0.71 found; "
        "the error lies 0.5 sd apart (60 of 60 epochs)"
    )
    assert replace(DIFFERS, found=math.nan, why="diverged").line(0.5, 60) == (
        "DISAGREES: diverged (60 of 60 epochs)"
    )


def test_it_is_read_without_torch():
    module = "landscape_study.study.records.witness_record"
    code = f"import sys, {module}; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
