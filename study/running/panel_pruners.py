"""Who stops hopeless cells of a study's panels, in a worker."""

from __future__ import annotations

from functools import partial

from landscape_study.study.records.standing import Pruner
from landscape_study.study.running.job import Job
from landscape_study.study.sampling.pruners import load_pruner
from landscape_study.study.spec.study import Panel
from landscape_study.study.store import Store


class Pruners:
    """The pruners of a job's panels, each made once: Optuna's remember what they saw."""

    def __init__(self, job: Job, store: Store) -> None:
        self.study, self.store = job.study, store
        self.known: dict[str, Pruner] = {}

    def of(self, panel: Panel) -> Pruner | None:
        """The pruner of a panel; None where all of its cells are trained to the end."""
        if panel.prune is None:
            return None
        if panel.name not in self.known:
            courses = partial(self.store.courses, self.study.name, panel.name)
            metric = self.study.metric
            self.known[panel.name] = load_pruner(panel.prune, panel, metric, courses)
        return self.known[panel.name]
