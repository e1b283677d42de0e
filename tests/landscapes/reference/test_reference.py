import pytest

from landscape_study.landscapes.reading.landscape import top_cells
from landscape_study.landscapes.reference import (
    circled_cells,
    reference_frame,
    reference_landscapes,
)
from landscape_study.landscapes.statistics.separability import separability
from landscape_study.study.errors import UsageError

PAIRS = ["sgd", "sgdw", "adam", "adamw"]


@pytest.mark.parametrize(
    ("pair", "verdict", "tilt"),
    [
        ("sgd", "coupled", -0.88),
        ("sgdw", "separable", -0.03),
        ("adam", "coupled", -0.78),
        ("adamw", "separable", -0.01),
    ],
)
def test_the_paper_sees_what_the_numbers_say(pair, verdict, tilt):
    frame = reference_frame("fig2")
    found = separability(frame[frame["panel"] == pair])
    assert found.verdict == verdict
    assert found.tilt.value == pytest.approx(tilt, abs=0.02)
    for seed in (1, 2, 3):
        again = separability(frame[frame["panel"] == pair], replicates=200, seed=seed)
        assert again.verdict == verdict


def test_the_frame_is_a_landscape_frame():
    frame = reference_frame("fig2")
    assert list(dict.fromkeys(frame["panel"])) == PAIRS
    assert set(frame["study"]) == {"paper-fig2"}
    assert frame.groupby("panel").size().tolist() == [121] * 4
    assert frame["test_error"].between(2.5, 7).all()
    assert (frame["clipped"] == (frame["test_error"] == 7)).all()
    assert not frame.duplicated(["panel", "alpha", "lambda"]).any()


@pytest.mark.parametrize("pair", PAIRS)
def test_ten_cells_are_circled_and_they_are_the_best(pair):
    (found,) = reference_landscapes("fig2", [pair])
    circled = circled_cells("fig2", pair)
    best = {
        (found.alpha.values[row], found.lambda_.values[col]) for row, col in top_cells(found, 10)
    }
    assert len(circled) == 10
    assert len(best & set(circled)) >= 7  # colours under the rims of circles are less sure


def test_landscapes_in_the_figures_order():
    found = reference_landscapes("fig2")
    assert [one.pair for one in found] == PAIRS
    assert [one.title for one in found][:2] == ["SGD + L2, paper", "SGDW, paper"]
    assert {one.error.shape for one in found} == {(11, 11)}
    assert [one.pair for one in reference_landscapes("fig2", ["adamw", "nadam"])] == ["adamw"]


def test_errors():
    with pytest.raises(UsageError, match="unknown reference 'fig9': choose one of fig2"):
        reference_frame("fig9")
    assert circled_cells("fig2", "nadam") == []
