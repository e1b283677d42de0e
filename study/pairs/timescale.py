"""How long weights remember: the timescale of the decay, in epochs.

Decay makes the weights a moving average of past updates (Wang & Aitchison, "How to set AdamW's
weight decay as you scale model and dataset size", arXiv 2405.13698): what was added to θ has
faded to 1/e after 1/f steps, where f is the part of θ that a step takes away. In epochs, at the
peak of the schedule (η = 1):

    timescale = 1 / (f · steps of an epoch)
    decoupled, unscheduled   f = λ            never multiplied by α
    scaled, corrected        f = α·λ          as torch.optim.AdamW: 1/(α·λ·steps)
    squared                  f = α²·λ
    l2                       f = α·λ·gain     in the gradient; gain is 1/(1 − β1) of sgd and
                                              nesterov, 1 of the others

For sgd with l2 this is exact where the momentum is short beside it. For the others it is formal:
λ·θ passes what they do to the gradient, so that of adam parameters of large gradients decay less.
Of a cautious decay it is the least: some weights do not decay. λ that is normalized stands for the
λ of its steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import Pair
from landscape_study.study.pairs.rules import rule_called


@dataclass(frozen=True)
class Timescale:
    """The timescale of a panel's cells: scale / (α^power · λ), epochs.

    Attributes:
        scale: of the cell of α = λ = 1, epochs.
        power: of α that multiplies the decay: 0, 1 or 2.
    """

    scale: float
    power: float

    def epochs(self, alpha: float, lambda_: float) -> float:
        """Of a cell; infinite for λ = 0, which forgets nothing."""
        return math.inf if lambda_ == 0 else self.scale / (alpha**self.power * lambda_)


def timescale(pair: Pair, options: Options, steps: int, lambda_scale: float = 1.0) -> Timescale:
    """How long the weights of a pair's cells remember.

    Args:
        steps: of an epoch.
        lambda_scale: turns a normalized λ into that of a step (see `normalizer`).
    """
    one, two = (_forgotten(pair, options, alpha, lambda_scale) for alpha in (1.0, 2.0))
    return Timescale(1 / (one * steps), math.log2(two / one))


def _forgotten(pair: Pair, options: Options, alpha: float, lambda_: float) -> float:
    """The part of θ that a step takes away, where η = 1."""
    placement = pair.entering
    decay: float = placement.multiplied(lambda_, 1.0, alpha)
    return decay * alpha * rule_called(pair.rule)(options).gain if placement.in_gradient else decay
