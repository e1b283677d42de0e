"""Which engines train by code of the user's own: rules are tried, and held against the referee.

On a small network, not on the task's own, whose gradients may be rounding errors, of which a sign
makes whole steps. Optimizers such as torch's are of one network: only the referee has them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from landscape_study.study.agreement.finding import CELLS, DOUBLE, Finding, Reference, find
from landscape_study.study.agreement.observation import (
    Subject,
    excerpt,
    first_difference,
    observe,
)
from landscape_study.study.agreement.permission import (
    STEPS,
    Advance,
    Memory,
    Permission,
    Watch,
    no_watch,
)
from landscape_study.study.pairs.conventions import twin_of
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import Pair
from landscape_study.study.spec.panel import Panel
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.refusals import check_task
from landscape_study.study.tasks.task import Task

WIDTH, EXAMPLES, BATCH = 5, 64, 8
TRIAL = "a trial of rules"  # instead of what a task is known by


class OwnPairsTried:
    """Of a study with code of the user's own: its engines must agree on task and rules.

    Args:
        task: knows which engines may train its task.
        panels: of which the pair has such code.
        watch: shows that something is tried, and how far that is.
    """

    def __init__(self, task: Permission, panels: Sequence[Panel], watch: Watch = no_watch) -> None:
        self.task, self.watch = task, watch
        pairs = [(panel, panel.own_code) for panel in panels]
        self.rules = {pair.rule: pair for _, pair in pairs if pair and not pair.is_optimizer}
        self.optimizers = [(panel, pair) for panel, pair in pairs if pair and pair.is_optimizer]

    def finding(self, engine: str, device: str) -> Finding:
        """What is known of the engine on the device."""
        if self.optimizers and engine != "referee":
            return Finding(_only_plain(*self.optimizers[0]))
        known = self.task.finding(engine, device)
        if known.why_not is not None:
            return known
        if engine == "referee":
            kept = (_forgotten(panel, pair) for panel, pair in self.optimizers)
            return Finding(None, known.no_checkpoint or next(filter(None, kept), None))
        for pair in self.rules.values():
            found = self._recalled(engine, pair)
            if found.why_not is not None:
                return Finding(f"rule {pair.rule}: {found.why_not}")
        return known

    def _recalled(self, engine: str, pair: Pair) -> Finding:
        memory = Memory(pair.rule, TRIAL, [pair.name], Options())
        known = memory.recall(engine)
        if known is None:
            with self.watch(f"trying engine {engine} on rule {pair.rule}", STEPS) as advance:
                subject = _subject(advance)
                reference = Reference(subject, Options())
                known = find(engine, subject, [pair.name], Options(), reference)
            memory.keep(engine, known)
        return known


def _forgotten(panel: Panel, pair: Pair) -> str | None:
    """Why what an optimizer trains cannot go on from a checkpoint; None if it can.

    One that does not take the small network says nothing of it.
    """
    try:
        whole, interrupted = (
            observe(
                *(_subject(), "referee", pair.name, CELLS[:1], DOUBLE),
                interrupted=stops,
                arguments=panel.optimizer,
            ).seen
            for stops in (False, True)
        )
    except Exception:  # whatever it refuses
        return None
    difference = first_difference(interrupted, whole, whole, DOUBLE)
    if difference is None:
        return None
    return f"{pair.name} keeps something that its state_dict does not hold: {difference}"


def _subject(advance: Advance = lambda: None) -> Subject:
    task = small_task()
    data = check_task(task, [(task.batch_size, 1)], torch.float64)
    return Subject(task, excerpt(data), advance)


def _only_plain(panel: Panel, pair: Pair) -> str:
    """Why the pair is trained by the referee, and what could train in its place."""
    twin = twin_of(pair.rule, panel.optimizer)
    told = f" ({twin} trains the same, many cells at once)" if twin else ""
    return f"{pair.name} is an optimizer, which moves one network at a time{told}"


def small_task() -> Task:
    """A network of two hidden layers, and numbers for it to fit."""
    return Task(
        name="small",
        network=lambda: nn.Sequential(
            *(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh()),
            nn.Linear(WIDTH, 2),
        ),
        data=_data,
        batch_size=BATCH,
        epochs=1,
        loss=nn.functional.mse_loss,
    )


def _data() -> Data:
    coins = torch.Generator().manual_seed(0)
    inputs = torch.randn(EXAMPLES, WIDTH, generator=coins)
    targets = inputs[:, :2] * inputs[:, 2:4]
    half = EXAMPLES // 2
    return Data(inputs[:half], targets[:half], inputs[half:], targets[half:])
