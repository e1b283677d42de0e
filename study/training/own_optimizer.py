"""An optimizer such as torch's at work on one network, as in a plain loop.

Letters: P numbers in all parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from landscape_study.study.errors import PairError, first_line
from landscape_study.study.pairs.decay_groups import decaying
from landscape_study.study.pairs.meter import Meter
from landscape_study.study.pairs.optimizer import SMALL
from landscape_study.study.pairs.optimizer_arguments import Arguments, check_arguments
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.own_rules import load_optimizer
from landscape_study.study.pairs.registry import Pair
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks.data.tensors import dense


class OwnOptimizer:
    """The optimizer of a pair, with the α and λ of a cell.

    Args:
        pair: whose code is an optimizer.
        arguments: that it is given.
        named: the parameters by name, which it changes.
        options: clipping, and which parameters λ leaves alone.

    Attributes:
        made: the optimizer.
        meter: what its steps were like.

    Raises:
        PairError: it cannot be made with these.
    """

    def __init__(
        self,
        pair: Pair,
        arguments: Arguments,
        named: Mapping[str, nn.Parameter],
        cell: Cell,
        options: Options,
    ) -> None:
        self.arguments, self.cell, self.clip_norm = arguments, cell, options.clip_norm
        self.parameters = list(named.values())
        decays = decaying({name: p.ndim for name, p in named.items()}, options)
        self.made = self._make(pair, decays)
        numbers = torch.zeros(1, 0, dtype=torch.float64, device=self.parameters[0].device)
        self.meter = Meter(numbers, clips=not math.isinf(self.clip_norm))

    def _make(self, pair: Pair, decays: list[bool]) -> Any:
        """The optimizer, with a group of parameters that decay and one of those that do not."""
        kind, arguments = load_optimizer(pair.rule), self.arguments
        check_arguments(pair.rule, kind, arguments)
        own = {arguments.alpha: self.cell.alpha, arguments.lambda_: self.cell.lambda_}
        groups = [
            {"params": part, arguments.lambda_: self.cell.lambda_ if kept else 0.0}
            for kept in (True, False)
            if (part := [p for p, own in zip(self.parameters, decays, strict=True) if own is kept])
        ]
        try:
            made = kind(groups, **own, **arguments.others)
        except Exception as e:  # each refuses in its own way
            raise PairError(
                f"pair '{pair.name}': {pair.label} cannot be made with "
                f"{_told(own | dict(arguments.others))} for this network "
                f"({type(e).__name__}: {first_line(e)})"
            ) from e
        for name in own:
            if any(name not in group for group in made.param_groups):
                raise PairError(
                    f"pair '{pair.name}': {pair.label} does not keep {name} in its param_groups, "
                    "where a schedule would change it: take another optimizer"
                )
        return made

    def train(self, training: bool) -> None:
        """Switch what it holds to training or to testing, where it has two kinds of weights."""
        switch = getattr(self.made, "train" if training else "eval", None)
        if callable(switch):
            switch()

    @torch.no_grad()
    def step(self, eta: float, lambda_scale: float) -> None:
        """One step from the gradients that the parameters have.

        Args:
            lambda_scale: turns a normalized λ into the λ of this step.
        """
        for group in self.made.param_groups:
            group[self.arguments.alpha] = eta * self.cell.alpha
            if group[self.arguments.lambda_] != 0:
                group[self.arguments.lambda_] = lambda_scale * self.cell.lambda_
        moving = [p for p in self.parameters if p.grad is not None]
        is_due = self.meter.is_due()
        some = moving if is_due else []
        before, gradient = _row(some), _row([p.grad for p in some])
        clip = self._clip(moving)
        self.made.step()
        self.meter.count(clip)
        if is_due:
            self.meter.measure(gradient, before - _row(moving))

    def _clip(self, moving: list[nn.Parameter]) -> Tensor | None:
        """Shorten the gradient, if it is to be; by how much, [1, 1]."""
        if math.isinf(self.clip_norm) or not moving:
            return None
        norm = nn.utils.clip_grad_norm_(moving, self.clip_norm)
        return (self.clip_norm / (norm + SMALL)).clamp(max=1.0).reshape(1, 1)

    def state(self) -> dict[str, Any]:
        """What steps depend on, beside the parameters."""
        return {"meter": self.meter.state(), "library": self.made.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where that was the state."""
        self.made.load_state_dict(state["library"])
        self.meter.restore(state["meter"])


def _row(tensors: list[Any]) -> Tensor:
    """All their numbers, [1, P]; complex ones are pairs of real ones."""
    if not tensors:
        return torch.zeros(1, 0, dtype=torch.float64)
    real = (torch.view_as_real(t) if t.is_complex() else t for t in map(dense, tensors))
    return torch.cat([one.detach().reshape(1, -1).double() for one in real], dim=1)


def _told(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
