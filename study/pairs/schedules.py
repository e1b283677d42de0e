"""The schedule multiplier η_t (paper section 3 and supplementary section B.2).

A schedule maps training time t, in epochs and fractional within an epoch, to η. It multiplies
the learning rate and, for decoupled weight decay, the decay as well; α and λ themselves stay
what the cell says. η is evaluated once per batch, before the batch's step, so t = 0 for the
first batch and t < epochs for the last.
"""

import math
from itertools import accumulate, takewhile
from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator


class _Schedule(BaseModel, frozen=True, strict=True, extra="forbid"):
    def eta(self, t: float, epochs: int) -> float:
        """The multiplier at time `t` (epochs) of a training of `epochs` epochs."""
        raise TypeError(f"{type(self).__name__} defines no eta")

    def cycle(self, t: float, epochs: int) -> float:
        """Length in epochs of the cycle that `t` lies in: T of normalized weight decay."""
        return epochs

    def ends(self, epochs: int) -> tuple[int, ...]:
        """The epochs after which a whole cycle has ended."""
        return (epochs,)

    def solution(self, epochs: int) -> int:
        """The epoch whose network is the recommended one: the end of the last whole cycle."""
        return max(self.ends(epochs), default=epochs)

    @property
    def label(self) -> str:
        """How figures and tables name the schedule."""
        return type(self).model_fields["kind"].default


class Constant(_Schedule):
    """η = 1."""

    kind: Literal["constant"] = "constant"

    def eta(self, t: float, epochs: int) -> float:  # noqa: D102
        return 1.0


class Step(_Schedule):
    """η is multiplied by `factor` when each of the fractions `at` of the budget has passed.

    The paper drops the rate by 0.1 at epochs 30, 60 and 80 of 100; as fractions the same
    schedule serves every budget.
    """

    kind: Literal["step"] = "step"
    at: tuple[float, ...] = Field(default=(0.3, 0.6, 0.8), strict=False)  # fractions of the budget
    factor: float = Field(default=0.1, gt=0, lt=1)

    @field_validator("at")
    @classmethod
    def _ascending_fractions(cls, at: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < fraction < 1 for fraction in at) or list(at) != sorted(set(at)):
            raise ValueError(
                f"{list(at)} are not ascending fractions of the budget between 0 and 1, "
                "such as [0.3, 0.6, 0.8]"
            )
        return at

    def eta(self, t: float, epochs: int) -> float:  # noqa: D102
        # Rounded, since 0.3 * 100 may lie a hair above 30 and epoch 30 must already be dropped.
        drops = sum(t >= round(fraction * epochs, 9) for fraction in self.at)
        return self.factor**drops


class Cosine(_Schedule):
    """Cosine annealing over the whole budget: η = 0.5 + 0.5·cos(π·t/T)."""

    kind: Literal["cosine"] = "cosine"

    def eta(self, t: float, epochs: int) -> float:  # noqa: D102
        return 0.5 + 0.5 * math.cos(math.pi * t / epochs)


class WarmRestarts(_Schedule):
    """Cosine annealing with warm restarts (Loshchilov & Hutter, SGDR, ICLR 2017).

    The i-th cycle lasts T_i = t_0 · t_mult^i epochs and runs η = 0.5 + 0.5·cos(π·T_cur/T_i);
    η is back at 1 on the first batch of each cycle. The recommended solution is the one at the
    end of a cycle, where η has come down to 0.
    """

    kind: Literal["restarts"] = "restarts"
    t_0: int = Field(ge=1)  # epochs of the first cycle
    t_mult: int = Field(default=2, ge=1)

    def _locate(self, t: float) -> tuple[float, int]:
        """Time since the last restart, and the length of the cycle, both in epochs."""
        start, length = 0, self.t_0
        while t >= start + length:
            start, length = start + length, length * self.t_mult
        return t - start, length

    def eta(self, t: float, epochs: int) -> float:  # noqa: D102
        t_cur, t_i = self._locate(t)
        return 0.5 + 0.5 * math.cos(math.pi * t_cur / t_i)

    def cycle(self, t: float, epochs: int) -> float:  # noqa: D102
        return self._locate(t)[1]

    def ends(self, epochs: int) -> tuple[int, ...]:  # noqa: D102
        lengths = (self.t_0 * self.t_mult**i for i in range(epochs))
        return tuple(takewhile(lambda end: end <= epochs, accumulate(lengths)))

    @property
    def label(self) -> str:  # noqa: D102
        return f"restarts (T₀ = {self.t_0}, ×{self.t_mult})"


Schedule = Annotated[Constant | Step | Cosine | WarmRestarts, Field(discriminator="kind")]

SCHEDULES: dict[str, str] = {
    "constant": "η = 1",
    "step": "×0.1 at 30, 60 and 80 % of the budget; options at, factor",
    "cosine": "annealed from 1 to 0 over the budget",
    "restarts": "cosine with warm restarts; options t_0 (epochs), t_mult",
}
