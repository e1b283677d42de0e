"""Rules that divide gradients by a mean of their squares: Adam and its kin. See `pairs.rules`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.rule import Rule

if TYPE_CHECKING:
    from torch import Tensor

RECTIFIED = 5.0  # length of the second moment's mean, in steps, from which RAdam divides by it
SCHEDULE, RAISED = 0.004, 0.96  # of NAdam's momentum: ψ and the base of its decay


class Adam(Rule):
    """Adam: θ loses η_t·α·m̂/(√v̂ + ε), with m = β1·m + (1−β1)·g and v = β2·v + (1−β2)·g².

    m̂ = m/(1 − β1^t) and v̂ = v/(1 − β2^t). Source: Loshchilov & Hutter, "Decoupled Weight Decay
    Regularization" (ICLR 2019), Algorithm 2; Kingma & Ba, "Adam" (ICLR 2015).
    """

    title: ClassVar[str] = "Adam"
    about: ClassVar[str] = "η·α·m̂/(√v̂ + ε)"
    uses: ClassVar[tuple[str, ...]] = ("beta1", "beta2", "eps")
    moments: ClassVar[int] = 2

    def corrections(self, t: int) -> tuple[float, ...]:
        """What m is divided by, and what √v is multiplied by: that is faster."""
        return 1 - self.beta1**t, 1 / math.sqrt(1 - self.beta2**t)

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        (m, v), (of_m, of_v) = self._advanced(g, moments), corrections
        denominator = v.sqrt().mul_(of_v).add_(self.eps)
        return (m / denominator).mul_(rate / of_m)

    def _advanced(self, g: Tensor, moments: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """M and v after the step."""
        m, v = moments[:2]
        m.mul_(self.beta1).add_(g, alpha=1 - self.beta1)
        v.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        return m, v


class AMSGrad(Adam):
    """AMSGrad: Adam with the largest v so far, w = max(w, v), in the place of v.

    Source: Reddi et al., "On the Convergence of Adam and Beyond" (ICLR 2018), with the bias
    corrections of torch.optim.Adam(amsgrad=True).
    """

    title: ClassVar[str] = "AMSGrad"
    about: ClassVar[str] = "η·α·m̂/(√ŵ + ε), with w the largest v so far"
    moments: ClassVar[int] = 3

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        (m, v), largest = self._advanced(g, moments), moments[2]
        largest.copy_(largest.maximum(v))
        of_m, of_v = corrections
        return (m / largest.sqrt().mul_(of_v).add_(self.eps)).mul_(rate / of_m)


class NAdam(Adam):
    """NAdam: Adam with Nesterov's momentum, whose β1 rises: θ loses η_t·α·(c·g + d·m)/(√v̂ + ε).

    With μ_t = β1·(1 − 0.96^(0.004·t)/2) and Π_t = μ_1·…·μ_t, c = (1 − μ_t)/(1 − Π_t) and
    d = μ_{t+1}/(1 − Π_{t+1}). Source: Dozat, "Incorporating Nesterov Momentum into Adam" (2016),
    in the form of torch.optim.NAdam.
    """

    title: ClassVar[str] = "NAdam"
    about: ClassVar[str] = "η·α·(c·g + d·m)/(√v̂ + ε)"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.products = [1.0]  # Π_0, Π_1, …

    def corrections(self, t: int) -> tuple[float, ...]:
        """c, d, and what √v is multiplied by."""
        while len(self.products) < t + 2:
            self.products.append(self.products[-1] * self._momentum(len(self.products)))
        c = (1 - self._momentum(t)) / (1 - self.products[t])
        d = self._momentum(t + 1) / (1 - self.products[t + 1])
        return c, d, 1 / math.sqrt(1 - self.beta2**t)

    def _momentum(self, t: int) -> float:
        """μ_t."""
        return self.beta1 * (1 - 0.5 * RAISED ** (t * SCHEDULE))

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        (m, v), (c, d, of_v) = self._advanced(g, moments), corrections
        return (g * c).add_(m * d).mul_(rate).div_(v.sqrt().mul_(of_v).add_(self.eps))


class RAdam(Adam):
    """RAdam: θ loses η_t·α·r·m̂/(√v̂ + ε), and in some first steps η_t·α·m̂, as √v̂ varies too much.

    Source: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond" (ICLR 2020),
    Algorithm 2, in the form of torch.optim.RAdam: r·√(1 − β2^t) / (√v + ε).
    """

    title: ClassVar[str] = "RAdam"
    about: ClassVar[str] = "η·α·r·m̂/(√v̂ + ε), in the first steps η·α·m̂"

    def corrections(self, t: int) -> tuple[float, ...]:
        """What m is divided by; r·√(1 − β2^t), or 0 in the first steps."""
        most = 2 / (1 - self.beta2) - 1
        weight = self.beta2**t
        length = most - 2 * t * weight / (1 - weight)
        if length <= RECTIFIED:
            return 1 - self.beta1**t, 0.0
        shares = (length - 4) * (length - 2) * most, (most - 4) * (most - 2) * length
        return 1 - self.beta1**t, math.sqrt(shares[0] / shares[1] * (1 - weight))

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        (m, v), (of_m, of_v) = self._advanced(g, moments), corrections
        scale = (of_v / v.sqrt().add_(self.eps)).where(of_v > 0, v.new_ones(()))
        return (m * scale).mul_(rate / of_m)


class Adagrad(Rule):
    """Adagrad: θ loses η_t·α·g/(√s + ε), with s the sum of all g² so far.

    Source: Duchi et al., "Adaptive Subgradient Methods" (JMLR 2011), as torch.optim.Adagrad.
    """

    title: ClassVar[str] = "Adagrad"
    about: ClassVar[str] = "η·α·g/(√s + ε), with s the sum of all g²"
    uses: ClassVar[tuple[str, ...]] = ("eps",)
    defaults: ClassVar[Mapping[str, float]] = {"eps": 1e-10}
    moments: ClassVar[int] = 1

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        (squares,) = moments
        self._advance(squares, g)
        return (g * rate).div_(squares.sqrt().add_(self.eps))

    def _advance(self, squares: Tensor, g: Tensor) -> None:
        squares.addcmul_(g, g)


class RMSprop(Adagrad):
    """RMSprop: θ loses η_t·α·g/(√v + ε), with v = β2·v + (1−β2)·g².

    Source: Tieleman & Hinton, "Lecture 6.5 – RMSProp" (2012), as torch.optim.RMSprop, which calls
    β2 alpha.
    """

    title: ClassVar[str] = "RMSprop"
    about: ClassVar[str] = "η·α·g/(√v + ε)"
    uses: ClassVar[tuple[str, ...]] = ("beta2", "eps")
    defaults: ClassVar[Mapping[str, float]] = {"beta2": 0.99}

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.beta2 = options.beta2

    def _advance(self, squares: Tensor, g: Tensor) -> None:
        squares.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
