"""Families: panels of one pair that differ in one number only, a batch size, a budget or a width.

What stays is said, since it decides what published laws mean: over batch sizes with the epochs
held, a larger batch means fewer steps; with the steps held, more epochs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.published_laws import Number
from landscape_study.study.pairs.registry import pair_called

NAMES: dict[Number, str] = {
    "batch_size": "batch size",
    "epochs": "epochs",
    "steps": "steps",
    "width": "width",
}
LOOKED_FOR: tuple[Number, ...] = ("batch_size", "epochs")  # where none is named: steps go along
LEAST = 3  # values, that a law is told by
SAME_STEPS = 0.05  # relative: whole batches make rounding of this size

Told = Mapping[str, float]  # the number of panels or studies, by name, as a user says it


@dataclass(frozen=True, eq=False)
class Family:
    """Panels that differ in one number, ascending in it.

    Attributes:
        over: the number.
        panels: that have it.
        values: the number of each.
        held: what stays, in words: "60 epochs, so that larger batches make fewer steps".
        steps_held: whether larger batches make more epochs, not fewer steps.
    """

    over: Number
    panels: tuple[PanelData, ...]
    values: tuple[float, ...]
    held: str
    steps_held: bool = False

    @property
    def pair(self) -> str:
        """Its name; "" where it is a label of the user's."""
        return self.panels[0].landscape.pair

    @property
    def title(self) -> str:
        """The pair, schedule and kind of λ: "AdamW, cosine"."""
        panel = self.panels[0].panel
        if not self.pair or panel is None:
            return ", ".join(one.name for one in self.panels)
        kind = ", λ_norm" if panel.normalized else ""
        return f"{pair_called(self.pair).title}, {panel.schedule.label}{kind}"


def families(
    panels: Sequence[PanelData], over: Number | None = None, told: Told | None = None
) -> list[Family]:
    """The families of panels, in their order.

    Args:
        panels: of one study, or of several.
        over: the number that they are to differ in; None for the only one that they do differ in,
            or for the width where it is told.
        told: the number of each panel where it is not known here, by PANEL, STUDY/PANEL or STUDY.

    Raises:
        UsageError: no panels differ in this number alone, or in several numbers and none is named.
    """
    usual = _of_alpha_and_lambda(panels)
    if panels and not usual:
        axes = {" × ".join(one.panel.grid.names) for one in panels if one.panel}
        raise UsageError(
            f"its panels are over {', '.join(sorted(axes))}, and laws are of the best α and λ: "
            "give panels over alpha × lambda"
        )
    panels = usual
    if told:
        return _told_families(panels, over or "width", told)
    if over == "width":
        raise UsageError(
            "how wide the networks of panels are is not known here: say it, as in "
            "--x narrow=64 --x wide=256, by the names of panels or studies"
        )
    if over is not None:
        found = _families(panels, over)
        if not found:
            raise UsageError(_why_none(panels, over))
        return found
    some = {number: found for number in LOOKED_FOR if (found := _families(panels, number))}
    large = {number: found for number, found in some.items() if any(map(_is_large, found))}
    if len(large) == 1:  # two values of another number tell no law
        some = large
    if len(some) > 1:
        names = " and ".join(NAMES[number] for number in some)
        options = " or ".join(f"--over {number}" for number in some)
        raise UsageError(f"its panels differ in {names}: choose {options}")
    if not some:
        raise UsageError(_why_none(panels, "batch_size"))
    return next(iter(some.values()))


def _is_large(family: Family) -> bool:
    return len(set(family.values)) >= LEAST


def known_families(panels: Sequence[PanelData]) -> list[Family]:
    """Families over batch sizes and over budgets that have values enough to tell a law."""
    usual = _of_alpha_and_lambda(panels)
    found = [family for number in LOOKED_FOR for family in _families(usual, number)]
    return [family for family in found if _is_large(family)]


def _of_alpha_and_lambda(panels: Sequence[PanelData]) -> list[PanelData]:
    """Without those whose axes are other numbers."""
    return [one for one in panels if one.panel is None or one.panel.grid.is_usual]


def _families(panels: Sequence[PanelData], over: Number) -> list[Family]:
    alike: defaultdict[str, list[PanelData]] = defaultdict(list)
    for one in panels:
        if one.panel is not None and not one.panel.is_labelled and _number(one, over) is not None:
            alike[f"{one.task}{_alike(one)}{_options(one)}"].append(one)
    found = [family for group in alike.values() for family in _split(group, over)]
    return sorted(found, key=lambda family: panels.index(family.panels[0]))


def _split(group: Sequence[PanelData], over: Number) -> Iterator[Family]:
    """The families of panels that differ at most in batch size and budget."""
    if over != "batch_size":
        for size, ones in _by(group, lambda one: one.batch_size).items():
            yield from _family(ones, over, f"batches of {size}")
        return
    for epochs, ones in _by(group, lambda one: one.panel and one.panel.epochs).items():
        held = f"{epochs} epoch{'s' * (epochs != 1)}, so that larger batches make fewer steps"
        yield from _family(ones, over, held)
    for steps, ones in _same_steps(group).items():
        if len({one.panel.epochs for one in ones if one.panel}) > 1:
            held = f"about {steps} steps, so that larger batches make more epochs"
            yield from _family(ones, over, held, steps_held=True)


def _family(
    ones: Sequence[PanelData], over: Number, held: str, *, steps_held: bool = False
) -> Iterator[Family]:
    """A family, if its panels have several values of the number."""
    numbers = [(_number(one, over) or math.nan, one) for one in ones]
    if len({number for number, _ in numbers}) > 1:
        values, panels = zip(*sorted(numbers, key=lambda one: one[0]), strict=True)
        yield Family(over, panels, values, held, steps_held)


def _by(group: Sequence[PanelData], key: Callable[[PanelData], Any]) -> dict[Any, list[PanelData]]:
    found: defaultdict[Any, list[PanelData]] = defaultdict(list)
    for one in group:
        found[key(one)].append(one)
    return found


def _same_steps(group: Sequence[PanelData]) -> dict[int, list[PanelData]]:
    """Panels of as many steps, but for rounding, by the fewest of them."""
    found: dict[int, list[PanelData]] = {}
    known = [(steps, one) for one in group if (steps := _number(one, "steps")) is not None]
    for steps, one in sorted(known, key=lambda each: each[0]):
        last = next(reversed(found), None)
        key = last if last is not None and steps <= (1 + SAME_STEPS) * last else int(steps)
        found.setdefault(key, []).append(one)
    return found


def _number(one: PanelData, over: Number) -> float | None:
    """The number of a panel; None where it is not known."""
    epochs = None if one.panel is None else one.panel.epochs
    if over == "batch_size":
        return one.batch_size
    if over == "epochs" or epochs is None:
        return epochs
    if one.examples is None or one.batch_size is None:
        return None
    return epochs * math.ceil(one.examples / one.batch_size)


def _alike(one: PanelData) -> tuple[object, ...]:
    """What panels of a family have in common but for numbers."""
    own = one.panel
    assert own is not None
    return own.pair, own.schedule.label, own.normalized, one.metric.name


def _options(one: PanelData) -> dict[str, Any]:
    """What its steps need besides α, λ and η; of an own rule or optimizer, what it is, too."""
    found = {} if one.options is None else one.options.model_dump()
    if one.panel is None:
        return found
    source = {"source": one.panel.source} if one.panel.source else {}
    return found | source | (one.panel.optimizer or {})


def _told_families(panels: Sequence[PanelData], over: Number, told: Told) -> list[Family]:
    """Families of panels whose numbers the user says; where pairs are labels, all are one."""
    own = {one.name: number for one in panels if (number := _told_number(one, told)) is not None}
    known = {name for one in panels for name in _names(one)}
    for name, number in told.items():
        if name not in known:
            some = ", ".join(one.name for one in panels)
            raise UsageError(f"--x {name}: no such panel or study: name one of {some}")
        if not 0 < number < math.inf:
            raise UsageError(f"--x {name}={number:g}: give a positive number")
    for one in panels:
        is_known = one.panel is not None and not one.panel.is_labelled and over != "width"
        stored = _number(one, over) if is_known else None
        if stored is not None and one.name in own and own[one.name] != stored:
            raise UsageError(
                f"--x gives panel {one.name} {own[one.name]:g}, and its {NAMES[over]} is "
                f"{stored:g}: leave it out"
            )
    alike: defaultdict[str, list[PanelData]] = defaultdict(list)
    for one in panels:
        if one.name in own and one.panel is not None:
            key = "" if one.panel.is_labelled else f"{_alike(one)}{_options(one)}"
            alike[key].append(one)
    for group in alike.values():
        _require_alike(group, over)
    found = []
    for group in alike.values():
        pairs = sorted(((own[one.name], one) for one in group), key=lambda each: each[0])
        if len({number for number, _ in pairs}) > 1:
            values, ones = zip(*pairs, strict=True)
            found.append(Family(over, ones, values, "all else, as far as it is known here"))
    if not found:
        raise UsageError(
            f"no two panels of a pair have another {NAMES[over]}: say those of more panels or "
            "studies with --x NAME=NUMBER"
        )
    return found


def _names(one: PanelData) -> tuple[str, ...]:
    """By what a user may name a panel: itself, or its study."""
    bare = one.panel.name if one.panel else one.name
    return one.name, bare, f"{one.study}/{bare}", one.study


def _told_number(one: PanelData, told: Told) -> float | None:
    return next((told[name] for name in _names(one) if name in told), None)


def _require_alike(group: Sequence[PanelData], over: Number) -> None:
    """Refuse panels that differ in a known number besides the one that is told."""
    for one, other in combinations(group, 2):
        others: tuple[Number, ...] = ("batch_size", "epochs")
        differing = [n for n in others if n != over and _number(one, n) != _number(other, n)]
        if differing:
            names = " and ".join(NAMES[number] for number in differing)
            raise UsageError(
                f"panels {one.name} and {other.name} differ in {names} besides the {NAMES[over]}: "
                "leave one of them out, or give it no --x"
            )


def _why_none(panels: Sequence[PanelData], over: Number) -> str:
    """Why no panels differ in this number alone, and what to do."""
    known = [one for one in panels if one.panel is not None and not one.panel.is_labelled]
    if not known:
        return (
            f"the {NAMES[over]} of its panels is not known here: say it with --x PANEL=NUMBER, "
            f"once for each, and --over {over}"
        )
    if over == "steps" and all(one.examples is None for one in known):
        return "how many steps they trained is not known here: take --over epochs"
    numbers: tuple[Number, ...] = (over, "epochs" if over == "batch_size" else "batch_size")
    for one, other in combinations(known, 2):
        if _alike(one) == _alike(other) and _number(one, over) != _number(other, over):
            differing = [NAMES[n] for n in numbers if _number(one, n) != _number(other, n)]
            own, of_other = _options(one), _options(other)
            keys = sorted({*own, *of_other})
            differing += [key for key in keys if own.get(key) != of_other.get(key)]
            return (
                f"panels {one.name} and {other.name} differ in {' and in '.join(differing)}: "
                f"give panels that differ in the {NAMES[over]} alone"
            )
    values = sorted({number for one in known if (number := _number(one, over)) is not None})
    found = (
        f"its panels of a pair all have the same {NAMES[over]} ({values[0]:g})"
        if len(values) == 1
        else f"no two panels of a pair have another {NAMES[over]}"
    )
    remedy = "batch_size = 200" if over == "batch_size" else "epochs = 120"
    return f"{found}: give the study more panels, with {remedy} of their own"
