"""Which panels differ in one number only, and what stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.panel_families import families, known_families
from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Grid
from tests.landscapes.statistics.law_coverage import Setting, panel_of

ONE = panel_of(Setting(octaves=1.0), 50, 0)


def panel(name: str = "", size: int = 50, epochs: int = 60, **changes) -> PanelData:
    """A panel of 500 examples."""
    own = ONE.panel
    assert own is not None
    settings = {key: changes.pop(key) for key in ("pair", "normalized") if key in changes}
    fields = {"name": name or f"b{size}-{epochs}", "epochs": epochs, "batch_size": size}
    made = own.model_copy(update=fields | settings)
    known = {"name": made.name, "panel": made, "batch_size": size, "examples": 500}
    return replace(ONE, **known | changes)


def told(panels: Sequence[PanelData], *args, **more) -> list[tuple[list[str], tuple, str, bool]]:
    return [
        ([one.name for one in family.panels], family.values, family.held, family.steps_held)
        for family in families(panels, *args, **more)
    ]


def test_over_batch_sizes_with_the_epochs_held():
    found = told([panel(size=100), panel(size=25), panel(size=50)])
    names, sizes = ["b25-60", "b50-60", "b100-60"], (25, 50, 100)
    assert found == [(names, sizes, "60 epochs, so that larger batches make fewer steps", False)]


def test_over_batch_sizes_with_the_steps_held():
    panels = [panel(size=25, epochs=30), panel(size=50), panel(size=100, epochs=120)]
    (found,) = told(panels)
    assert found[1:] == (
        (25, 50, 100),
        "about 600 steps, so that larger batches make more epochs",
        True,
    )


def test_steps_that_round_are_the_same():
    panels = [panel(size=32, epochs=38), panel(size=64, epochs=76), panel(size=128, epochs=152)]
    (found,) = told(panels, "batch_size")
    assert found[1] == (32, 64, 128)
    assert found[3]


def test_a_study_may_have_both():
    fixed = [panel(size=size) for size in (25, 50, 100)]
    more = [panel(size=25, epochs=30), panel(size=100, epochs=120)]
    found = told([*fixed, *more], "batch_size")
    assert [(len(one[0]), one[3]) for one in found] == [(3, False), (3, True)]


@pytest.mark.parametrize(("over", "values"), [("epochs", (15, 60)), ("steps", (150, 600))])
def test_over_budgets(over, values):
    assert told([panel(epochs=60), panel(epochs=15)], over) == [
        (["b50-15", "b50-60"], values, "batches of 50", False)
    ]


def test_pairs_and_kinds_of_lambda_are_apart():
    panels = [
        panel(f"{pair}{size}{normalized}", size, pair=pair, normalized=normalized)
        for pair in ("adamw", "sgdw")
        for normalized in (False, True)
        for size in (25, 50)
    ]
    assert len(families(panels)) == 4
    assert known_families(panels) == []  # of two values
    assert families(panels)[1].title == "AdamW, cosine, λ_norm"


def test_several_numbers_are_to_be_chosen_from():
    panels = [panel(size=25), panel(size=50), panel(epochs=15)]
    with pytest.raises(UsageError, match="differ in batch size and epochs: choose --over batch_"):
        families(panels)


def test_the_one_that_has_enough_values_goes_before():
    panels = [panel(size=25), panel(size=50), panel(size=100), panel(epochs=15)]
    assert [family.over for family in families(panels)] == ["batch_size"]
    assert [family.over for family in known_families(panels)] == ["batch_size"]
    with pytest.raises(UsageError, match="choose --over"):
        families([*panels, panel(epochs=240)])


@pytest.mark.parametrize(
    ("panels", "over", "message"),
    [
        (
            [panel(), panel("again")],
            None,
            r"all have the same batch size \(50\): give the study more",
        ),
        ([panel(), panel("again")], "epochs", r"all have the same epochs \(60\).*epochs = 120"),
        (
            [panel(size=25), panel(size=50, epochs=90)],
            "batch_size",
            "panels b25-60 and b50-90 differ in batch size and in epochs",
        ),
        (
            [panel(size=25, epochs=15), panel(size=50)],
            "epochs",
            "panels b25-15 and b50-60 differ in epochs and in batch size: give panels that",
        ),
        (
            [panel(size=25), panel(size=50, options=Options(beta2=0.99))],
            "batch_size",
            "differ in batch size and in beta2",
        ),
        ([panel(), panel(size=25)], "width", "how wide the networks of panels are"),
        (
            [panel(examples=None), panel(examples=None, epochs=15)],
            "steps",
            "steps they trained is not known here: take --over epochs",
        ),
    ],
)
def test_none_is_told_why(panels, over, message):
    with pytest.raises(UsageError, match=message):
        families(panels, over)


class TestTold:
    """Numbers that a user says."""

    def test_by_panel_by_study_and_by_both(self):
        panels = [panel("a/x", study="a"), panel("b/x", study="b"), panel("c/x", study="c")]
        (found,) = families(panels, told={"a": 64, "b/x": 128, "c": 32})
        assert found.over == "width"
        assert [one.name for one in found.panels] == ["c/x", "a/x", "b/x"]
        assert found.values == (32, 64, 128)

    def test_panels_of_which_nothing_is_said_are_left_out(self):
        panels = [panel("x"), panel("y"), panel("z")]
        (found,) = families(panels, "width", {"x": 1, "z": 2})
        assert [one.name for one in found.panels] == ["x", "z"]

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ({"q": 64, "x": 1}, "--x q: no such panel or study: name one of x, y"),
            ({"x": -1, "y": 2}, "--x x=-1: give a positive number"),
            ({"x": 64}, "no two panels of a pair have another width"),
        ],
    )
    def test_what_is_wrong_is_told(self, said, message):
        with pytest.raises(UsageError, match=message):
            families([panel("x"), panel("y")], "width", said)

    def test_panels_that_differ_in_a_known_number_too_are_refused(self):
        with pytest.raises(UsageError, match="x and y differ in batch size besides the width"):
            families([panel("x"), panel("y", size=25)], "width", {"x": 1, "y": 2})


def test_optimizers_with_other_arguments_are_no_family():
    own = {"pair": "torch.optim:NAdam"}
    one, other = panel(size=50, **own), panel(size=100, **own)
    assert len(told([one, other])) == 1
    changed = other.panel.model_copy(update={"optimizer": {"betas": [0.5, 0.9]}})
    with pytest.raises(UsageError, match="b50-60 and b100-60 differ in batch size and in betas"):
        families([one, replace(other, panel=changed)])


def test_what_is_told_of_a_panel_is_not_what_is_known_otherwise():
    panels = [panel(size=50), panel(size=100)]
    with pytest.raises(UsageError, match="--x gives panel b50-60 7, and its batch size is 50"):
        families(panels, "batch_size", {"b50-60": 7, "b100-60": 100})
    assert len(families(panels, "batch_size", {"b50-60": 50, "b100-60": 100})) == 1


def test_panels_over_other_axes_have_no_law():
    grid = Grid(**{"alpha": 0.1, "lambda": [0.1, 0.2], "beta2": [0.9, 0.99]})
    panels = [panel(size=size) for size in (50, 100)]
    other = [replace(p, panel=p.panel.model_copy(update={"grid": grid})) for p in panels]
    with pytest.raises(UsageError, match="its panels are over beta2 × lambda, and laws are of"):
        families(other)
    assert [len(one.panels) for one in families([*panels, *other])] == [2]
