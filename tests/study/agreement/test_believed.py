"""Built-in tasks are not tried before a run: here they are, also with options of today."""

from __future__ import annotations

import pytest

from landscape_study.study.agreement.finding import Reference, find
from landscape_study.study.agreement.observation import Subject, excerpt
from landscape_study.study.pairs.options import Options
from landscape_study.study.tasks import load_task

pytestmark = pytest.mark.long

OPTIONS = {
    "plain": Options(),
    "with the habits of today": Options(clip_norm=0.5, decay_1d=False, accumulate=2),
}
PAIRS = ("sgd", "adamw", "schedulefree-adam-decoupled", "adam-decoupled-cautious")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", ["digits", "mnist1d", "mnist5k", "chars", "diabetes"])
def test_engines_train_built_in_tasks_as_a_plain_loop_does(name: str, options: Options):
    task = load_task(name)
    subject = Subject(task, excerpt(task.data()))
    reference = Reference(subject, options)
    for engine in ("vmap", "captured", "compiled"):
        found = find(engine, subject, PAIRS, options, reference)
        assert found.why_not is None, engine
        assert found.no_checkpoint is None, engine
