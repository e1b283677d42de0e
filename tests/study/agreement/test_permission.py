"""Which engines may train a task: tried once, and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from landscape_study.study.agreement import permission
from landscape_study.study.agreement.finding import Finding
from landscape_study.study.agreement.permission import Believed, Memory, Tried
from landscape_study.study.environment import cache
from landscape_study.study.errors import TaskError
from landscape_study.study.pairs.options import Options
from landscape_study.study.tasks.task import Task
from landscape_study.study.training.compiling import library
from tests.study.agreement.test_finding import Unseeded
from tests.study.chunks import DOUBLE
from tests.study.networks import Branching, mlp


@pytest.fixture
def watched(own_programs: Path):
    """A function that makes what is known of a task, and the list of what was tried."""
    told: list[str] = []

    def watch(what: str, steps: int):
        told.append(what)
        return permission.no_watch(what, steps)

    def make(task: Task, hash_: str = "abc", pairs=("sgd",), options: Options = DOUBLE) -> Tried:
        return Tried("my.module:task", task, task.data(), pairs, options, hash_, watch)

    return make, told


@pytest.mark.long
def test_what_was_found_is_remembered(watched, make_task):
    make, told = watched
    task = make_task(Branching)
    first = make(task)
    assert first.finding("referee", "cpu") == Finding()
    why = first.finding("vmap", "cpu").why_not
    assert str(why).startswith("RuntimeError: ")
    plain, vmap = "trying a plain loop on task my.module:task", "trying engine vmap on task"
    assert told == [plain, f"{vmap} my.module:task"]
    again = make(task)
    assert again.finding("vmap", "cpu").why_not == why
    assert again.finding("referee", "cpu") == Finding()
    assert len(told) == 2
    others = {"hash_": "def"}, {"pairs": ("sgd", "adam")}, {"options": Options()}
    for count, change in enumerate(others, start=3):
        make(task, **change).finding("vmap", "cpu")
        assert len(told) == count


def test_a_changed_source_is_tried_anew(watched, make_task, monkeypatch):
    make, told = watched
    make(make_task(mlp)).finding("vmap", "cpu")
    monkeypatch.setattr(permission, "source_digest", lambda name: "changed")
    make(make_task(mlp)).finding("vmap", "cpu")
    assert len(told) == 2


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"vmap": 1}', '{"vmap": {"why_not": 3, "no_checkpoint": null}}']
)
def test_a_damaged_memory_is_tried_anew(content, watched, make_task):
    make, told = watched
    known = make(make_task(mlp))
    (cache.cache_folder() / known.memory.name).write_text(content)
    assert known.finding("vmap", "cpu") == Finding()
    assert len(told) == 1
    assert make(make_task(mlp)).finding("vmap", "cpu") == Finding()
    assert len(told) == 1


def test_what_does_not_repeat_is_not_remembered(watched, make_task):
    make, _ = watched
    for _ in range(2):
        with pytest.raises(TaskError):
            make(make_task(Unseeded)).finding("referee", "cpu")
    assert not make(make_task(Unseeded)).memory.recall("referee")


def test_what_is_known_of_each_engine_is_kept_beside_the_others(own_programs):
    memory = Memory("a:b", "abc", ["sgd"], DOUBLE)
    memory.keep("vmap", Finding("it branches"))
    memory.keep("captured", Finding(None, "a queue"))
    assert memory.recall("vmap") == Finding("it branches")
    assert memory.recall("captured") == Finding(None, "a queue")
    assert memory.recall("referee") is None


# ---- compiling ----------------------------------------------------------------------------------


@pytest.mark.long
def test_what_is_compiled_is_tried_itself(watched, make_task):
    make, _ = watched
    found = make(make_task(Branching)).finding("compiled", "cpu")
    assert found.why_not is not None
    assert make(make_task(mlp), "def").finding("compiled", "cpu") == Finding()


def test_without_a_compiler_nothing_is_compiled(watched, make_task, monkeypatch):
    make, _ = watched
    monkeypatch.setattr(library, "why_not", lambda: "no C++ compiler here (g++)")
    for known in (make(make_task(mlp)), Believed()):
        assert known.finding("compiled", "cpu").why_not == "no C++ compiler here (g++)"
        assert known.finding("captured", "cpu") == Finding()


def test_on_a_gpu_nothing_is_compiled(watched, make_task):
    make, _ = watched
    for known in (make(make_task(mlp)), Believed()):
        found = known.finding("compiled", "cuda:0").why_not
        assert found == "a GPU replays recorded graphs instead"
