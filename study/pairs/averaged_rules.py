"""Rules whose steps and tests are of different weights: schedule-free ones. See `pairs.rules`.

Gradients are taken at θ, between a fast point z and its running mean x; tests are of x. Kept is
d = z − θ, which starts from 0, and from which x = θ − d·(1−β1)/β1 follows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.rule import Rule

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Weighing:
    """How much the z of a step counts in their mean: the square of the largest η until then.

    Attributes:
        largest: η until now.
        total: of what the steps until now count.
    """

    largest: float = 0.0
    total: float = 0.0

    def after(self, eta: float) -> Weighing:
        """With one more step."""
        largest = max(self.largest, eta)
        return Weighing(largest, self.total + largest**2)

    @property
    def share(self) -> float:
        """Of the last step in the mean, c_t; 0 before η was above 0."""
        return self.largest**2 / self.total if self.total else 0.0


class ScheduleFreeSGD(Rule):
    """Schedule-free SGD: z loses s = η_t·α·g, x = (1−c_t)·x + c_t·z, θ = (1−β1)·z + β1·x.

    What decays is lost by z, as s is. c_t is the share of the step in the sum of all squares of
    the largest η so far: 1/t where η is constant. Source: Defazio et al., "The Road Less
    Scheduled" (NeurIPS 2024), in the form of the authors' `schedulefree` 1.4.
    """

    title: ClassVar[str] = "Schedule-free SGD"
    mean_by: ClassVar[str] = "momentum"  # the option that says how far the mean stands behind z
    about: ClassVar[str] = "z − η·α·g goes into a mean x; gradients at (1−β1)·z + β1·x, tests at x"
    uses: ClassVar[tuple[str, ...]] = ("momentum",)
    moments: ClassVar[int] = 1
    averages: ClassVar[bool] = True

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.beta1 = getattr(options, self.mean_by)

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        return g * rate

    def move(self, theta: Tensor, lost: Tensor, moments: Sequence[Tensor], share: Tensor) -> None:
        """θ and d after z lost `lost`; the step's share in the mean is c_t, []."""
        ahead = moments[0]
        rest = 1 - share
        theta.add_(ahead * share).sub_(lost * (1 - self.beta1 * rest))
        ahead.sub_(lost * self.beta1).mul_(rest)

    def tested(self, theta: Tensor, moments: Sequence[Tensor]) -> Tensor:
        """The mean x, [K, P], which tests are of."""
        return theta - moments[0] * ((1 - self.beta1) / self.beta1)


class ScheduleFreeAdam(ScheduleFreeSGD):
    """Schedule-free Adam: as schedule-free SGD, with s = η_t·α·g/(√v̂ + ε).

    v and v̂ are those of `Adam`, which see.
    """

    title: ClassVar[str] = "Schedule-free Adam"
    mean_by: ClassVar[str] = "beta1"
    about: ClassVar[str] = "the same with z − η·α·g/(√v̂ + ε)"
    uses: ClassVar[tuple[str, ...]] = ("beta1", "beta2", "eps")
    moments: ClassVar[int] = 2

    def corrections(self, t: int) -> tuple[float, ...]:
        """What √v is multiplied by."""
        return (1 / math.sqrt(1 - self.beta2**t),)

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        v = moments[1]
        v.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        return (g * rate).div_(v.sqrt().mul_(corrections[0]).add_(self.eps))
