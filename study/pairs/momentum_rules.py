"""Rules that move θ by a mean of past gradients, or by its sign. See `pairs.rules`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from landscape_study.study.pairs.rule import Rule

if TYPE_CHECKING:
    from torch import Tensor


class SGD(Rule):
    """SGD with momentum β1: θ loses m = β1·m + η_t·α·g.

    Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019), Algorithm 1.
    The buffer holds η and α, where that of torch.optim.SGD holds gradients.
    """

    title: ClassVar[str] = "SGD"
    about: ClassVar[str] = "m = β1·m + η·α·g"
    uses: ClassVar[tuple[str, ...]] = ("momentum",)
    moments: ClassVar[int] = 1

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        (m,) = moments
        return m.mul_(self.momentum).addcmul_(g, rate)

    @property
    def gain(self) -> float:
        """1 + β1 + β1² + …: momentum repeats it."""
        return 1 / (1 - self.momentum)


class Nesterov(SGD):
    """SGD with Nesterov's momentum: m = β1·m + η_t·α·g, θ loses β1·m + η_t·α·g.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning"
    (ICML 2013), in the form of torch.optim.SGD(nesterov=True).
    """

    title: ClassVar[str] = "SGD (Nesterov)"
    about: ClassVar[str] = "β1·m + η·α·g, with m = β1·m + η·α·g"

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        m = super().update(g, rate, moments, corrections)
        return (m * self.momentum).addcmul_(g, rate)


class Lion(Rule):
    """Lion: θ loses η_t·α·sign(β1·m + (1−β1)·g); then m = β2·m + (1−β2)·g.

    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms" (NeurIPS 2023),
    Algorithm 2.
    """

    title: ClassVar[str] = "Lion"
    about: ClassVar[str] = "η·α·sign(β1·m + (1−β1)·g), then m = β2·m + (1−β2)·g"
    uses: ClassVar[tuple[str, ...]] = ("beta1", "beta2")
    defaults: ClassVar[Mapping[str, float]] = {"beta2": 0.99}
    moments: ClassVar[int] = 1

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        (m,) = moments
        found = (m * self.beta1).add_(g, alpha=1 - self.beta1).sign_().mul_(rate)
        m.mul_(self.beta2).add_(g, alpha=1 - self.beta2)
        return found
