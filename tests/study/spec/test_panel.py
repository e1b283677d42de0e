"""What a panel has for itself, beside what its study says."""

import math

import pytest

from landscape_study.study.errors import SpecError, StudyMismatchError
from landscape_study.study.pairs.options import Options, PanelOptions
from landscape_study.study.spec.study import Study

ROUNDINGS = {"precision", "bf16", "tf32", "channels_last"}  # which all data of a study have

TWO = """
name = "two"
task = "digits"
alpha = [0.1]
lambda = [0, 0.01]
batch_size = 100
options = { beta2 = 0.99, clip_norm = 1.0 }

[[panel]]
pair = "adamw"

[[panel]]
pair = "adamw"
name = "small"
batch_size = 25
options = { beta2 = 0.95, clip_norm = inf }
"""


def test_a_panel_may_have_every_option_but_roundings():
    assert PanelOptions.model_fields.keys() == Options.model_fields.keys() - ROUNDINGS


def test_its_own_numbers_stand_before_the_studys():
    study = Study.from_toml(TWO, "x").resolve(batch_size=1, epochs=2)
    plain, small = study.panels
    assert (study.batch_size_of(plain), study.batch_size_of(small)) == (100, 25)
    assert study.options_of(plain) == Options(beta2=0.99, clip_norm=1.0)
    assert study.options_of(small) == Options(beta2=0.95, clip_norm=math.inf)
    assert plain.own_numbers == []
    assert small.own_numbers == ["batch_size = 25", "beta2 = 0.95", "clip_norm = inf"]


def test_what_it_has_not_is_not_written():
    study = Study.from_toml(TWO, "x")
    assert Study.from_toml(study.to_toml(), "again") == study
    text = study.to_toml().partition('name = "small"')[0].partition("[[panel]]")[2]
    assert "options" not in text
    assert "batch_size" not in text


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ('options = { precision = "float64" }', "panel 2, options, precision: unknown key"),
        ("options = { beta2 = 1.0 }", "panel 2, options, beta2: Input should be less than 1"),
        ("batch_size = 0", "panel 2, batch_size: Input should be greater than or equal to 1"),
    ],
)
def test_what_no_panel_may_have_is_refused(own, message):
    with pytest.raises(SpecError, match=message):
        Study.from_toml(f"{TWO.partition('batch_size = 25')[0]}{own}", "x")


def test_a_panel_keeps_the_numbers_that_it_was_trained_with():
    study = Study.from_toml(TWO, "x")
    other = Study.from_toml(TWO.replace("batch_size = 25", "batch_size = 50"), "x")
    with pytest.raises(StudyMismatchError, match="small': batch_size = 25, this asks for 50"):
        study.merge(other, "here")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"trials": 15}, "'verdict' begins with 16 trainings, and more are needed to tell"),
        ({"alpha": [0.1, 0.2]}, "alpha: 2 positive values, and a verdict needs 3: give more"),
        ({"lambda": [0, 0.1]}, "lambda: 1 positive value, and a verdict needs 3: give more"),
    ],
)
def test_what_cannot_have_a_verdict_is_refused(own: dict[str, object], message: str):
    axes = {"alpha": [0.1, 0.2, 0.4], "lambda": [0.1, 0.2, 0.4]} | own
    design = {"sampler": "verdict", "trials": axes.pop("trials", 16)}
    study = {"name": "s", "task": "digits", "design": design, "panel": [{"pair": "adamw"}]}
    with pytest.raises(SpecError, match=message):
        Study.from_dict(study | axes, "x")
    Study.from_dict(study | axes | {"design": {"sampler": "tpe", "trials": 2}}, "x")
