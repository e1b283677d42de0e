"""Rules that treat matrices whole: Muon. See `pairs.rules`.

Shapes: K cells; a matrix of a network is [m, n], of all cells [K, m, n].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from landscape_study.study.pairs.adaptive_rules import Adam
from landscape_study.study.pairs.options import OF_RULES

if TYPE_CHECKING:
    from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)  # a, b, c of x ← a·x + (b·s + c·s²)·x, where s = x·xᵀ
ITERATIONS = 5
SMALLEST = 1e-7  # norm of what is orthogonalized
LIKE_ADAM = 0.2  # root of the mean square of Adam's updates, about


class Muon(Adam):
    """Muon of hidden matrices, Adam of everything else.

    With M = μ·M + (1−μ)·g and Nesterov's N = μ·M + (1−μ)·g, a matrix loses
    η_t·α·0.2·√max(m, n)·orthogonalized(N): as large as what Adam's weights lose, so that one α
    does for both. Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks"
    (2024); the factor of Liu et al., "Muon is Scalable for LLM Training" (arXiv 2502.16982). It is
    torch.optim.Muon(adjust_lr_fn="match_rms_adamw"), without rounding to bfloat16.

    The others have α times the option `rest_alpha`, and λ times `rest_lambda`.
    """

    title: ClassVar[str] = "Muon"
    about: ClassVar[str] = "η·α·0.2·√max(m, n)·orthogonal(N) of hidden matrices; the rest as adam"
    uses: ClassVar[tuple[str, ...]] = OF_RULES
    defaults: ClassVar[Mapping[str, float]] = {"momentum": 0.95}
    takes_matrices: ClassVar[bool] = True

    def update_matrices(self, g: Tensor, rate: Tensor, moments: Sequence[Tensor]) -> Tensor:
        """Advance the first moment in place by gradient `g`; return what θ loses, each [K, m, n].

        `rate` is η_t·α, [K, 1, 1].
        """
        mean = moments[0]
        mean.mul_(self.momentum).add_(g, alpha=1 - self.momentum)
        ahead = (mean * self.momentum).add_(g, alpha=1 - self.momentum)
        return orthogonalized(ahead) * (rate * (LIKE_ADAM * math.sqrt(max(g.shape[1:]))))


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices [K, m, n] whose singular values are brought near to 1, between 0.7 and 1.2 mostly.

    By Newton and Schulz's iteration, with the coefficients of Jordan et al. (2024).
    """
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if is_tall else matrices
    x = x / x.square().sum(dim=(-2, -1), keepdim=True).sqrt().clamp(min=SMALLEST)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        squares = x @ x.mT
        x = x * a + (squares * b + (squares @ squares) * c) @ x
    return x.mT if is_tall else x
