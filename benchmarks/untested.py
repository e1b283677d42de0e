"""Built-in tasks with a single test example: `benchmarks.untested:digits` is one.

What they take less than the tasks themselves is what evaluation costs.
"""

import dataclasses

from landscape_study.study.tasks import TASKS, load_task
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.task import Task


def __getattr__(name: str) -> Task:
    """The task of this name; made on demand, since importing all of them would be timed too."""
    if name not in TASKS:
        raise AttributeError(name)
    task = load_task(name)

    def data() -> Data:
        whole = task.data()
        inputs, targets = whole.test_inputs[:1], whole.test_targets[:1]
        return dataclasses.replace(whole, test_inputs=inputs, test_targets=targets)

    return dataclasses.replace(task, data=data)
