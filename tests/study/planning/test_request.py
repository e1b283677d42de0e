"""From the command line's changes to a study."""

from __future__ import annotations

from typing import Any

import pytest

from landscape_study.study.errors import SpecError, UsageError
from landscape_study.study.pairs.schedules import Constant, Cosine, Schedule, Step, WarmRestarts
from landscape_study.study.planning.request import Changes, changed_study, named_study
from landscape_study.study.planning.settings import RunSettings


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("cosine", Cosine()),
        ("constant", Constant()),
        ('{ kind = "restarts", t_0 = 10 }', WarmRestarts(t_0=10)),
        (' { kind = "restarts", t_0 = 10, t_mult = 1 }', WarmRestarts(t_0=10, t_mult=1)),
        ('{kind = "step", at = [0.5], factor = 0.2}', Step(at=(0.5,), factor=0.2)),
        ('{ kind = "step" }', Step()),
    ],
)
def test_a_schedule_is_a_name_or_a_table_and_goes_to_every_panel(text: str, schedule: Schedule):
    study = changed_study(named_study("digits-fig2"), Changes(schedule=text))
    assert len(study.panels) > 1
    assert {panel.schedule for panel in study.panels} == {schedule}
    plain = changed_study(named_study("digits-fig2"), Changes())
    assert study == plain.change_panels(schedule=schedule)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("restarts", r"schedule: restarts need t_0: write \{ kind = "),
        ("linear", r"unknown schedule 'linear': choose one of constant, step, cosine, restarts"),
        ("{}", r"unknown schedule None: choose one of"),
        ("{ t_0 = 10 }", r"unknown schedule None: choose one of"),
        ('{ kind = "restarts", t_0 = 1.5 }', r"t_0: Input should be a valid integer, found 1\.5"),
        ('{ kind = "cosine", t_0 = 10 }', r"schedule, cosine, t_0: unknown key: remove it"),
        ("{ kind = ", r"^--schedule { kind = : broken TOML: "),
    ],
)
def test_a_wrong_schedule_is_told(text: str, message: str):
    with pytest.raises(SpecError, match=message):
        changed_study(named_study("digits-fig2"), Changes(schedule=text))


@pytest.mark.parametrize("length", [200, 201, 4000])
def test_a_name_that_no_file_can_bear_is_refused(length: int):
    changes = Changes(name="n" * length)
    if length <= 200:
        assert changed_study(named_study("digits-fig2"), changes).name == "n" * length
        return
    with pytest.raises(UsageError, match=rf"has {length} characters, files can bear 200"):
        changed_study(named_study("digits-fig2"), changes)


@pytest.mark.parametrize(
    "wrong", [{"engine": "fast"}, {"workers": 0}, {"chunk": -1}, {"device": "gpu"}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]):
    ((name, value),) = wrong.items()
    with pytest.raises(UsageError, match=f"{name}.*{value}"):
        RunSettings(**wrong)


def test_an_engine_may_bear_its_former_name():
    assert RunSettings(engine="one-by-one").engine == "referee"


def test_from_python_values_are_taken_as_they_are():
    asked = Changes(pairs="adamw", alpha=[0.1], lambda_={"base": 0.1, "log2": [0, -1]})
    study = changed_study(named_study("digits-fig2"), asked)
    assert [panel.pair for panel in study.panels] == ["adamw"]
    assert study.panels[0].grid.lambda_.values == (0.05, 0.1)
    step = changed_study(study, Changes(schedule={"kind": "restarts", "t_0": 2}))
    assert step.panels[0].schedule.kind == "restarts"
