"""Update rules: what an optimizer makes of gradients, apart from where λ enters.

Shapes: K cells, P parameters of one cell. All state is stacked and flat, [K, P]; α and λ are
columns, [K, 1], so that every cell of a chunk has its own. With g the gradient at
θ_old = θ_{t-1}, t counted from 1, α the learning rate and η_t the schedule multiplier, a rule says
what θ loses: θ = θ_old − update − decay.

Adding a rule is adding a class to `RULES`; it gets every placement of λ (`pairs.placements`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from landscape_study.study.pairs.adaptive_rules import (
    Adagrad,
    Adam,
    AMSGrad,
    NAdam,
    RAdam,
    RMSprop,
)
from landscape_study.study.pairs.averaged_rules import ScheduleFreeAdam, ScheduleFreeSGD
from landscape_study.study.pairs.matrix_rules import Muon
from landscape_study.study.pairs.momentum_rules import SGD, Lion, Nesterov
from landscape_study.study.pairs.options import Options

if TYPE_CHECKING:
    from torch import Tensor


class Rule(Protocol):
    """An update rule: turns the gradients of K cells into updates, by moments that it advances.

    Attributes:
        title: how figures name it.
        about: what θ loses, in a formula.
        defaults: options that its authors set otherwise than `Options` does; they hold where a
            study leaves these as they are.
        moments: how many tensors [K, P] it keeps; they start from 0.
        takes_matrices: whether it treats hidden matrices whole, by a method `update_matrices`
            (see `matrix_rules.Muon`).
        averages: whether tests are of other weights than steps, by the methods `move` and `tested`
            (see `averaged_rules.ScheduleFreeSGD`).
    """

    title: ClassVar[str]
    about: ClassVar[str]
    defaults: ClassVar[Mapping[str, float]]
    moments: ClassVar[int]
    takes_matrices: ClassVar[bool]
    averages: ClassVar[bool]

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


RULES: dict[str, type[Rule]] = {
    "sgd": SGD,
    "nesterov": Nesterov,
    "adam": Adam,
    "amsgrad": AMSGrad,
    "nadam": NAdam,
    "radam": RAdam,
    "adagrad": Adagrad,
    "rmsprop": RMSprop,
    "lion": Lion,
    "muon": Muon,
    "schedulefree-sgd": ScheduleFreeSGD,
    "schedulefree-adam": ScheduleFreeAdam,
}
