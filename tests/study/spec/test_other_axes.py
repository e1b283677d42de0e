"""Panels over two numbers that are not both α and λ: which they are, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landscape_study.study.errors import SpecError, StudyMismatchError
from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.cell_numbers import as_text, from_text
from landscape_study.study.spec.extension import extended_study, refined_study
from landscape_study.study.spec.study import Cell, Grid, Study

BETAS = [0.9, 0.99, 0.999]
LAMBDA = {"base": 0.001, "log2": [-1, 1], "zero": True}
PANEL = {"pair": "adamw", "alpha": 0.01, "beta2": BETAS, "lambda": LAMBDA}


def study(**changes: object) -> Study:
    """A study of one panel, by default over β2 and λ; None takes a key away."""
    panel = {key: value for key, value in (PANEL | changes).items() if value is not None}
    return Study.from_dict({"name": "mine", "task": "digits", "panel": [panel]}, "mine.toml")


def test_a_panel_may_be_over_beta2_and_lambda():
    (panel,) = study().panels
    assert panel.grid.names == ("beta2", "lambda")
    assert panel.grid.fixed == {"alpha": 0.01}
    assert panel.cells()[0] == Cell(0.01, 0.0, (("beta2", 0.9),))
    assert len(panel.cells()) == panel.grid.size == 3 * 4
    assert (panel.kinds, panel.at_once(seeds=1)) == (3, 4)  # that may be trained together


def test_alpha_goes_upwards_and_lambda_to_the_right_where_they_are_axes():
    over = {"lambda": 0.001, "alpha": [0.1, 0.2]}
    assert study(**over).panels[0].grid.names == ("alpha", "beta2")
    neither = study(**{"lambda": 0.001, "batch_size": [32, 64]}).panels[0]
    assert neither.grid.names == ("beta2", "batch_size")
    assert neither.grid.fixed == {"alpha": 0.01, "lambda": 0.001}


def test_options_and_batch_size_are_those_of_the_cells():
    made = study(**{"lambda": 0.001, "batch_size": [32, 64]})
    (panel,) = made.panels
    own = panel.cells()[0].own
    assert made.options_of(panel, own) == Options(beta2=0.9)
    assert made.batch_size_of(panel, own) == 32
    assert {made.batch_size_of(panel, own) for own in panel.owns} == {32, 64}


def test_what_is_over_alpha_and_lambda_is_written_as_ever():
    usual = study(alpha=[0.1, 0.2], beta2=None)
    table = usual.panels[0].to_toml()
    assert list(table)[-2:] == ["alpha", "lambda"]
    assert "axes" not in usual.panels[0].settings()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": [0.1, 0.2]}, r"3 axes \(alpha, beta2, lambda\), and a panel has two"),
        ({"lambda": 0.1}, r"1 axis \(beta2\), and a panel has two: give one more"),
        ({"alpha": None}, "alpha is missing: give one number"),
        ({"bta2": BETAS, "beta2": None}, "bta2: unknown key: did you mean beta2?"),
        ({"pair": "sgdw"}, "beta2: sgd has none: its axes may be alpha, momentum, clip_norm"),
        ({"beta2": [0.9, 1.0]}, "beta2: 1 is not below 1"),
        ({"beta2": [0.9, 0.9]}, "beta2: 0.9 stands there more than once"),
        ({"beta2": 0.9}, r"beta2 = 0.9 is no axis: .* in options = { beta2 = 0.9 }"),
        ({"beta2": None, "batch_size": [0.5, 1]}, "batch_size: 0.5 is no whole number"),
        ({"beta2": None, "eps": [0, 1e-8]}, "eps is positive: leave out 0"),
        ({"options": {"beta2": 0.9}}, "beta2 is an axis, and 0.9 elsewhere: leave out one"),
        ({"extra_cells": [[0.9999, 0.001]]}, r"\[0.9999, 0.001\] lies beyond the axes"),
        ({"extra_cells": [[0.95]]}, "is no cell: give beta2 and lambda"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changes: dict[str, object], message: str):
    with pytest.raises(SpecError, match=message) as e:
        study(**changes)
    assert len(str(e.value).splitlines()) == 1


def test_a_share_is_extended_in_what_is_left_of_1():
    grown = extended_study(study(), [("adamw", "beta2-high"), ("adamw", "beta2-low")], steps=2)
    assert grown.panels[0].grid.rows.values == (0.0, *BETAS, 0.9999, 0.99999)
    with pytest.raises(SpecError, match="beyond 0 lie no values of beta2"):
        extended_study(grown, [("adamw", "beta2-low")])
    with pytest.raises(SpecError, match="unknown side 'alpha-low'"):
        extended_study(study(), [("adamw", "alpha-low")])


def test_batch_sizes_stay_whole():
    made = study(**{"beta2": None, "batch_size": [2, 4]})
    low = extended_study(made, [("adamw", "batch_size-low")], steps=1)
    assert low.panels[0].grid.rows.values == (1.0, 2.0, 4.0)
    with pytest.raises(SpecError, match="beyond 1 lie no values of batch_size"):
        extended_study(low, [("adamw", "batch_size-low")])


def test_a_study_grows_but_not_into_other_axes():
    cell = Cell(0.01, 0.001, (("beta2", 0.95),))
    refined = refined_study(study(), {"adamw": [cell]})
    assert study().merge(refined, "db") == refined
    assert cell in refined.panels[0].cells()
    with pytest.raises(StudyMismatchError, match="axes = 'beta2 × lambda', this asks for 'alpha"):
        study().merge(study(alpha=[0.1, 0.2], beta2=None), "db")
    with pytest.raises(StudyMismatchError, match=r"alpha = 0\.01, this asks for 0\.02"):
        study().merge(study(alpha=0.02), "db")


def test_the_best_cells_of_other_axes_are_none_of_a_panel():
    usual = {"pair": "adamw", "name": "usual", "alpha": [0.1], "lambda": [0]}
    dear = PANEL | {"name": "dear", "design": {"best_of": "usual"}, "epochs": 9}
    with pytest.raises(SpecError, match="panel 'dear' has other axes than 'usual'"):
        Study.from_dict({"name": "mine", "task": "digits", "panel": [usual, dear]}, "mine.toml")
    made = study(epochs=[2, 4])
    assert {panel.grid.names for panel in made.panels} == {("beta2", "lambda")}


shares = st.lists(st.floats(0, 0.9999), min_size=1, max_size=4, unique=True)
positive = st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=4, unique=True)
whole = st.lists(st.integers(1, 4096), min_size=1, max_size=4, unique=True)
others = st.one_of(
    st.tuples(st.sampled_from(["beta1", "beta2"]), shares),
    st.tuples(st.sampled_from(["eps", "clip_norm"]), positive),
    st.tuples(st.just("batch_size"), whole),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(others, min_size=2, max_size=2, unique_by=lambda one: one[0]), st.booleans())
def test_a_study_survives_toml(axes: list[tuple[str, list[float]]], has_lambda: bool):
    (name, values), other = axes
    given_axes = {name: values} | ({} if has_lambda else dict([other]))
    changes = given_axes | {"lambda": LAMBDA if has_lambda else 0.001}
    made = study(**({"beta2": None} | changes))
    again = Study.from_toml(made.to_toml(), "again")
    assert again == made
    assert again.panels[0].cells() == made.panels[0].cells()
    for cell in made.panels[0].cells():
        assert from_text(as_text(cell.own)) == cell.own
        assert made.panels[0].grid.cell(*made.panels[0].grid.place(cell)) == cell


class TestObjectives:
    COMMAND = ("python", "train.py", "{dropout}", "{width}")

    def made(self, command: tuple[str, ...] = COMMAND, **panel: object) -> Study:
        own = {"alpha": 0.1, "lambda": 0, "dropout": [0, 0.1], "width": [32, 64]} | panel
        table = {"name": "mine", "command": list(command), "metric": "loss"}
        return Study.from_dict(table | {"panel": [{"pair": "mine"} | own]}, "mine.toml")

    def test_a_command_has_whatever_numbers_its_user_names(self):
        made = self.made()
        assert made.panels[0].grid.names == ("dropout", "width")
        assert made.panels[0].cells()[0].own == (("dropout", 0.0), ("width", 32.0))
        assert Study.from_toml(made.to_toml(), "again") == made

    @pytest.mark.parametrize(
        ("command", "panel", "message"),
        [
            (("train", "{width}"), {}, r"the command has no {dropout}"),
            (("train", "{dropout}", "{wdth}"), {}, r"did you mean {width}\?"),
            (COMMAND, {"seed": [1, 2], "width": None}, "seed: a number of a cell cannot be"),
        ],
    )
    def test_what_the_command_does_not_hear_of_is_refused(
        self, command: tuple[str, ...], panel: dict[str, object], message: str
    ):
        panel = {key: value for key, value in panel.items() if value is not None}
        if "seed" in panel:
            command, panel = (*command, "{seed}"), panel | {"width": 1}
        with pytest.raises(SpecError, match=message):
            self.made(command, **panel)


@pytest.mark.parametrize(("name", "values"), [("beta2", [0.9, 1]), ("batch_size", [0.5, 50])])
@pytest.mark.parametrize("more", [{}, {"extra_cells": [[0.95, 0.15]]}])
def test_a_wrong_value_is_told_whatever_stands_beside(name: str, values: list, more: dict):
    panel = {"pair": "adamw", "alpha": 0.1, "lambda": [0, 1], name: values} | more
    with pytest.raises(SpecError, match=f"{name}: (1 is not below 1|0.5 is no whole number)"):
        Study.from_dict({"name": "a", "task": "digits", "panel": [panel]}, "mine.toml")
    for extra in ([], [Cell(0.1, 0.0)]):
        with pytest.raises(ValueError, match=r"is not below 1|is no whole number"):
            Grid(**{"alpha": 0.1, "lambda": [0, 1], name: values, "extra_cells": extra})
