"""How much earlier a run with warm restarts is as good as the run without.

A run with restarts offers a solution at the end of every cycle; a run without offers one, when
its budget is spent. Values are those of a metric, means over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from landscape_study.landscapes.statistics.units import PERCENT, Units
from landscape_study.study.pairs.registry import pair_called

NOISE = 2.0  # standard errors of a difference that is called clear
NO_DIFFERENCE = "no clear difference"
ONE_SEED = "One seed: how far noise alone would move these numbers is not known."


@dataclass(frozen=True)
class End:
    """A solution: the end of a cycle, or of a run without restarts."""

    epoch: float  # or what else the curve counts
    value: float  # of the metric, mean over seeds
    stderr: float | None = None  # likewise; None for one seed


@dataclass(frozen=True)
class Run:
    """The best cell of a panel, with all its solutions."""

    title: str  # of the panel
    pair: str
    schedule: str  # its label
    restarts: bool
    seeds: int
    ends: tuple[End, ...]  # ascending in epochs, at least one
    curve: tuple[float, ...] = ()  # value by epoch
    epochs: tuple[float, ...] = ()  # of the curve; 1, 2, 3, … if empty
    cut: bool = False  # whether the budget ends before the first cycle does
    units: Units = PERCENT

    @property
    def final(self) -> End:
        """The last solution, which figures of a whole study are about."""
        return self.ends[-1]

    def told(self, end: End) -> str:
        """The value of a solution for people: "3.92 ± 0.05 %"."""
        return self.units.told(end.value, end.stderr)

    def cost(self, value: float) -> float:
        """A value so that less is better."""
        return self.units.metric.sign * value


def anytime_sentences(runs: Sequence[Run]) -> tuple[str, ...]:
    """What restarts gain, in a sentence for each run that has them and a rival that has not.

    The rival is the run of the same pair without restarts that trains longest; each schedule
    has its own. A first sentence says how much later the rival has the values that restarts
    offer on the way, a second how the solutions compare. Where such runs end at several budgets,
    a further sentence holds each of them against the cycle that ends at the same epoch: all the
    time it had was known to both. Of runs whose first cycle is cut short that is all there is
    to say: their last epoch is no end of a cycle.
    """
    found = []
    for run in (run for run in runs if run.restarts and not run.cut):
        for rivals in _rivals(run, runs):
            found += [_leads(run, rivals[-1]), _reaches(run, rivals[-1])]
            if len(rivals) > 1:
                found.append(_at_budgets(run, rivals))
    if found and any(run.seeds < 2 for run in runs):
        found.append(ONE_SEED)
    short = [
        f"{run.title} never restarts: its {run.final.epoch} epochs end within the first cycle."
        for run in runs
        if run.cut
    ]
    return tuple(sentence for sentence in [*found, *short] if sentence)


def _rivals(run: Run, runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Runs of the same pair without restarts, by schedule, ascending in budget."""
    others = [other for other in runs if other.pair == run.pair and not other.restarts]
    for schedule in dict.fromkeys(other.schedule for other in others):
        same = [other for other in others if other.schedule == schedule]
        yield sorted(same, key=lambda other: other.final.epoch)


def _reaches(run: Run, rival: Run) -> str:
    """The first cycle that ends as well as the rival; or how far the best one stays from it."""
    goal = rival.final
    whose = f"{run.told(goal)} of {rival.title}"
    for end in run.ends:
        if run.cost(end.value) <= run.cost(goal.value):
            return (
                f"{run.title} reaches the {whose} at epoch {end.epoch} of {goal.epoch}, "
                f"{_earlier(end.epoch, goal.epoch)} ({run.told(end)}: {_apart(run, end, goal)})."
            )
    best = min(run.ends, key=lambda end: run.cost(end.value))
    apart = _apart(run, best, goal)
    fails = "does not quite reach" if apart == NO_DIFFERENCE else "never reaches"
    return (
        f"{run.title} {fails} the {whose} at epoch {goal.epoch}: its best cycle ends at "
        f"epoch {best.epoch} with {run.told(best)}, {apart}."
    )


def _leads(run: Run, rival: Run) -> str:
    """When the rival first has what the run has at the ends of its cycles; empty without any."""
    ends = [end for end in run.ends if end.epoch < rival.final.epoch]
    firsts = [_first(rival, end.value) for end in ends]
    had = _listed([f"{end.epoch} ({run.units.told(end.value)})" for end in ends])
    has = _listed([f"epoch {first}" if first else "no epoch" for first in firsts])
    times = [f"{first / end.epoch:.1f}" for first, end in zip(firsts, ends, strict=True) if first]
    later = f": {_listed(times)} times as late" if times else ""
    one = f"What {run.title} has at epoch {had}, {rival.title} first has at {has}{later}."
    return one * bool(ends and rival.curve)


def _first(run: Run, value: float) -> float | None:
    """The first epoch (from 1) after which a run is as good."""
    goal = run.cost(value)
    known = zip(run.epochs or range(1, len(run.curve) + 1), run.curve, strict=True)
    return next((epoch for epoch, one in known if run.cost(one) <= goal), None)


def _listed(parts: Sequence[str]) -> str:
    """Join for reading: "20, 60 and 140"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _at_budgets(run: Run, rivals: Sequence[Run]) -> str:
    """Each rival against the cycle that ends with it; empty where none does."""
    cycles = {end.epoch: end for end in run.ends}
    both = [(cycles[r.final.epoch], r.final) for r in rivals if r.final.epoch in cycles]
    parts = [
        f"epoch {end.epoch} {run.told(end)} against {run.told(other)} ({_apart(run, end, other)})"
        for end, other in both
    ]
    whose = pair_called(run.pair).title
    return f"{run.title} against {whose} trained just as long: {'; '.join(parts)}." * bool(parts)


def _earlier(epoch: float, goal: float) -> str:
    """How two epochs compare: "2.3 times earlier"."""
    if epoch == goal:
        return "where both end"
    if epoch > goal:
        return f"{epoch / goal:.1f} times later"
    return f"{goal / epoch:.1f} times earlier"


def _apart(run: Run, end: End, other: End) -> str:
    """How far the first lies from the second: "0.18 ± 0.06 points above"."""
    difference = end.value - other.value
    stderr = None
    if end.stderr is not None and other.stderr is not None:
        stderr = math.hypot(end.stderr, other.stderr)
    if abs(difference) <= NOISE * (stderr or 0.0):
        return NO_DIFFERENCE
    side = "above" if difference > 0 else "below"
    return f"{run.units.apart(abs(difference), stderr)} {side}"
