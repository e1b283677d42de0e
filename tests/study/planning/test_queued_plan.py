"""What is only put into the database: nothing of it is trained, tried or compiled here."""

from __future__ import annotations

import pytest

from landscape_study.study.errors import TaskError
from landscape_study.study.planning.layout import CHUNK, REFEREE_CHUNK
from landscape_study.study.planning.plan import make_plan
from landscape_study.study.planning.queued_plan import plan_queue
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.spec.study import Study
from landscape_study.study.training.engines import ENGINES
from tests.conftest import make_study

LARGE = make_study(lambdas=tuple(k / 100 for k in range(300)))


def test_a_queue_is_put_by_a_machine_that_cannot_train(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("an engine was made")

    whole = make_plan(make_study(), RunSettings(device="cpu", workers=1))
    for name, kind in ENGINES.items():
        monkeypatch.setitem(ENGINES, name, type(name, (kind,), {"__init__": refuse}))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    plan = plan_queue(make_study(), RunSettings(device="cuda"))
    assert plan.identity == whole.identity
    assert plan.study == whole.study
    with pytest.raises(AssertionError, match="an engine was made"):
        make_plan(make_study(batch_size=19), RunSettings(device="cpu", workers=1))


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        (RunSettings(), CHUNK["cpu"]),
        (RunSettings(device="cuda"), CHUNK["cuda"]),
        (RunSettings(engine="referee"), REFEREE_CHUNK),
        (RunSettings(device="cuda", chunk=7), 7),
    ],
)
def test_how_many_cells_are_trained_together(settings: RunSettings, most: int):
    plan = plan_queue(LARGE, settings)
    assert plan.chunk == most
    chunks = plan.chunks(LARGE.panels[0].cells())
    assert max(map(len, chunks)) <= most
    assert sum(map(len, chunks)) == 600


def test_a_task_that_is_none_is_refused():
    with pytest.raises(TaskError):
        plan_queue(make_study(task="digts"), RunSettings())


def test_the_program_of_a_command_need_not_be_here():
    table = {"name": "own", "command": ["no-such-program-x", "{alpha}", "{lambda}"]}
    table |= {"metric": "loss", "alpha": [1.0, 2.0], "lambda": [0.0], "panel": [{"pair": "mine"}]}
    plan = plan_queue(Study.from_dict(table, "test"), RunSettings(chunk=5))
    assert [len(chunk) for chunk in plan.chunks(plan.study.panels[0].cells())] == [1, 1]
