"""Random numbers that are drawn along a tensor's memory: dropout masks, noise.

A plain loop draws them in the order in which its activations lie in memory; vmap, whose
activations lie otherwise, would draw others for one that was transposed. So the order is looked up
once, in a plain call of the network, and kept to.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from landscape_study.study.tasks.randomness import seeded

Order = tuple[int, ...]  # dimensions, from the slowest in memory to the fastest


class Drawing(TorchFunctionMode):
    """Within it, the network is called once, and draws as it would in a plain loop.

    Args:
        orders: of what each drawing call of the network is given; the usual one of those for which
            there is none.
    """

    def __init__(self, orders: Sequence[Order]) -> None:
        super().__init__()
        self.left = iter(orders)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Ours where something is drawn, else PyTorch's."""
        if func not in DRAWN:
            return func(*args, **(kwargs or {}))
        like = args[0] if args else (kwargs or {})["input"]
        order = next(self.left, tuple(range(like.ndim)))
        return DRAWN[func](order, *args, **(kwargs or {}))


class UnfusedDropout(TorchFunctionMode):
    """Within it, dropout draws its mask by itself, as it does on a CPU and under vmap.

    A GPU's fused kernel draws other numbers, which no engine but the plain loop could draw too.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Ours for dropout, else PyTorch's."""
        if func is functional.dropout:
            like = args[0] if args else (kwargs or {})["input"]
            return dropout(order_of(like), *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def order_of(tensor: Tensor) -> Order:
    """In which its dimensions lie in memory."""
    strides = tensor.stride()
    return tuple(sorted(range(tensor.ndim), key=lambda d: (-strides[d], d)))


def orders_of(network: nn.Module, inputs: Tensor) -> list[Order]:
    """In which order the network draws, at each call that does so; [] if it is always the usual.

    A copy of it is called; one that cannot be copied is taken to draw in the usual order.
    """
    looking = _Looking()
    try:
        with seeded(0, str(inputs.device)), torch.no_grad(), looking:
            copy.deepcopy(network)(inputs.clone())
    except Exception:  # it fails in a plain loop too, and that is told elsewhere
        return []
    usual = all(order == tuple(range(len(order))) for order in looking.orders)
    return [] if usual else looking.orders


class _Looking(TorchFunctionMode):
    """Notes the orders of what is drawn along."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[Order] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func in DRAWN:
            like = args[0] if args else (kwargs or {})["input"]
            self.orders.append(order_of(like))
        return func(*args, **(kwargs or {}))


def dropout(
    order: Order, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """As torch.nn.functional.dropout, with the mask drawn in this order."""
    if not training or p in (0.0, 1.0):
        return functional.dropout(input, p, training, inplace)
    mask = _in_order(order, input).bernoulli_(1 - p).div(1 - p)
    return input.mul_(mask) if inplace else input * mask


def rand_like(order: Order, input: Tensor, **like: Any) -> Tensor:
    """As torch.rand_like, drawn in this order."""
    return _in_order(order, input, **like).uniform_()


def randn_like(order: Order, input: Tensor, **like: Any) -> Tensor:
    """As torch.randn_like, drawn in this order."""
    return _in_order(order, input, **like).normal_()


def _in_order(order: Order, like: Tensor, **facts: Any) -> Tensor:
    """An empty tensor of that shape, which lies in memory in this order."""
    facts = {"dtype": like.dtype, "device": like.device, **facts}
    empty = torch.empty([like.shape[d] for d in order], **facts)
    return empty.permute([order.index(d) for d in range(like.ndim)])


DRAWN: dict[Any, Callable[..., Tensor]] = {
    functional.dropout: dropout,
    torch.rand_like: rand_like,
    torch.randn_like: randn_like,
}
