"""Optuna's samplers, asked for many cells at once, and again after a crash."""

from __future__ import annotations

import math
import pickle
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import cmaes
import optuna
import pytest

from landscape_study.study.errors import TrainingError, UsageError
from landscape_study.study.records.wishes import Known, Trial
from landscape_study.study.sampling import load_sampler
from landscape_study.study.sampling.optimizer_states import without_code
from landscape_study.study.spec.design import SAMPLERS
from landscape_study.study.spec.study import Cell, Study

OPTUNAS = [name for name in SAMPLERS if name != "verdict"]
BEST = (-5.0, -9.0)  # log2 α, log2 λ


class PoorSampler(optuna.samplers.RandomSampler):
    """A user's own, which lacks a package."""

    def sample_independent(self, study, trial, name, distribution):
        raise ModuleNotFoundError("No module named 'cmaes'")


class OwnCompromises(optuna.samplers.NSGAIIISampler):
    """A user's own, for several metrics."""


class Armed:
    """What runs code where it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("code of a database ran",)


class PickledSampler(optuna.samplers.RandomSampler):
    """A user's own, which unpickles what trials remember, as Optuna's CMA-ES does."""

    def sample_independent(self, study, trial, name, distribution):
        for one in study.get_trials(deepcopy=False):
            for key, value in one.system_attrs.items():
                if key.startswith("cma:optimizer"):
                    pickle.loads(bytes.fromhex(value))
        return super().sample_independent(study, trial, name, distribution)


class LazySampler(optuna.samplers.BaseSampler):
    """A user's own, which fails."""

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, name, distribution):
        raise ValueError("nothing comes to mind")


def sampled(sampler: str = "tpe", **rest) -> Study:
    return Study.from_dict(
        {
            "name": "sampled",
            "task": "digits",
            "alpha": {"base": 0.1, "log2": [-8, 0]},
            "lambda": {"base": 0.01, "log2": [-6, 2], "zero": True},
            "design": {"sampler": sampler, "trials": 40},
            "panel": [{"pair": "adamw"}],
        }
        | rest,
        "test",
    )


def known(study: Study, trials=(), asked: int | None = None) -> Known:
    asked = len(trials) if asked is None else asked
    return Known(study.panels[0], study.metric, study.seeds, tuple(trials), asked)


def bowl(cell: Cell) -> float:
    if cell.lambda_ == 0:
        return 20.0
    x, y = math.log2(cell.alpha) - BEST[0], math.log2(cell.lambda_) - BEST[1]
    return x * x + y * y / 4


def finished(wishes, value=bowl) -> list[Trial]:
    return [
        Trial(one.cell, one.seed, "finished", value(one.cell), memory=one.memory) for one in wishes
    ]


def run(study: Study, count: int = 8, again: bool = False) -> list[Trial]:
    """All trials of the study; `again` with each answer asked for twice."""
    trials: list[Trial] = []
    asked = 0
    while True:
        now = known(study, trials, asked)
        answer = load_sampler(study.panels[0].design).ask(now, count)
        if again:
            assert load_sampler(study.panels[0].design).ask(now, count) == answer
        if answer.settled:
            return trials
        trials += finished(answer.wishes)
        asked += len(answer.wishes)


@pytest.mark.parametrize("name", [*OPTUNAS, "optuna.samplers:RandomSampler"])
def test_all_trials_are_asked_for_between_the_ends(name: str):
    study = sampled(name, design={"sampler": name, "trials": 12, "zero": 0.25})
    trials = run(study, 6, again=True)
    assert len(trials) == 12
    assert all(study.panels[0].holds(one.cell) for one in trials)
    assert sum(one.cell.lambda_ == 0 for one in trials) == 3
    assert len({one.cell for one in trials}) > 9


def test_what_is_learned_is_used():
    study = sampled("tpe")
    later = [bowl(one.cell) for one in run(study)[20:] if one.cell.lambda_ > 0]
    blind = [bowl(one.cell) for one in run(sampled("random")) if one.cell.lambda_ > 0]
    assert sorted(later)[len(later) // 2] < sorted(blind)[len(blind) // 2]


def test_more_of_a_metric_may_be_better():
    study = sampled("tpe", metric={"name": "accuracy", "goal": "maximize"})
    trials: list[Trial] = []
    for _ in range(5):
        answer = load_sampler(study.panels[0].design).ask(known(study, trials), 8)
        trials += finished(answer.wishes, lambda cell: -bowl(cell))
    assert max(-bowl(one.cell) for one in trials) > -1.0


def test_every_seed_of_a_cell_is_a_trial():
    study = sampled("random", seeds=3, design={"sampler": "random", "trials": 14})
    answer = load_sampler(study.panels[0].design).ask(known(study), 3)
    assert [one.seed for one in answer.wishes] == [0, 1, 2] * 3
    assert len({one.cell for one in answer.wishes}) == 3
    trials = finished(answer.wishes)
    rest = load_sampler(study.panels[0].design).ask(known(study, trials, 12), 3)
    assert [one.seed for one in rest.wishes] == [0, 1]  # of 14
    assert load_sampler(study.panels[0].design).ask(known(study, trials, 14), 3).settled == (
        "all of its 14 trials were asked for"
    )


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_undecayed_cells_is_what_is_stated(share: float):
    study = sampled("random", design={"sampler": "random", "trials": 40, "zero": share})
    undecayed = sum(one.cell.lambda_ == 0 for one in run(study, 7))
    assert undecayed == round(40 * share)


def test_an_axis_without_zero_has_no_undecayed_cells():
    study = sampled("random", **{"lambda": {"base": 0.01, "log2": [-6, 2]}})
    assert all(one.cell.lambda_ > 0 for one in run(study))


def test_what_is_under_way_is_not_asked_for_again():
    """Near the best place many are under way: the next ones lie elsewhere."""
    study = sampled("gp")
    trials = finished(load_sampler(study.panels[0].design).ask(known(study), 12).wishes)
    near = load_sampler(study.panels[0].design).ask(known(study, trials), 1).wishes[0]
    under_way = [*trials, Trial(near.cell, 0, "open")]
    (other,) = load_sampler(study.panels[0].design).ask(known(study, under_way), 1).wishes
    assert other.cell != near.cell


def test_diverged_and_failed_trials_are_told_as_they_are():
    study = sampled("tpe")
    bad = [
        Trial(Cell(0.1, 0.01), 0, "finished", math.inf, diverged=True),
        Trial(Cell(0.05, 0.01), 0, "failed"),
        Trial(Cell(0.025, 0.01), 0, "finished", 3.0),
    ]
    assert len(load_sampler(study.panels[0].design).ask(known(study, bad), 4).wishes) == 4


def test_a_pruned_seed_says_nothing_beside_one_that_finished():
    """Its value is one on the way, which no mean may hold."""
    study = sampled("tpe", seeds=2)
    trials = finished(load_sampler(study.panels[0].design).ask(known(study), 16).wishes)
    first = [one for one in trials if one.seed == 0]
    pruned = [replace(one, seed=1, state="pruned", value=99.0) for one in first[::2]]
    both, alone = (
        load_sampler(study.panels[0].design).ask(known(study, some, 32), 2)
        for some in ([*first, *pruned], first)
    )
    assert both == alone


def test_what_a_trial_that_failed_left_is_remembered():
    """A sequence goes on behind it, and asks for no place twice."""
    study = sampled("qmc", **{"lambda": {"base": 0.01, "log2": [-6, 2]}})
    sampler = load_sampler(study.panels[0].design)
    first = sampler.ask(known(study), 6).wishes
    lost = [*finished(first[:5]), Trial(first[5].cell, 0, "failed", memory=first[5].memory)]
    again = sampler.ask(known(study, lost), 6).wishes
    assert not {one.cell for one in first} & {one.cell for one in again}


def test_nothing_of_a_database_runs_as_code():
    """Optuna's own sampler of this state runs it, see `Armed`; ours is told of it without."""
    study = sampled(f"{__name__}:PickledSampler", **{"lambda": {"base": 0.01, "log2": [-6, 2]}})
    memory = {"cma:optimizer:0": pickle.dumps(Armed()).hex(), "cma:generation": 0}
    cells = [Cell(0.05, 0.01), Cell(0.05, 0.02)]
    trials = [Trial(cell, 0, "finished", 1.0, memory=memory) for cell in cells]
    load_sampler(study.panels[0].design).ask(known(study, trials), 2)


def test_states_of_cmaes_are_handed_back():
    whole = pickle.dumps(cmaes.CMA(mean=[0.5, 0.5], sigma=0.2)).hex()
    memory = {"cma:optimizer:0": whole[:900], "cma:optimizer:1": whole[900:], "other": 1}
    assert without_code(memory) == memory
    assert without_code(memory | {"cma:optimizer:1": whole[900:-2]}) == {"other": 1}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("1 / 0", "importing 'mine' failed \\(ZeroDivisionError: .*\\): mend that"),
        ("from optuna.samplers import TPESampler as Sampler", None),
        ("", "module 'mine' has no attribute 'Sampler'"),
    ],
)
def test_samplers_of_users_lie_where_they_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, told: str | None
):
    (tmp_path / "mine.py").write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    design = sampled("mine:Sampler").panels[0].design
    with nullcontext() if told is None else pytest.raises(UsageError, match=told):
        load_sampler(design)
    sys.modules.pop("mine", None)


def test_a_sampler_whose_package_is_missing_is_told_before_it_is_asked(monkeypatch):
    monkeypatch.setattr("landscape_study.study.sampling.optuna_samplers.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="'cmaes' is not installed: pip install cmaes"):
        load_sampler(sampled("cmaes").panels[0].design)
    load_sampler(sampled("tpe").panels[0].design)


def test_wrong_samplers_are_told():
    with pytest.raises(UsageError, match="cannot be imported"):
        load_sampler(sampled("nowhere.at.all:Sampler").panels[0].design)
    with pytest.raises(UsageError, match="is no sampler: name a subclass of optuna"):
        load_sampler(sampled("math:sqrt").panels[0].design)
    for name in ("GridSampler", "PartialFixedSampler", "BaseSampler"):
        with pytest.raises(UsageError, match=f"{name}' cannot be made: .*that needs no arguments"):
            load_sampler(sampled(f"optuna.samplers:{name}").panels[0].design)
    for name in ("optuna.samplers:NSGAIISampler", f"{__name__}:OwnCompromises"):
        with pytest.raises(UsageError, match=f"'{name}' looks for compromises .* take cmaes, tpe"):
            load_sampler(sampled(name).panels[0].design)
    poor = sampled(f"{__name__}:PoorSampler")
    with pytest.raises(TrainingError, match="No module named 'cmaes': pip install what it needs"):
        load_sampler(poor.panels[0].design).ask(known(poor), 1)
    own = sampled(f"{__name__}:LazySampler")
    with pytest.raises(TrainingError, match="LazySampler failed: ValueError: nothing comes to"):
        load_sampler(own.panels[0].design).ask(known(own), 1)
