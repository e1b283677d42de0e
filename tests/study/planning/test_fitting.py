"""Studies that do not fit their task are told before anything is trained, also when queued."""

import re

import pytest

from landscape_study.study.errors import TaskError, UsageError
from landscape_study.study.pairs.options import Options
from landscape_study.study.planning.fitting import fitting_data
from landscape_study.study.planning.plan import make_plan
from landscape_study.study.planning.queued_plan import plan_queue
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.tasks.networks.mlp import bn_mlp
from tests.conftest import make_study
from tests.study.conftest import CLASSES

WRONG = {
    "a pattern": (
        {"no_decay": ("*.bias", "norm*")},
        "no_decay = ['norm*'] names no parameter of task 'examples.spirals:spirals', which has "
        "0.weight, 0.bias, ",
    ),
    "parts": (
        {"accumulate": 1000},
        "accumulate = 1000 parts of a batch of 50: give no more than it has examples",
    ),
}


@pytest.mark.parametrize("planned", [make_plan, plan_queue])
@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_the_task_is_told(options, message, planned):
    study = make_study(options=Options(**options), batch_size=50)
    with pytest.raises(UsageError, match=re.escape(message)):
        planned(study, RunSettings(device="cpu"))


def test_parts_too_small_for_batch_norm_are_told(make_task):
    task = make_task(lambda: bn_mlp((6, 8, CLASSES)))
    study = make_study(batch_size=5, epochs=1)  # 23 examples: the last batch has 3
    assert fitting_data(study, task) is not None
    study = study.change(options=Options(accumulate=2))
    with pytest.raises(TaskError, match=r"the network on a batch of 1 failed: ValueError: Expec"):
        fitting_data(study, task)
