"""How an optimizer such as torch's is called: which of its arguments α and λ are, and the others.

In a panel, as `optimizer = { alpha = "lr", lambda = "weight_decay", betas = [0.9, 0.95] }`, of
which what is not said is as here, or the optimizer's own default.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from landscape_study.study.errors import PairError

NAMES = {"alpha": "lr", "lambda": "weight_decay"}
CLOSED = ("params", "closure")  # what is handed over here


@dataclass(frozen=True)
class Arguments:
    """The arguments of an optimizer.

    Attributes:
        alpha, lambda_: names of those that are η·α and λ.
        others: by name.
    """

    alpha: str = NAMES["alpha"]
    lambda_: str = NAMES["lambda"]
    others: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Mapping[str, Any] | None) -> Arguments:
        """Those that a panel says; lists are tuples, as optimizers take them."""
        said = NAMES | dict(table or {})
        others = {name: _plain(value) for name, value in said.items() if name not in NAMES}
        return cls(said["alpha"], said["lambda"], others)


def _plain(value: Any) -> Any:
    return tuple(map(_plain, value)) if isinstance(value, list) else value


def wrong_with_table(table: Mapping[str, Any]) -> str | None:
    """What is wrong with a panel's table, whatever optimizer it is of; None if nothing."""
    for name in NAMES:
        if name in table and not (isinstance(table[name], str) and table[name].isidentifier()):
            return f"{name} = {table[name]!r}: name the argument that it is, as in {NAMES[name]!r}"
    used = [table.get(name, usual) for name, usual in NAMES.items()]
    if used[0] == used[1] or (twice := [name for name in used if name in table]):
        told = used[0] if used[0] == used[1] else twice[0]
        return f"'{told}' is given twice: α and λ are each an argument of their own"
    for name, value in table.items():
        if not _is_simple(value):
            return f"{name} = {value!r}: give numbers, words, truth values, or lists of them"
    return None


def _is_simple(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_simple, value))
    return isinstance(value, bool | int | float | str)


def check_arguments(code: str, optimizer: type[Any], arguments: Arguments) -> None:
    """Check that an optimizer takes what it is to be given.

    Args:
        code: its name.

    Raises:
        PairError: it does not, or needs a closure.
    """
    step = inspect.signature(optimizer.step).parameters.get("closure")
    if step is not None and step.default is inspect.Parameter.empty:
        raise PairError(
            f"pair '{code}': its step computes the loss several times, by a closure, and a batch "
            "has one gradient here: take another optimizer"
        )
    taken = inspect.signature(optimizer).parameters.values()
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken):
        return
    names = [one.name for one in taken if one.name not in CLOSED]
    for key, name in (("alpha", arguments.alpha), ("lambda", arguments.lambda_)):
        if name not in names:
            raise PairError(_without(code, key, name, names))
    unknown = [name for name in arguments.others if name not in names]
    if unknown:
        raise PairError(
            f"pair '{code}': it has no argument {', '.join(unknown)}: it takes {', '.join(names)}"
        )


def _without(code: str, key: str, name: str, names: Sequence[str]) -> str:
    """That it lacks what α or λ is to be."""
    letter = {"alpha": "α", "lambda": "λ"}[key]
    return (
        f"pair '{code}': it has no argument {name}, which {letter} would be: say which it is, "
        f'optimizer = {{ {key} = "…" }}, of {", ".join(names)}; or take an optimizer that has one'
    )
