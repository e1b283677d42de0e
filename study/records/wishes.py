"""What passes between samplers and the store: what was trained, and what shall be next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.study import Cell, Panel


@dataclass(frozen=True)
class Trial:
    """A training of a panel, as a sampler sees it.

    Attributes:
        state: "open" until it has a result, or is given up.
        value: of the metric, where it is finished or pruned; infinite where it diverged and has
            none. What was pruned is at least this bad.
        memory: what the sampler wrote down when it asked for it.
    """

    cell: Cell
    seed: int
    state: Literal["finished", "pruned", "open", "failed"]
    value: float | None = None
    diverged: bool = False
    memory: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What a sampler knows when it is asked.

    Attributes:
        panel: with its axes and design.
        metric: what is measured.
        seeds: of the study, ascending.
        trials: of the panel, in the order in which they were added.
        asked: how many trainings were asked for before.
        source: trials of the panel whose best cells this one has, once all of them are finished
            or given up and no more are asked for; None before, and of any other design.
    """

    panel: Panel
    metric: Metric
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...]
    asked: int
    source: tuple[Trial, ...] | None = None


@dataclass(frozen=True)
class Wish:
    """A training that a sampler asks for, and what it writes down with it."""

    cell: Cell
    seed: int
    memory: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a sampler wants next.

    Attributes:
        wishes: trainings, at most as many as it was asked for.
        settled: why it wants nothing more, ever; None while it may.
    """

    wishes: Sequence[Wish] = ()
    settled: str | None = None
