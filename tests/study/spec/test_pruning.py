"""What a study says of hopeless cells."""

from __future__ import annotations

import re

import pytest

from landscape_study.study.errors import SpecError
from landscape_study.study.spec.study import Study
from tests.conftest import make_study

FILE = """
name = "small"
task = "digits"
alpha = [0.1, 0.2]
lambda = [0.0, 0.1]
{}
[[panel]]
pair = "sgdw"
[[panel]]
pair = "adamw"
{}
"""
SCRIPT = """
name = "script"
command = ["python", "train.py", "{{alpha}}", "{{lambda}}"]
metric = "loss"
alpha = [0.1, 0.2]
lambda = [0.0, 0.1]
{}
"""


def test_a_name_stands_for_its_usual_numbers():
    study = Study.from_toml(FILE.format('prune = "halving"', ""), "here")
    asked = [panel.prune for panel in study.panels]
    assert [(one.pruner, one.keep, one.at) for one in asked] == [
        ("halving", 0.5, (0.125, 0.5))
    ] * 2


def test_a_panel_has_its_own_and_toml_gives_the_same():
    own = 'prune = { pruner = "median", arguments = { n_startup_trials = 3 } }'
    study = Study.from_toml(FILE.format('prune = { pruner = "halving", keep = 0.3 }', own), "here")
    assert study.panels[0].prune.keep == 0.3
    assert study.panels[1].prune.arguments == {"n_startup_trials": 3}
    assert Study.from_toml(study.to_toml(), "there") == study


def test_finished_cells_do_not_depend_on_it():
    """What is pruned may change from run to run under one name."""
    plain = make_study()
    asked = plain.change_panels(prune="halving")
    assert plain.merge(asked, "here") == asked
    assert asked.merge(plain, "here") == plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            FILE.format('prune = "best"', ""),
            "unknown pruner 'best': choose one of surface",
        ),
        (FILE.format("prune = 0.5", ""), "0.5 says nothing of hopeless cells: write"),
        (
            FILE.format('prune = { pruner = "median", keep = 0.5 }', ""),
            "keep: the pruner 'median' takes none of it, but arguments",
        ),
        (
            FILE.format('prune = { pruner = "halving", arguments = { a = 1 } }', ""),
            "arguments: the pruner 'halving' takes none of it, but keep and at",
        ),
        (FILE.format('prune = { pruner = "halving", at = [2.0] }', ""), "at 1: Input should be"),
        (
            FILE.format('prune = { pruner = "halving", at = [] }', ""),
            "at: give at least one",
        ),
        (
            SCRIPT.format('prune = "halving"').replace("{{", "{").replace("}}", "}"),
            "an objective trains one at a time: choose surface, or a pruner of Optuna's",
        ),
    ],
)
def test_what_cannot_be_is_refused(text, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        Study.from_toml(text, "here")
