"""Update rules: what an optimizer makes of gradients, apart from where λ enters.

Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019),
Algorithms 1 (SGD with momentum) and 2 (Adam).

Shapes: K cells, P parameters of one cell. All state is stacked and flat, [K, P]; α and λ are
columns, [K, 1], so that every cell of a chunk has its own. With g the gradient at
θ_old = θ_{t-1}, t counted from 1, α the learning rate and η_t the schedule multiplier:

    sgd     m = β1·m + η_t·α·g                               θ = θ_old − m − decay
    adam    m = β1·m + (1−β1)·g,  v = β2·v + (1−β2)·g²       θ = θ_old − η_t·α·m̂/(√v̂+ε) − decay

Adding a rule is adding a class to `RULES`; it gets every placement of λ (`pairs.placements`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from landscape_study.study.pairs.options import Options

if TYPE_CHECKING:
    from torch import Tensor


class Rule(Protocol):
    """An update rule: turns the gradients of K cells into updates, by moments that it advances.

    Attributes:
        moments: how many tensors [K, P] it keeps; they start from 0.
    """

    moments: int

    def __init__(self, options: Options) -> None: ...

    def corrections(self, t: int) -> tuple[float, ...]:
        """The numbers of step `t` (from 1) that are the same for all cells."""
        ...

    def update(
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        """Advance the moments in place by gradient `g` [K, P]; return what θ loses, [K, P].

        `rate` is η_t·α, [K, 1]; `corrections` are those of the step, each [].
        """
        ...

    @property
    def gain(self) -> float:
        """How many times η·α·g θ loses in the end for one gradient g, apart from its scaling."""
        ...


class SGD:
    """SGD with momentum β1 (Algorithm 1, lines 6 to 9): m = β1·m + η_t·α·g."""

    moments = 1

    def __init__(self, options: Options) -> None:
        self.beta1 = options.momentum

    def corrections(self, t: int) -> tuple[float, ...]:  # noqa: D102
        return ()

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        (m,) = moments
        return m.mul_(self.beta1).addcmul_(g, rate)

    @property
    def gain(self) -> float:
        """1 + β1 + β1² + …: momentum repeats it."""
        return 1 / (1 - self.beta1)


class Adam:
    """Adam (Algorithm 2, lines 6 to 12): η_t·α·m̂/(√v̂ + ε), with bias-corrected moments."""

    moments = 2

    def __init__(self, options: Options) -> None:
        self.beta1, self.beta2, self.eps = options.beta1, options.beta2, options.eps

    def corrections(self, t: int) -> tuple[float, ...]:
        """What m is divided by, and what √v is multiplied by: that is faster."""
        return 1 - self.beta1**t, 1 / math.sqrt(1 - self.beta2**t)

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        (m, v), (of_m, of_v) = moments, corrections
        m.mul_(self.beta1).add_(g, alpha=1 - self.beta1)
        v.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        denominator = v.sqrt().mul_(of_v).add_(self.eps)
        return (m / denominator).mul_(rate / of_m)

    @property
    def gain(self) -> float:
        """1: its m is a mean of gradients; that √v̂ divides it is left out."""
        return 1.0


RULES: dict[str, type[Rule]] = {"sgd": SGD, "adam": Adam}
