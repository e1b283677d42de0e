"""Asking samplers for more cells, where a worker finds none that it could claim."""

from __future__ import annotations

from collections.abc import Iterator

from landscape_study.study.records.wishes import Answer, Known
from landscape_study.study.sampling import Sampler, load_sampler
from landscape_study.study.spec.design import Asked
from landscape_study.study.store import Store


class Asker:
    """Asks for a chunk at a time, of the panel of which least is under way.

    Args:
        store: where the study is.
        name: of the study.
        width: how many cells are trained together.
    """

    def __init__(self, store: Store, name: str, width: int) -> None:
        self.store, self.name, self.width = store, name, width
        self.samplers: dict[Asked, Sampler] = {}

    def ask(self) -> bool:
        """Ask, if any panel wants more; whether there may be something to claim now.

        Panels that wait for another one want nothing yet.
        """
        for known, width in self._panels():
            answer = self._answer(known, width)
            if answer.wishes or answer.settled:
                self.store.ask(self.name, known, answer, width)
                return True
        return False

    def settle(self) -> None:
        """Note of which panels nothing more is wanted, without asking for anything."""
        for known, width in self._panels():
            answer = self._answer(known, width)
            if answer.settled and self.store.ask(self.name, known, answer, width):
                self.settle()  # others may have waited for that one
                return

    def _panels(self) -> Iterator[tuple[Known, int]]:
        """What is known of each panel that may want more, and for how many cells to ask it."""
        found = (self.store.known(self.name, panel) for panel in self.store.unsettled(self.name))
        for known in sorted((one for one in found if one is not None), key=_under_way):
            width = self.width
            if known.panel.sampled:  # others have more cells to begin with, in wider chunks
                width = min(width, known.panel.sampled.at_once(len(known.seeds)))
            yield known, width

    def _answer(self, known: Known, width: int) -> Answer:
        """What the panel's sampler wants."""
        design = known.panel.asked
        assert design is not None
        if design not in self.samplers:
            self.samplers[design] = load_sampler(design)
        return self.samplers[design].ask(known, width)


def _under_way(known: Known) -> int:
    return sum(trial.state == "open" for trial in known.trials)
