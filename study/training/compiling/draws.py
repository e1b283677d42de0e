"""Random numbers that a program takes: PyTorch draws them before a call, for all cells alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from landscape_study.study.training.compiling.values import NotCompilableError

aten = torch.ops.aten

# Operations whose numbers depend on nothing but the form of what they fill. What fills a tensor is
# called as in a plain loop: in place, in the order in which the tensor lies in memory.
DRAWING: dict[str, Any] = {
    str(aten.bernoulli.p): Tensor.bernoulli_,
    str(aten.exponential.default): Tensor.exponential_,
    str(aten.normal_functional.default): Tensor.normal_,
    str(aten.uniform.default): Tensor.uniform_,
} | {
    str(operation): operation
    for operation in (
        aten.rand.default,
        aten.rand_like.default,
        aten.randint.default,
        aten.randint.low,
        aten.randn.default,
        aten.randn_like.default,
        aten.randperm.default,
    )
}


@dataclass(frozen=True)
class Form:
    """What there is to a tensor beside its numbers."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Draw:
    """Random numbers that every cell of a step is given alike.

    Attributes:
        operation: name of one of `DRAWING`.
        args: of it; of a tensor, which is only filled, its form.
    """

    operation: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def now(self) -> Tensor:
        """Those of this step, in the order in which they lie in memory in a plain loop."""
        args = [_empty(one) if isinstance(one, Form) else one for one in self.args]
        drawn: Tensor = DRAWING[self.operation](*args, **self.kwargs)
        return drawn.contiguous()


def _empty(form: Form) -> Tensor:
    return torch.empty_strided(form.shape, form.strides, dtype=form.dtype)


def draw_of(node: Node) -> Draw:
    """What a node of a graph draws.

    Raises:
        NotCompilableError: that depends on numbers that are computed.
    """
    if str(node.target) not in DRAWING:
        raise NotCompilableError(f"the random numbers of {node.target}")

    def told(argument: Any) -> Any:
        if isinstance(argument, (list, tuple)):
            return [*argument]  # of plain Python, not fx's own
        if not isinstance(argument, Node):
            return argument
        shown = argument.meta["val"]
        return Form(tuple(shown.shape), shown.stride(), shown.dtype)

    kwargs = {name: one for name, one in node.kwargs.items() if name in ("dtype", "generator")}
    return Draw(str(node.target), tuple(told(a) for a in node.args), kwargs)


def plain(draw: Draw) -> list[Any]:
    """A draw as lists, numbers and words, to be kept."""
    args = [[*vars(one).values()] if isinstance(one, Form) else one for one in draw.args]
    which = [isinstance(one, Form) for one in draw.args]
    return [draw.operation, args, which, draw.kwargs]


def from_plain(kept: list[Any]) -> Draw:
    """The draw that was kept so."""
    operation, args, which, kwargs = kept
    told = [Form(*one) if is_form else one for one, is_form in zip(args, which, strict=True)]
    return Draw(operation, tuple(told), kwargs)
