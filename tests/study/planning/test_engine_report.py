"""How a task is trained, how fast, and what to change."""

import pytest

from landscape_study.study.console.lines import engine_lines
from landscape_study.study.planning.cost import Pace, Probe
from landscape_study.study.planning.engine_report import EngineReport, Obstacle, engine_report
from landscape_study.study.planning.plan import make_plan
from landscape_study.study.planning.settings import RunSettings
from tests.conftest import make_study

BRANCHING = "tests.study.user_tasks:branching"


@pytest.fixture(autouse=True)
def _paces(monkeypatch):
    """A step of a plain loop takes 1 ms, of anything else 0.1 ms a cell."""

    def measured(setting, engine, cells, examples=20):
        return Probe(engine, cells, examples, Pace(1e-3 if engine == "referee" else 1e-4, 1e-5))

    monkeypatch.setattr("landscape_study.study.planning.engine_report.measure", measured)
    monkeypatch.setattr("landscape_study.study.planning.probing.measure_by_growing", measured)


def report_of(task: str, **settings: object) -> EngineReport:
    study = make_study(task=task)
    return engine_report(make_plan(study, RunSettings(device="cpu", workers=2, **settings)))


def test_a_task_that_is_trained_together():
    found = report_of("digits")
    assert (found.engine, found.together, found.step, found.times) == ("vmap", 6, 1e-4, 10.0)
    assert found.memory > 0
    assert found.obstacle is None
    (line,) = engine_lines(found)
    assert line.startswith(
        "trained by engine vmap, 6 cells together: 0.1 ms a cell and step, 10.0 ×"
    )


def test_what_a_task_must_change_is_told():
    found = report_of(BRANCHING)
    assert (found.engine, found.together, found.times) == ("referee", 1, None)
    assert isinstance(found.obstacle, Obstacle)
    lines = list(engine_lines(found))
    assert lines[0].startswith(
        "trained by the plain loop, one cell at a time: 1 ms a cell and step"
    )
    assert lines[1].startswith("engine vmap does not train it: RuntimeError: vmap: It looks like")
    assert (
        lines[2]
        == "to change: torch.where in place of `if` (and of `assert`) on what a tensor holds"
    )


def test_an_obstacle_without_a_known_remedy():
    strange = Obstacle("captured", "KeyError: 'weights'", None)
    report = EngineReport("vmap", 2, 1e-3, 1.5, 10**6, strange)
    assert list(engine_lines(report))[1:] == [
        "engine captured does not train it: KeyError: 'weights'"
    ]
