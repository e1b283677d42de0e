"""The schedule multiplier η_t (paper section 3 and supplementary section B.2), and today's others.

A schedule maps training time t, in epochs and fractional within an epoch, to η. It multiplies
the learning rate and, for decoupled weight decay, the decay as well; α and λ themselves stay
what the cell says. η is evaluated once per batch, before the batch's step, so t = 0 for the
first batch and t < epochs for the last.

Any schedule may begin with a warmup, in which η rises linearly from 0, as learning rate
schedulers of PyTorch and of Hugging Face's transformers have it: the first batch of all moves
nothing. Lengths are fractions of the budget, so that one schedule serves every budget.
"""

import math
from itertools import accumulate, takewhile
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from landscape_study.study.validation import without_unused

_WHOLE = 1e-9  # epochs: 0.3 * 100 may lie a hair above 30, where epoch 30 has begun already


class _Schedule(BaseModel, frozen=True, strict=True, extra="forbid"):
    warmup: float = Field(default=0.0, ge=0, lt=1)  # fraction of the budget in which η rises to 1

    def eta(self, t: float, epochs: int) -> float:
        """The multiplier at time `t` (epochs) of a training of `epochs` epochs."""
        begin = self.begin(epochs)
        if t < begin - _WHOLE:
            return t / begin
        return self._after(max(t, begin), begin, epochs)

    def _after(self, t: float, begin: float, epochs: int) -> float:
        """η at time `t` when the warmup has ended at `begin`."""
        raise TypeError(f"{type(self).__name__} defines no eta")

    def begin(self, epochs: int) -> float:
        """When the warmup has ended, epochs."""
        return self.warmup * epochs

    def turns(self, epochs: int) -> tuple[float, ...]:
        """The times, within the budget, at which η begins to do something else, or jumps."""
        return (self.begin(epochs),) if self.warmup else ()

    def cycle(self, t: float, epochs: int) -> float:
        """Length in epochs of the cycle that `t` lies in: T of normalized weight decay."""
        return epochs

    def ends(self, epochs: int) -> tuple[int, ...]:
        """The epochs after which a whole cycle has ended."""
        return (epochs,)

    def solution(self, epochs: int) -> int:
        """The epoch whose network is the recommended one: the end of the last whole cycle."""
        return max(self.ends(epochs), default=epochs)

    def wrong_with(self, epochs: int) -> str | None:
        """Why the schedule does not fit into a budget; None if it does."""
        return None

    @property
    def label(self) -> str:
        """How figures and tables name the schedule."""
        name = type(self).model_fields["kind"].default
        options = self._options()
        return f"{name} ({', '.join(options)})" if options else name

    def _options(self) -> list[str]:
        """What a label says beside the kind."""
        return [f"warmup {100 * self.warmup:g} %"] if self.warmup else []

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a warmup or floor that is 0 by default, as before there were any."""
        return without_unused(self, dump(self), {"warmup": 0, "floor": 0})


class _Annealed(_Schedule):
    """Falls from 1 to `floor` over what the warmup leaves of the budget."""

    floor: float = Field(default=0.0, ge=0, lt=1)  # η at the end

    def _options(self) -> list[str]:
        return super()._options() + ([f"to {100 * self.floor:g} %"] if self.floor else [])


class Constant(_Schedule):
    """η = 1."""

    kind: Literal["constant"] = "constant"

    def _after(self, t: float, begin: float, epochs: int) -> float:
        return 1.0


class Step(_Schedule):
    """η is multiplied by `factor` when each of the fractions `at` of the budget has passed.

    The paper drops the rate by 0.1 at epochs 30, 60 and 80 of 100; as fractions the same
    schedule serves every budget. The warmup, if any, is part of it (Goyal et al., "Accurate,
    Large Minibatch SGD", 2017).
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

    @model_validator(mode="after")
    def _drops_after_warmup(self) -> "Step":
        if self.at and self.warmup >= self.at[0]:
            raise ValueError(
                f"a warmup of {self.warmup:g} of the budget and a drop at {self.at[0]:g}: let the "
                "warmup end before the first drop"
            )
        return self

    def turns(self, epochs: int) -> tuple[float, ...]:  # noqa: D102
        return (*super().turns(epochs), *(fraction * epochs for fraction in self.at))

    def _after(self, t: float, begin: float, epochs: int) -> float:
        # Rounded, since 0.3 * 100 may lie a hair above 30 and epoch 30 must already be dropped.
        drops = sum(t >= round(fraction * epochs, 9) for fraction in self.at)
        return self.factor**drops


class Cosine(_Annealed):
    """Cosine annealing over the whole budget: η = 0.5 + 0.5·cos(π·t/T).

    After a warmup, over the rest of it; with a `floor`, down to that: floor + (1 − floor)·η.
    """

    kind: Literal["cosine"] = "cosine"

    def _after(self, t: float, begin: float, epochs: int) -> float:
        eta = 0.5 + 0.5 * math.cos(math.pi * (t - begin) / (epochs - begin))
        return self.floor + (1 - self.floor) * eta


class Linear(_Annealed):
    """η falls linearly from 1, over the whole budget or what a warmup leaves of it."""

    kind: Literal["linear"] = "linear"

    def _after(self, t: float, begin: float, epochs: int) -> float:
        return self.floor + (1 - self.floor) * (epochs - t) / (epochs - begin)


class InverseSqrt(_Schedule):
    """η = √(w/t) after a warmup of w epochs (Vaswani et al., "Attention Is All You Need", 2017).

    Scaled so that α is the highest learning rate, at the end of the warmup.
    """

    kind: Literal["inverse-sqrt"] = "inverse-sqrt"
    warmup: float = Field(default=0.05, gt=0, lt=1)

    def _after(self, t: float, begin: float, epochs: int) -> float:
        return math.sqrt(begin / t)


class WarmupStableDecay(_Schedule):
    """η rises in the warmup, stays at 1, and falls to 0 over the last `decay` of the budget.

    Linearly, or as 1 − √ of the part that has passed (Hägele et al., "Scaling Laws and
    Compute-Optimal Training Beyond Fixed Training Durations", 2024; Hu et al., "MiniCPM", 2024).
    """

    kind: Literal["wsd"] = "wsd"
    warmup: float = Field(default=0.05, ge=0, lt=1)
    decay: float = Field(default=0.2, gt=0, le=1)
    shape: Literal["linear", "sqrt"] = "linear"

    @model_validator(mode="after")
    def _fits(self) -> "WarmupStableDecay":
        if self.warmup + self.decay > 1 + _WHOLE:
            raise ValueError(
                f"a warmup of {self.warmup:g} and a decay of {self.decay:g} of the budget are "
                "more than all of it"
            )
        return self

    def turns(self, epochs: int) -> tuple[float, ...]:  # noqa: D102
        return (*super().turns(epochs), (1 - self.decay) * epochs)

    def _after(self, t: float, begin: float, epochs: int) -> float:
        left = min(1.0, (epochs - t) / (self.decay * epochs))
        return left if self.shape == "linear" else 1 - math.sqrt(1 - left)

    def _options(self) -> list[str]:
        shape = [] if self.shape == "linear" else [self.shape]
        return [*super()._options(), f"decay {100 * self.decay:g} %", *shape]


class WarmRestarts(_Schedule):
    """Cosine annealing with warm restarts (Loshchilov & Hutter, SGDR, ICLR 2017).

    The i-th cycle lasts T_i = t_0 · t_mult^i epochs and runs η = 0.5 + 0.5·cos(π·T_cur/T_i);
    η is back at 1 on the first batch of each cycle. The recommended solution is the one at the
    end of a cycle, where η has come down to 0. A warmup is part of the first cycle, whose cosine
    takes what it leaves.
    """

    kind: Literal["restarts"] = "restarts"
    t_0: int = Field(ge=1)  # epochs of the first cycle
    t_mult: int = Field(default=2, ge=1)

    def _locate(self, t: float) -> tuple[int, int]:
        """When the cycle that `t` lies in began, and its length, both in epochs."""
        start, length = 0, self.t_0
        while t >= start + length:
            start, length = start + length, length * self.t_mult
        return start, length

    def _after(self, t: float, begin: float, epochs: int) -> float:
        start, length = self._locate(t)
        risen = max(float(start), begin)  # when η was 1
        return 0.5 + 0.5 * math.cos(math.pi * (t - risen) / (start + length - risen))

    def cycle(self, t: float, epochs: int) -> float:  # noqa: D102
        return self._locate(t)[1]

    def ends(self, epochs: int) -> tuple[int, ...]:  # noqa: D102
        lengths = (self.t_0 * self.t_mult**i for i in range(epochs))
        return tuple(takewhile(lambda end: end <= epochs, accumulate(lengths)))

    def turns(self, epochs: int) -> tuple[float, ...]:  # noqa: D102
        return (*super().turns(epochs), *(end for end in self.ends(epochs) if end < epochs))

    def wrong_with(self, epochs: int) -> str | None:  # noqa: D102
        begin = self.begin(epochs)
        if begin >= self.t_0:
            return (
                f"a warmup of {self.warmup:g} of {epochs} epochs is no part of a first cycle of "
                f"{self.t_0}: make it shorter, or t_0 larger"
            )
        return None

    def _options(self) -> list[str]:
        return [f"T₀ = {self.t_0}", f"×{self.t_mult}", *super()._options()]


Schedule = Annotated[
    Constant | Step | Cosine | Linear | InverseSqrt | WarmupStableDecay | WarmRestarts,
    Field(discriminator="kind"),
]

SCHEDULES: dict[str, str] = {
    "constant": "η = 1",
    "step": "×0.1 at 30, 60 and 80 % of the budget; options at, factor",
    "cosine": "annealed from 1 to 0 over the budget; option floor",
    "linear": "falls from 1 to 0 over the budget; option floor",
    "inverse-sqrt": "√(w/t) after a warmup of w = 5 % of the budget",
    "wsd": "warmup, 1, then to 0 over the last 20 %; options decay, shape",
    "restarts": "cosine with warm restarts; options t_0 (epochs), t_mult",
}
