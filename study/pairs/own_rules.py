"""Rules and optimizers of the user's own: classes in their files and packages, loaded by name."""

from __future__ import annotations

import sys
from typing import Any

from landscape_study.study.errors import PairError
from landscape_study.study.own_code.loading import Kind, load_own
from landscape_study.study.pairs.placements import PLACEMENTS
from landscape_study.study.pairs.rule import Rule


def is_rule(value: object) -> bool:
    """Whether it is a rule, and not what rules are made of."""
    return isinstance(value, type) and issubclass(value, Rule) and value is not Rule


def is_optimizer(value: object) -> bool:
    """Whether it is an optimizer such as torch's, and not what these are made of."""
    torch = sys.modules.get("torch")  # imported by any that there is
    base = None if torch is None else torch.optim.Optimizer
    if base is None or value is base:
        return False
    return isinstance(value, type) and issubclass(value, base)


CODE = Kind(
    "pair", "rule or optimizer", PairError, lambda value: is_rule(value) or is_optimizer(value)
)


def load_rule(name: str) -> type[Rule]:
    """The rule called `name`, FILE.py:Class or package.module:Class.

    Raises:
        PairError: it does not import, is not there, or is no rule.
    """
    found = load_own(name, CODE)
    if is_optimizer(found):
        raise PairError(
            f"pair '{name}' is an optimizer, which decays in its own way: leave out the placement "
            f"behind it: {name}"
        )
    if not is_rule(found):
        raise PairError(
            f"pair '{name}' is {_kind(found)}: write `class {name.rpartition(':')[2]}"
            "(landscape_study.Rule)`, with `moments` and `update`"
        )
    rule: type[Rule] = found
    return rule


def _kind(found: object) -> str:
    """What it is instead of a rule or an optimizer."""
    return "a class of another kind" if isinstance(found, type) else "no class"


def named(rule: str) -> str:
    """How pairs of a rule are named."""
    others = ", ".join(f"-{one}" for one in PLACEMENTS if one != "scaled")
    return f"name it as {rule}-scaled, or with {others}"


def load_optimizer(name: str) -> type[Any]:
    """The optimizer called `name`, a class such as torch.optim:NAdam.

    Raises:
        PairError: it does not import, is not there, or is no optimizer.
    """
    found = load_own(name, CODE)
    if is_rule(found):
        raise PairError(
            f"pair '{name}' is an update rule, and does not say where λ enters: {named(name)}"
        )
    if not is_optimizer(found):
        raise PairError(
            f"pair '{name}' is {_kind(found)}: name a class made from torch.optim.Optimizer, "
            "or a rule, a class made from landscape_study.Rule, with a placement behind it"
        )
    optimizer: type[Any] = found
    return optimizer
