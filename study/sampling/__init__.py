"""Samplers: who asks for the next cells of a panel whose design is no whole grid.

Optuna's, by name or import path, see `optuna_samplers`; that of the best cells of another panel,
see `promotion`; and the one that looks for the verdict. That one reads landscapes, whose rooms
stand above this one: so it is had by its import path too, as any other.
"""

from __future__ import annotations

from typing import Protocol

from landscape_study.study.errors import UsageError
from landscape_study.study.records.wishes import Answer, Known
from landscape_study.study.sampling.others_code import imported
from landscape_study.study.sampling.promotion import Promotion
from landscape_study.study.spec.design import Asked, Promoted

PLACES = {  # of the samplers that have a name
    "random": "optuna.samplers:RandomSampler",
    "qmc": "optuna.samplers:QMCSampler",
    "tpe": "optuna.samplers:TPESampler",
    "gp": "optuna.samplers:GPSampler",
    "cmaes": "optuna.samplers:CmaEsSampler",
    "verdict": "landscape_study.landscapes.sampling.verdict_sampler:VerdictSampler",
}


class Sampler(Protocol):
    """Whoever asks for trainings."""

    def ask(self, known: Known, width: int) -> Answer:
        """What to train next, the same for the same knowledge; nothing yet, if it must wait.

        Trainings that are open are under way: what they will give must be guessed.

        Args:
            known: what is known.
            width: how many cells are trained together, under one seed.
        """
        ...


def load_sampler(design: Asked) -> Sampler:
    """The sampler that a design names; it is made of the design.

    Raises:
        UsageError: there is none of this name, it is none, or it cannot be made.
    """
    if isinstance(design, Promoted):
        return Promotion(design)
    place = PLACES.get(design.sampler, design.sampler)
    found = imported("sampler", place)
    from landscape_study.study.sampling.optuna_samplers import OptunaSampler, is_optunas

    if is_optunas(found):
        return OptunaSampler(design, found)
    if not hasattr(found, "ask"):
        raise UsageError(
            f"sampler '{design.sampler}': {place} is no sampler: name a subclass of "
            "optuna.samplers.BaseSampler"
        )
    sampler: Sampler = found(design)
    return sampler
