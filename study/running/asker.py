"""Asking samplers for more cells, where a worker finds none that it could claim."""

from __future__ import annotations

from landscape_study.study.records.wishes import Known
from landscape_study.study.running.job import Job, TaskJob
from landscape_study.study.sampling import Sampler, load_sampler
from landscape_study.study.spec.design import Asked
from landscape_study.study.store import Store


class Asker:
    """Asks for a chunk at a time, of the panel of which least is under way.

    Args:
        job: of the worker.
        store: where the study is.
    """

    def __init__(self, job: Job, store: Store) -> None:
        self.store, self.name = store, job.study.name
        self.width = job.width if isinstance(job, TaskJob) else 1
        self.samplers: dict[Asked, Sampler] = {}

    def ask(self) -> bool:
        """Ask, if any panel wants more; whether there may be something to claim now.

        Panels that wait for another one want nothing yet.
        """
        found = (self.store.known(self.name, panel) for panel in self.store.unsettled(self.name))
        for known in sorted((one for one in found if one is not None), key=_under_way):
            design = known.panel.asked
            assert design is not None
            width = self.width
            if known.panel.sampled:  # others have more cells to begin with, in wider chunks
                width = min(width, known.panel.sampled.at_once(len(known.seeds)))
            answer = self._sampler(design).ask(known, width)
            if answer.wishes or answer.settled:
                self.store.ask(self.name, known, answer, width)
                return True
        return False

    def _sampler(self, design: Asked) -> Sampler:
        if design not in self.samplers:
            self.samplers[design] = load_sampler(design)
        return self.samplers[design]


def _under_way(known: Known) -> int:
    return sum(trial.state == "open" for trial in known.trials)
