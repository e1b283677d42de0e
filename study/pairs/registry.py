"""The pairs: an update rule with a placement of λ, by name.

A name is that of the rule and that of the placement, `lion-scaled`, behind which may stand
`-cautious`. Those of the paper and of torch.optim.AdamW are shorter: `adamw` is adam-decoupled.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from landscape_study.study.pairs.placements import PLACEMENTS, PlacementName
from landscape_study.study.pairs.rules import RULES


@dataclass(frozen=True)
class Pair:
    """An optimizer/regularization pair: which update rule, and where λ enters.

    Attributes:
        rule: key of `RULES`.
        placement: key of `PLACEMENTS`.
        title: how figures name it.
        cautious: whether θ decays only where its update does not have the opposite sign.
    """

    name: str
    rule: str
    placement: PlacementName
    title: str
    cautious: bool = False


SHORT: dict[str, tuple[str, str]] = {  # name and title of those that are known by others
    "sgd-l2": ("sgd", "SGD + L2"),
    "sgd-decoupled": ("sgdw", "SGDW"),
    "sgd-scaled": ("sgdw-torch", "SGDW (λ scaled by α)"),
    "adam-l2": ("adam", "Adam + L2"),
    "adam-decoupled": ("adamw", "AdamW"),
    "adam-scaled": ("adamw-torch", "AdamW (torch: λ scaled by α)"),
}


def _pair(rule: str, placement: PlacementName, *, cautious: bool) -> Pair:
    whole = f"{rule}-{placement}{'-cautious' * cautious}"
    entering = PLACEMENTS[placement]
    title = (
        f"{RULES[rule].title} + {entering.title}"
        if entering.in_gradient
        else f"{RULES[rule].title} ({entering.title}{', cautious' * cautious})"
    )
    name, title = SHORT.get(whole, (whole, title))
    return Pair(name, rule, placement, title, cautious)


PAIRS: dict[str, Pair] = {
    pair.name: pair
    for pair in (
        _pair(rule, placement, cautious=cautious)
        for rule in RULES
        for cautious in (False, True)
        for placement in PLACEMENTS
        if not (cautious and PLACEMENTS[placement].in_gradient)
    )
}


def short_name(name: Any) -> Any:
    """The short name of a pair that has one: adamw of adam-decoupled; anything else as it is."""
    return SHORT[name][0] if isinstance(name, str) and name in SHORT else name


def pair_called(name: str) -> Pair:
    """The pair of that name, short or whole.

    Raises:
        ValueError: there is none.
    """
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
