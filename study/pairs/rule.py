"""Rule: what an update rule is, built in or of the user's own. See `pairs.rules`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from landscape_study.study.pairs.options import Options

if TYPE_CHECKING:
    from torch import Tensor


class Rule:
    """An update rule: turns the gradients of K cells into updates, by moments that it advances.

    It is element-wise: what a parameter loses depends on its own gradients alone. All that a step
    leaves to the next one is in the moments.

    Attributes:
        title: how figures name it; of a rule of the user's own, its name does.
        about: what θ loses, in a formula.
        defaults: options that its authors set otherwise than `Options` does; they hold where a
            study leaves these as they are.
        moments: how many tensors [K, P] it keeps; they start from 0.
        uses: which options of the study it makes use of, of those that not all rules do.
        takes_matrices: whether it treats hidden matrices whole, by a method `update_matrices`
            (see `matrix_rules.Muon`).
        averages: whether tests are of other weights than steps, by the methods `move` and `tested`
            (see `averaged_rules.ScheduleFreeSGD`).
        momentum, beta1, beta2, eps: the options of these names.

    >>> class Signum(Rule):
    ...     moments = 1
    ...
    ...     def update(self, g, rate, moments, corrections):
    ...         (m,) = moments
    ...         m.mul_(self.beta1).add_(g, alpha=1 - self.beta1)
    ...         return m.sign() * rate
    """

    title: ClassVar[str] = ""
    about: ClassVar[str] = ""
    defaults: ClassVar[Mapping[str, float]] = {}
    moments: ClassVar[int]
    uses: ClassVar[tuple[str, ...]] = ("momentum", "beta1", "beta2", "eps")
    takes_matrices: ClassVar[bool] = False
    averages: ClassVar[bool] = False

    def __init__(self, options: Options) -> None:
        self.momentum, self.eps = options.momentum, options.eps
        self.beta1, self.beta2 = options.beta1, options.beta2

    def corrections(self, t: int) -> tuple[float, ...]:
        """The numbers of step `t` (from 1) that are the same for all cells: none."""
        return ()

    def update(
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        """Advance the moments in place by gradient `g` [K, P]; return what θ loses, [K, P].

        `rate` is η_t·α, [K, 1]; `corrections` are those of the step, each [].
        """
        raise NotImplementedError

    @property
    def gain(self) -> float:
        """How many times η·α·g θ loses in the end for one gradient g: 1, as by a mean of them.

        Apart from its scaling: what divides it, or that only its sign counts, is left out.
        """
        return 1.0
