"""The witness of a panel: one random cell, trained again by the referee once the panel is done.

What the short trial before a study cannot see, a branch that is taken after a thousand steps, say,
shows in the curves of whole trainings. How far rounding alone moves them, the referee says itself,
from start weights that one rounding unit has moved.

Letters: E epochs.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from landscape_study.study.agreement.permission import Watch, no_watch
from landscape_study.study.errors import LandscapeError
from landscape_study.study.pairs.options import Options
from landscape_study.study.planning.plan import Plan
from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.metric import LOSSES, METRICS
from landscape_study.study.spec.study import Cell, Panel
from landscape_study.study.store import PanelProgress, Store
from landscape_study.study.store.queries import CellState
from landscape_study.study.tasks.randomness import seeded
from landscape_study.study.training.arithmetic import worker_arithmetic
from landscape_study.study.training.course import Training, begun
from landscape_study.study.training.engines import Referee
from landscape_study.study.training.engines.base import quiet_fallbacks

SHARE = 0.01  # of the time that the panel took, that its witness may take
LEAST = 0.25  # seconds that it may take in any case; and the first panel's has one epoch at least
EPOCH = 0.5  # seconds that one epoch may take in any case
REACH = 120  # steps that it trains even so, ten times as far as the trial looks, if they take
REACH_SECONDS = 0.5  # no longer than this,
REACH_SHARE = 0.1  # nor than this share of the time that the panel took
SHAKES = 4  # ways to move the start weights that are tried before a cell is said to differ
FACTOR = 30.0  # times what one rounding unit in the start weights changes is taken for rounding
LEAD = 0.25  # of the epochs so far, and 3 more: how much sooner rounding may show in an engine
FLOOR = 5e-3  # relative, below which nothing differs
EXAMPLES_FLOOR = 3  # test examples, below which nothing but losses differs

Curves = dict[str, np.ndarray]  # per metric, [E]


@dataclass(frozen=True)
class Recorded:
    """A cell and its curves, as they are in the store."""

    seed: int
    cell: Cell
    curves: Curves


@dataclass(frozen=True)
class _Limits:
    """How long a cell is trained again: no further epoch begins when both are passed."""

    seconds: float
    reach: float  # seconds, until the first steps are done

    @classmethod
    def of(cls, plan: Plan, progress: PanelProgress) -> _Limits:
        """Of the panel's witness; half of its time is for what rounding does to the cell."""
        share = max(LEAST, SHARE * progress.seconds / len(plan.layout.devices))
        return cls(share / 2, min(REACH_SECONDS, REACH_SHARE * progress.seconds))

    @property
    def longest(self) -> float:
        """Seconds in which its first epoch must end, if it can be foretold."""
        return max(self.seconds, self.reach)


UNLIMITED = _Limits(math.inf, math.inf)


def call_witnesses(
    plan: Plan,
    store: Store,
    panels: Sequence[str],
    tell: Callable[[str], None] = lambda message: None,
    watch: Watch = no_watch,
) -> list[Witness]:
    """Train one cell of each panel again, and record in the store how far that lies.

    But for panels of which an epoch takes longer than their witness may, once that is known.

    Args:
        plan: by which the study was trained.
        panels: names of those that are to have one (see `newly_done`).
        tell: called with why a panel has no witness.
        watch: shows how far that is.
    """
    found = []
    study = store.study(plan.study.name)
    states = store.states(study.name) if panels else []
    known = {(w.panel, w.seed, w.cell) for w in store.witnesses(study.name)}
    epoch = 0.0  # seconds, of the last witness
    passed: list[str] = []  # panels of which an epoch takes too long
    for progress in store.progress(study.name):
        if progress.panel not in panels or not progress.finished:
            continue
        panel, limits = study.panel(progress.panel), _Limits.of(plan, progress)
        if epoch > max(limits.longest, EPOCH):
            passed.append(panel.name)
            continue
        try:
            seed, cell = _any_cell(states, study.name, progress)
            if (panel.name, seed, cell) in known:
                continue  # another worker was sooner
            recorded = _recorded(store, study.name, panel, seed, cell)
            began = time.perf_counter()
            witness = _witness(plan, panel, recorded, limits, watch)
            if math.isnan(witness.rounding):  # it was trained once
                epoch = (time.perf_counter() - began) / witness.epochs
        except LandscapeError:
            raise
        except Exception as e:  # what is recorded stays as it is, whatever the task does now
            tell(f"panel {panel.name} has no witness: {type(e).__name__}: {e}")
            continue
        store.record_witness(study.name, witness)
        found.append(witness)
    if passed:
        tell(f"no witness of {', '.join(passed)}: an epoch takes {epoch:.1f} s")
    return found


def newly_done(
    before: Sequence[PanelProgress],
    after: Sequence[PanelProgress],
    witnessed: Collection[str] = (),
) -> list[str]:
    """Names of the panels of which no cell is left, and which are to have a witness.

    These are the ones of which cells were finished meanwhile, and those that are not among the
    `witnessed`: whoever was interrupted had no time for it.
    """
    finished = {progress.panel: progress.finished for progress in before}
    grown = {p.panel for p in after if p.finished > finished.get(p.panel, 0)}
    done = {p.panel for p in after if p.finished and p.ended == p.total}
    lacking = {p.panel for p in after if p.panel not in witnessed}
    return [p.panel for p in after if p.panel in done & (grown | lacking)]


def _any_cell(states: Sequence[CellState], name: str, progress: PanelProgress) -> tuple[int, Cell]:
    """A random finished cell of the panel and its seed; one that did not diverge, if there is any.

    Args:
        states: of all cells of study `name`.
    """
    finished = {
        (one.seed, one.cell): one.diverged_epoch
        for one in states
        if one.panel == progress.panel and one.state == "finished"
    }
    alive = [key for key, diverged in finished.items() if not diverged]
    dice = random.Random(f"{name} {progress.panel} {progress.finished}")
    return dice.choice(sorted(alive or finished, key=repr))


def _recorded(store: Store, name: str, panel: Panel, seed: int, cell: Cell) -> Recorded:
    """A cell with its curves."""
    rows = store.curves(name, [(panel.name, cell)])
    return Recorded(
        seed, cell, {row["metric"]: row["values"] for row in rows if row["seed"] == seed}
    )


def _witness(
    plan: Plan, panel: Panel, recorded: Recorded, limits: _Limits, watch: Watch
) -> Witness:
    """Train the cell again for as many epochs as the time allows, and compare.

    What rounding does to the cell is found out only where it differs at all.
    """
    options, device = plan.study.options, plan.layout.devices[0]
    steps = 2 * plan.data.train.steps(plan.study.batch_size_of(panel, recorded.cell.own))
    with (
        watch(f"training a witness of panel {panel.name}", steps) as advance,
        worker_arithmetic(device, plan.layout.threads, tf32=options.tf32),
    ):
        found = _train(plan, panel, recorded, 0.0, limits, math.inf, advance)
        epochs, examples = len(found["train_loss"]), plan.data.test.count
        unit = rounding_unit(options)
        moved: Curves = {}
        why = difference(recorded.curves, found, found, examples)
        reach = min(epochs + _lead(epochs), panel.epochs or epochs)
        if why and reach > epochs:  # an engine may show sooner what rounding does
            found = _train(plan, panel, recorded, 0.0, UNLIMITED, reach, advance)
        for draw in range(SHAKES if why else 0):
            again = _train(plan, panel, recorded, unit, UNLIMITED, reach, advance, draw)
            moved = _further(found, moved, again) if moved else again
            why = difference(recorded.curves, found, moved, examples, epochs)
            if not why:
                break
    error = plan.study.metric.name
    last = float(found[error][epochs - 1])
    return Witness(
        panel=panel.name,
        seed=recorded.seed,
        alpha=recorded.cell.alpha,
        lambda_=recorded.cell.lambda_,
        own=recorded.cell.own,
        epochs=epochs,
        recorded=float(recorded.curves[error][epochs - 1]),
        found=last,
        rounding=abs(float(moved[error][epochs - 1]) - last) if moved else math.nan,
        agrees=not why,
        why=why,
    )


def _train(
    plan: Plan,
    panel: Panel,
    recorded: Recorded,
    shaken: float,
    limits: _Limits,
    epochs: float,
    advance: Callable[[], None],
    draw: int = 0,
) -> Curves:
    """The referee's curves of the cell, of one epoch or as many as the limits allow.

    Args:
        shaken: relative size by which the start weights are moved.
        draw: which way they are.
        limits: of its time.
        epochs: how many at most.
    """
    own, device = recorded.cell.own, plan.layout.devices[0]
    options = plan.study.options_of(panel, own)
    data = plan.data.to(device, getattr(torch, options.precision))
    moments = [time.perf_counter()]
    with seeded(recorded.seed, device), quiet_fallbacks():
        training = begun(
            *(plan.task, data, panel, [recorded.cell]),
            seed=recorded.seed,
            batch_size=plan.study.batch_size_of(panel, own),
            options=options,
            device=device,
        )
        assert isinstance(training.engine, Referee)
        training.engine.shake(shaken, draw)
        for _ in _epochs(training, advance):
            moments.append(time.perf_counter())
            reached = training.epoch * training.batches.per_epoch >= REACH
            limit = limits.seconds if reached else max(limits.seconds, limits.reach)
            if training.epoch >= epochs or _next_end(moments) > limit:
                break
        curves = training.recorder.curves
        return {metric: curve[0, : training.epoch] for metric, curve in curves.items()}


def _next_end(moments: Sequence[float]) -> float:
    """When the next epoch will end, in seconds after the first moment; the first ones warm up."""
    fastest = min(after - before for before, after in pairwise(moments))
    return moments[-1] - moments[0] + fastest


def _epochs(training: Training, advance: Callable[[], None]) -> Iterator[None]:
    """The epochs of the training, one after the other."""
    while training.epoch < training.epochs:
        for _ in training.steps_of_epoch():
            advance()
        training.test()
        yield


def _further(found: Curves, one: Curves, other: Curves) -> Curves:
    """Of two sets of curves, at each epoch what lies further from those found.

    One way to move the start weights may happen to change little of a cell that others change.
    Infinitely far is what is no number where the other is one.
    """

    def apart(curves: Curves, metric: str) -> np.ndarray:
        ours, plain = curves[metric].astype(float), found[metric].astype(float)
        known = np.isfinite(ours) & np.isfinite(plain)
        far = np.where(np.isfinite(ours) == np.isfinite(plain), 0.0, np.inf)
        return np.where(known, np.abs(np.where(known, ours - plain, 0.0)), far)

    return {
        metric: np.where(apart(one, metric) >= apart(other, metric), one[metric], other[metric])
        for metric in found
    }


def rounding_unit(options: Options) -> float:
    """Relative size of a rounding error in the study's arithmetic."""
    if options.bf16:
        return 2.0**-8
    if options.tf32:
        return 2.0**-11
    return 2.0**-52 if options.precision == "float64" else 2.0**-23


def difference(
    recorded: Curves, found: Curves, moved: Curves, examples: int, epochs: int | None = None
) -> str:
    """The first thing that differs by more than rounding does to this cell; "" if nothing.

    Args:
        recorded: curves of the cell from the store, of all epochs.
        found: by the referee, of the first E epochs.
        moved: the same from weights that one rounding unit has moved.
        examples: in the test set.
        epochs: how many are compared; the others show what rounding does later. All if None.
    """
    for epoch in range(epochs or len(found["train_loss"])):
        for metric in found:
            ours, plain, rounded = (c[metric] for c in (recorded, found, moved))
            floor = _scale(metric, plain) * EXAMPLES_FLOOR / examples
            if _differs(ours, plain, rounded, epoch, floor):
                return (
                    f"{metric.replace('_', ' ')} after epoch {epoch + 1}: "
                    f"{ours[epoch]:.4g} recorded, {plain[epoch]:.4g} by the plain loop"
                )
    return ""


def _scale(metric: str, curve: np.ndarray) -> float:
    """What one example may change of a metric, times the examples; losses change smoothly.

    Of a metric of the user's own nobody knows: as much as its largest value.
    """
    if metric in LOSSES:
        return 0.0
    largest = 100.0 if metric in METRICS else np.nanmax(np.abs(curve), initial=0.0)
    return float(largest)


def _lead(epochs: int) -> int:
    """How many epochs sooner than in the plain loop rounding may show in an engine."""
    return max(3, int(LEAD * epochs))


def _differs(
    ours: np.ndarray, plain: np.ndarray, rounded: np.ndarray, epoch: int, floor: float
) -> bool:
    """Whether curves differ at an epoch (from 0) by more than rounding does to them.

    An engine rounds otherwise at each step, not only in the start weights, so that it may go
    apart sooner where a cell is unstable.
    """
    one, other, third = ours[epoch], plain[epoch], rounded[epoch]
    if not np.isfinite([one, other, third]).all():
        # Where the plain loop itself diverges or not by rounding, nothing is known.
        return bool(np.isfinite(other) == np.isfinite(third) != np.isfinite(one))
    until = epoch + _lead(epoch) + 1
    rounding = np.nanmax(np.abs(plain[:until].astype(float) - rounded[:until]))
    allowed = floor + FLOOR * abs(float(other)) + FACTOR * rounding
    return bool(abs(float(one) - float(other)) > allowed)
