"""From the command line's changes to a study."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from landscape_study.study.errors import SpecError, TaskError, UsageError
from landscape_study.study.pairs.schedules import Constant, Cosine, Schedule, Step, WarmRestarts
from landscape_study.study.planning.request import (
    Changes,
    asked_changes,
    asked_study,
    changed_study,
    function_study,
    named_study,
)
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.spec.study import Study
from landscape_study.study.tasks import load_task


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


def test_panels_that_a_schedule_makes_alike_are_trained_once():
    study = changed_study(named_study("digits-fig1"), Changes(schedule="cosine"))
    assert [panel.name for panel in study.panels] == ["adam", "adamw"]
    assert study == changed_study(study, Changes(schedule="cosine"))


def test_of_one_pair_that_has_several_grids_panels_keep_their_names():
    fig1 = named_study("digits-fig1")
    wider = fig1.panels[0].changed({"name": "wider", "alpha": [0.1, 0.2]})
    study = changed_study(fig1.change(panels=[*fig1.panels, wider]), Changes(schedule="step"))
    assert [panel.name for panel in study.panels] == ["adam-constant", "adamw", "wider"]


def test_panels_that_are_alike_in_the_study_file_stay():
    fig1 = named_study("digits-fig1")
    again = fig1.panels[0].changed({"name": "again"})
    study = fig1.change(panels=[*fig1.panels, again])
    changed = changed_study(study, Changes(schedule="step"))
    assert [panel.name for panel in changed.panels] == [panel.name for panel in study.panels]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("restarts", r"schedule: restarts need t_0: write \{ kind = "),
        ("poly", r"unknown schedule 'poly': choose one of constant, step, cosine, linear, "),
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


# Functions of users

GRID: dict[str, Any] = {"alpha": "[0.1, 0.2]", "lambda_": "[0, 0.01]", "metric": "val_loss"}
FUNCTION = "own_training.py:train"


@pytest.fixture
def own_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file with an objective and a task, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_training.py").write_text(
        "from landscape_study import objective\n"
        "from examples.spirals import spirals as task\n"
        "@objective\ndef train(cell, run):\n    return cell.alpha\n"
        "def plain(cell, run):\n    return cell.alpha\n"
    )
    yield tmp_path
    sys.modules.pop("own_training", None)


def test_a_name_that_holds_an_objective_makes_a_study_of_it(own_training: Path):
    study = asked_study((), Changes(task=f"./{FUNCTION}", **GRID))
    assert (study.name, study.task, study.function) == ("train", FUNCTION, True)
    assert study.metric.name == "val_loss"
    assert [(panel.name, panel.is_labelled) for panel in study.panels] == [("function", True)]
    assert study.panels[0].grid.alpha.values == (0.1, 0.2)
    assert Study.from_toml(study.to_toml(), "again") == study


def test_pairs_seeds_and_what_matters_are_options_as_of_any_study(own_training: Path):
    more = {"pairs": ("lion", "mine"), "seeds": 2, "goal": "maximize", "matters": 0.1}
    study = asked_study((), Changes(task=FUNCTION, name="n", **GRID, **more))
    assert ([panel.pair for panel in study.panels], study.seeds) == (["lion", "mine"], (0, 1))
    assert (study.metric.goal, study.metric.matters, study.name) == ("maximize", 0.1, "n")


def test_a_file_may_name_a_function_as_its_task(own_training: Path):
    file = own_training / "s.toml"
    text = f'name = "s"\ntask = "{FUNCTION}"\nmetric = "val_loss"\nalpha = [1]\nlambda = [0]\n'
    file.write_text(text + '[[panel]]\npair = "mine"\n')
    assert asked_study(("s.toml",), Changes()).function
    file.write_text(text + '[[panel]]\npair = "adamw"\n')
    spirals = asked_study(("s.toml",), Changes(task="own_training:task"))
    assert (spirals.function, spirals.panels[0].is_labelled) == (False, False)


def test_a_function_takes_the_grid_of_another_study_and_says_what_it_measures(own_training: Path):
    study = asked_study(("digits-fig2",), Changes(task=FUNCTION, metric="val_loss"))
    assert {panel.pair for panel in study.panels} == {"sgd", "sgdw", "adam", "adamw"}
    assert all(panel.is_labelled for panel in study.panels)
    with pytest.raises(UsageError, match=r"--metric: say what own_training\.py:train returns"):
        asked_study(("digits-fig2",), Changes(task=FUNCTION))


def test_a_function_handed_over_is_a_study_and_its_name_is_a_name(own_training: Path):
    changes = asked_changes(task=lambda cell, run: 1.0, **GRID)
    assert changes.task is not None
    study = function_study(changes.task, changes)
    assert (study.name, study.function) == ("lambda", True)
    assert study.task.startswith("__main__:")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": "[1]"}, "a function needs --lambda, --metric: say over which values, of what"),
        (GRID | {"epochs": 3}, "--epochs: the function decides that itself: leave it out"),
        (GRID | {"batch_size": 3}, "--batch-size: the function decides that itself"),
        (GRID | {"schedule": "step"}, "--schedule: the function decides that itself"),
    ],
)
def test_a_function_that_cannot_be_a_study_is_refused(
    own_training: Path, changes: dict[str, Any], message: str
):
    with pytest.raises(UsageError, match=message):
        asked_study((), Changes(task=FUNCTION, **changes))


def test_a_function_without_a_mark_is_taken_for_a_task(own_training: Path):
    study = asked_study((), Changes(task="own_training:plain"))
    assert not study.function
    with pytest.raises(TaskError, match=r"or mark a function .* @landscape_study\.objective"):
        load_task(study.task)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("train.py", r"'train\.py' is a script, no study: .* after --, .* --task train\.py:NAME"),
        ("./train.sh", r"'\./train\.sh' is a script, no study: .*\{lambda\} in it$"),
        ("train.py:train", r"'train\.py:train' is no study: .* by --task train\.py:train"),
    ],
)
def test_what_is_no_study_but_a_training_is_told_how_it_becomes_one(source: str, said: str):
    with pytest.raises(UsageError, match=said):
        named_study(source)


def test_a_pattern_is_of_a_command():
    words, pattern = ("python", "{alpha}", "{lambda}"), r"loss=(\S+)"
    assert asked_study(words, Changes(pattern=pattern, **GRID)).pattern == pattern
    with pytest.raises(SpecError, match="pattern: it finds the metric in what a command prints"):
        asked_study(("digits-fig2",), Changes(pattern=pattern))
    with pytest.raises(SpecError, match="has 2 groups: put the number in one"):
        asked_study(words, Changes(pattern="(a)(b)", **GRID))


def test_what_is_wrong_with_a_command_is_told_once():
    with pytest.raises(
        SpecError, match=r"^the command line: command: \{alhpa\} is no placeholder"
    ):
        asked_study(("a", "{alhpa}", "{lambda}"), Changes(**GRID))


BUDGETS = ["adamw-15-epochs", "adamw-60-epochs", "adamw-240-epochs"]


def names(study: Study) -> list[str]:
    return [panel.name for panel in study.panels]


@pytest.mark.parametrize(
    "epochs",
    [
        "15,60,240",
        "60, 15,240",
        "[15, 60, 240]",
        "{ budgets = [15, 60, 240] }",
        [15, 60, 240],
        (15, 60, 240),
    ],
)
def test_several_budgets_make_a_panel_of_each(epochs: object):
    study = asked_study(["digits-fig2"], Changes(pairs=["adamw"], epochs=epochs))
    assert names(study) == BUDGETS
    assert [panel.promoted is None for panel in study.panels] == [True, False, False]


@pytest.mark.parametrize("epochs", ["7", 7, "[7]"])
def test_another_budget_is_one_for_all_of_a_study_with_several(epochs: object):
    several = asked_study(["digits-fig2"], Changes(pairs=["adamw"], epochs="15,60,240"))
    one = changed_study(several, Changes(epochs=epochs))
    assert one == asked_study(["digits-fig2"], Changes(pairs=["adamw"], epochs=7))
    assert names(changed_study(several, Changes(epochs="5,7"))) == [
        "adamw-5-epochs",
        "adamw-7-epochs",
    ]
    assert names(changed_study(several, Changes(task="mnist1d"))) == ["adamw"]


def test_another_budget_is_one_for_all_of_a_preset_with_several():
    """Whole grids at several budgets are one panel at another one, not several alike."""
    preset = named_study("digits-supp3")
    one = changed_study(preset, Changes(epochs="7"))
    assert [(panel.name, panel.epochs) for panel in one.panels] == [
        ("adamw-raw", 7),
        ("adamw-norm", 7),
    ]
    assert [panel.normalized for panel in one.panels] == [False, True]
    assert names(changed_study(preset, Changes(epochs="5,7"))) == [
        *("adamw-raw-5-epochs", "adamw-raw-7-epochs"),
        *("adamw-norm-5-epochs", "adamw-norm-7-epochs"),
    ]
    assert names(changed_study(preset, Changes(task="mnist1d"))) == ["adamw-raw", "adamw-norm"]


def test_panels_that_differ_by_more_than_their_budget_stay_apart_at_another_one():
    preset = named_study("digits-supp3")
    first, second, _, *rest = preset.panels
    grids = second.changed({"alpha": [0.1, 0.05], "normalized": False})
    study = preset.change(panels=[first, grids, *rest])
    assert names(changed_study(study, Changes(epochs=7)))[:2] == [
        *("adamw-raw-15-epochs", "adamw-raw-60-epochs"),
    ]


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        (Changes(sampler="tpe"), "--trials"),
        (Changes(trials=60), "--sampler"),
        (Changes(until=90), "--sampler, --trials"),
    ],
)
def test_what_a_sampler_lacks_is_told(changes: Changes, options: str):
    with pytest.raises(UsageError, match=f"^{options}: a sampler needs both"):
        changed_study(named_study("digits-fig2"), changes)


def test_a_sampler_asks_for_the_cells_of_the_cheapest_budget():
    several = asked_study(["digits-fig2"], Changes(pairs=["adamw"], epochs="15,60,240"))
    sampled = changed_study(several, Changes(sampler="tpe", trials=30))
    assert [panel.sampled is None for panel in sampled.panels] == [False, True, True]
    assert names(sampled) == BUDGETS
    at_once = Changes(pairs=["adamw"], epochs="15,60,240", sampler="tpe", trials=30)
    assert asked_study(["digits-fig2"], at_once) == sampled


@pytest.mark.parametrize("epochs", ["many", "15,", "15;60", "1.5", ""])
def test_what_is_no_number_of_epochs_is_told(epochs: str):
    told = f"--epochs {epochs}: no number of epochs: give one, or several as in 15,60,240"
    with pytest.raises(UsageError, match=re.escape(told)):
        asked_study([], Changes(epochs=epochs))


def test_several_budgets_of_a_command_are_refused():
    with pytest.raises(UsageError, match="--epochs: the command decides that itself"):
        asked_study(
            ["a", "{alpha}", "{lambda}"],
            Changes(alpha="[1]", lambda_="[0]", metric="loss", epochs="15,60"),
        )


def test_another_design_is_that_of_the_cheapest_budget():
    several = asked_study(["digits-fig2"], Changes(pairs=["adamw"], epochs="15,60,240"))
    design = {"sampler": "qmc", "trials": 30}
    changed = changed_study(several, Changes(design=design))
    assert changed == changed_study(several, Changes(sampler="qmc", trials=30))


def test_panels_of_an_objective_wait_for_each_other_whatever_trains_them():
    """What a panel is to a script, its budget too, is the script's own affair."""
    study = Study.from_dict(
        {
            "name": "s",
            "command": ["a", "{alpha}", "{lambda}", "{pair}"],
            "metric": "loss",
            "alpha": [0.1],
            "lambda": [0.0],
            "panel": [{"pair": "short"}, {"pair": "long", "design": {"best_of": "short"}}],
        },
        "test",
    )
    task = "examples.classifier:train"
    assert names(changed_study(study, Changes(task=task, metric="loss"))) == ["short", "long"]
