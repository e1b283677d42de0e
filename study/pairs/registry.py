"""The pairs: an update rule with a placement of λ, by name.

A name is that of the rule and that of the placement, `lion-scaled`, behind which may stand
`-cautious`. Those of the paper and of torch.optim.AdamW are shorter: `adamw` is adam-decoupled.

A rule of the user's own is named by its code, `mine.py:Tiger-scaled`; so is an optimizer such as
torch's, `torch.optim:NAdam`, where λ enters as it does itself. Neither is imported to be named.
"""

from __future__ import annotations

import difflib
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from landscape_study.study.own_code.loading import plain_name
from landscape_study.study.pairs.placements import PLACEMENTS, Placement, PlacementName
from landscape_study.study.pairs.rules import RULES


@dataclass(frozen=True)
class Pair:
    """An optimizer/regularization pair: which update rule, and where λ enters.

    Attributes:
        rule: key of `RULES`; or the code of a rule or optimizer of the user's own.
        placement: key of `PLACEMENTS`; None of an optimizer.
        title: how figures name it.
        cautious: whether θ decays only where its update does not have the opposite sign.
    """

    name: str
    rule: str
    placement: PlacementName | None
    title: str
    cautious: bool = False

    @property
    def is_own(self) -> bool:
        """Whether it is of code that is named by its place: the user's, or torch's."""
        return ":" in self.rule

    @property
    def is_optimizer(self) -> bool:
        """Whether an optimizer such as torch's does all of the step, decay included."""
        return self.placement is None

    @property
    def is_trusted(self) -> bool:
        """Whether its code comes with this tool, so that a database may name it."""
        return not self.is_own or self.rule.startswith("torch.optim:")

    @property
    def entering(self) -> Placement:
        """Where λ enters; of an optimizer nobody knows."""
        assert self.placement is not None
        return PLACEMENTS[self.placement]

    @property
    def label(self) -> str:
        """What panels are called that have it: Tiger-scaled of mine.py:Tiger-scaled."""
        return self.name.rpartition(":")[2]


OWN = re.compile(r"([^:]+):([A-Za-z_]\w*)(?:-([a-z0-9]+))?(-cautious)?")
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


SHORT: dict[str, tuple[str, str]] = {  # name and title of those that are known by others
    "sgd-l2": ("sgd", "SGD + L2"),
    "sgd-decoupled": ("sgdw", "SGDW"),
    "sgd-scaled": ("sgdw-torch", "SGDW (λ scaled by α)"),
    "adam-l2": ("adam", "Adam + L2"),
    "adam-decoupled": ("adamw", "AdamW"),
    "adam-scaled": ("adamw-torch", "AdamW (torch: λ scaled by α)"),
}


def _pair(rule: str, rule_title: str, placement: PlacementName, *, cautious: bool) -> Pair:
    whole = f"{rule}-{placement}{'-cautious' * cautious}"
    entering = PLACEMENTS[placement]
    title = (
        f"{rule_title} + {entering.title}"
        if entering.in_gradient
        else f"{rule_title} ({entering.title}{', cautious' * cautious})"
    )
    name, title = SHORT.get(whole, (whole, title))
    return Pair(name, rule, placement, title, cautious)


PAIRS: dict[str, Pair] = {
    pair.name: pair
    for pair in (
        _pair(rule, RULES[rule].title, placement, cautious=cautious)
        for rule in RULES
        for cautious in (False, True)
        for placement in PLACEMENTS
        if not (cautious and PLACEMENTS[placement].in_gradient)
    )
}


def short_name(name: Any) -> Any:
    """The short name of a pair that has one: adamw of adam-decoupled; anything else as it is."""
    return SHORT[name][0] if isinstance(name, str) and name in SHORT else name


def label_of(name: Any) -> Any:
    """What panels are called that have the pair of this name, and no name of their own."""
    return name.rpartition(":")[2] if isinstance(name, str) and ":" in name else short_name(name)


def pair_called(name: str) -> Pair:
    """The pair of that name, short or whole.

    Raises:
        ValueError: there is none.
    """
    if ":" in name:
        return _own_pair(name)
    if short_name(name) in PAIRS:
        return PAIRS[short_name(name)]
    if name in RULES:
        own = ", ".join(pair.name for pair in PAIRS.values() if pair.rule == name)
        raise ValueError(f"pair '{name}' does not say where λ enters: choose one of {own}")
    if name.removesuffix("-cautious") in (*PAIRS, *SHORT):
        raise ValueError(f"pair '{name}': λ in the gradient cannot be cautious: leave that out")
    close = difflib.get_close_matches(name, [*PAIRS, *SHORT], n=3)
    guess = f"did you mean {' or '.join(close)}? " if close else ""
    raise ValueError(f"unknown pair '{name}': {guess}`landscape pairs` lists all")


def known_pair(name: str) -> Pair | None:
    """The pair of that name; None where it is a label of the user's."""
    if OWN.fullmatch(name):
        with suppress(ValueError):
            return _own_pair(name)
    return PAIRS.get(name)


def _own_pair(name: str) -> Pair:
    """The pair of a rule or an optimizer of the user's own, as far as its name says.

    Raises:
        ValueError: it is none.
    """
    matched = OWN.fullmatch(name)
    where, code, placement, cautious = matched.groups() if matched else ("", "", None, None)
    if not (where.endswith(".py") or MODULE.fullmatch(where)) or not where.isprintable():
        raise ValueError(
            f"pair '{name}': name a rule of your own as FILE.py:Class-placement or "
            "package.module:Class-placement, and an optimizer without a placement"
        )
    rule = plain_name(f"{where}:{code}")
    if placement is None:
        return Pair(rule, rule, None, f"{code} ({where.rpartition('/')[2]})")
    for known in PLACEMENTS:
        if placement == known:
            if cautious and PLACEMENTS[known].in_gradient:
                raise ValueError(
                    f"pair '{name}': λ in the gradient cannot be cautious: leave that out"
                )
            return _pair(rule, code, known, cautious=bool(cautious))
    raise ValueError(
        f"pair '{name}': '{placement}' is no placement: choose one of {', '.join(PLACEMENTS)}"
    )
