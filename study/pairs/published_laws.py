"""What others published on the best α and λ at another batch size, budget or width, as powers.

A law is of α, or of the decay: the part f of θ that a step takes away where η = 1, which is
c·α^p·λ (`pairs.timescale`), with p = 0 where λ is decoupled, 1 where it is scaled, 2 where it is
squared. Of λ itself a law of the decay says f/α^p: so the same law means another exponent of λ
wherever α moves too.

Each row says what its authors say, no more: None where they say nothing of a number. What was
read of each, and what could not be, stands in docs/laws.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from landscape_study.study.pairs.registry import Pair

Number = Literal["batch_size", "epochs", "steps", "width"]  # what panels differ in
Of = Literal["alpha", "decay"]

LINEAR = ("sgd", "nesterov")  # rules whose update is a sum of gradients
PRECONDITIONED = ("adam", "amsgrad", "nadam", "radam", "adagrad", "rmsprop")
BY_ROOT = ("adam", "rmsprop")  # of which Malladi et al. treat
OF_PAPER = ("sgd", "adam")  # of which Loshchilov & Hutter do
PAPER = "Loshchilov & Hutter, ICLR 2019"


@dataclass(frozen=True)
class Powers:
    """Exponents of a law; None where it says nothing."""

    batch_size: float | None = None  # at the same number of epochs
    epochs: float | None = None  # at the same batch size
    width: float | None = None  # of hidden layers


@dataclass(frozen=True)
class PublishedLaw:
    """What somebody found the best α, or the best decay, to be proportional to.

    Attributes:
        name: of it.
        of: what it is a law of.
        powers: of the numbers.
        source: who found it.
        rules: update rules that it is of; any where there are none.
        condition: what else has to be done or to hold.
    """

    name: str
    of: Of
    powers: Powers
    source: str
    rules: tuple[str, ...] = ()
    condition: str = ""

    def holds_for(self, pair: Pair) -> bool:
        """Whether it is meant for a pair: λ in the gradient of an adaptive rule is no decay."""
        if self.rules and pair.rule not in self.rules:
            return False
        if self.of == "alpha" or pair.is_optimizer:
            return self.of == "alpha"
        return not pair.entering.in_gradient or pair.rule in LINEAR

    def exponent(self, over: Number, *, steps_held: bool = False) -> float | None:
        """Of a number; None where nothing is said of it.

        Args:
            over: the number.
            steps_held: whether a larger batch means more epochs, not fewer steps.
        """
        if over == "batch_size" and steps_held:
            own = self.powers.batch_size, self.powers.epochs
            return None if own[0] is None or own[1] is None else own[0] + own[1]
        name = "epochs" if over == "steps" else over
        found: float | None = getattr(self.powers, name)
        return found

    def factor(self, *, batch_size: float, epochs: float) -> float | None:
        """What another batch size and budget multiply by; None where nothing is said of these."""
        found = 1.0
        for power, times in ((self.powers.batch_size, batch_size), (self.powers.epochs, epochs)):
            if times != 1 and power is None:
                return None
            found *= times ** (power or 0.0)
        return found


PUBLISHED_LAWS = (
    PublishedLaw(
        "linear scaling", "alpha", Powers(batch_size=1), "Goyal et al., arXiv 1706.02677", LINEAR
    ),
    PublishedLaw(
        "square root scaling",
        "alpha",
        Powers(batch_size=0.5),
        "Krizhevsky, arXiv 1404.5997",
        LINEAR,
        "by theory; he took linear scaling",
    ),
    PublishedLaw(
        "square root scaling",
        "alpha",
        Powers(batch_size=0.5),
        "Malladi et al., arXiv 2205.10287",
        BY_ROOT,
        "and β and ε as they say",
    ),
    PublishedLaw(
        "μP",
        "alpha",
        Powers(width=-1),
        "Yang et al., arXiv 2203.03466",
        PRECONDITIONED,
        "of hidden matrices",
    ),
    PublishedLaw(
        "timescale kept, in epochs",
        "decay",
        Powers(batch_size=1, epochs=0, width=0),
        "Wang & Aitchison, arXiv 2405.13698",
    ),
    PublishedLaw(
        "timescale kept, share of data",
        "decay",
        Powers(batch_size=1),
        "Bergsma et al., arXiv 2505.13738",
        condition="each example seen once",
    ),
    PublishedLaw(
        "λ_norm kept",
        "decay",
        Powers(batch_size=0.5, epochs=-0.5),
        f"{PAPER}, section 3",
        OF_PAPER,
    ),
    PublishedLaw(
        "decay kept, independent of α",
        "decay",
        Powers(width=0),
        "Kosson et al., arXiv 2510.19093",
        PRECONDITIONED,
        "α as μP says",
    ),
    PublishedLaw(
        "sublayer gain kept",
        "decay",
        Powers(width=-0.5),
        "Fan et al., arXiv 2510.15262",
        PRECONDITIONED,
        "α as μP says",
    ),
    PublishedLaw(
        "μP with torch's λ kept",
        "decay",
        Powers(width=-1),
        "follows from Yang et al., arXiv 2203.03466",
        PRECONDITIONED,
        "α as μP says",
    ),
)


def decay_power(pair: Pair) -> int | None:
    """The power of α in the decay of a pair: 0, 1 or 2; None of an optimizer, which hides it."""
    if pair.is_optimizer:
        return None
    if pair.entering.in_gradient:
        return 1
    one, two = (float(pair.entering.multiplied(1.0, 1.0, rate)) for rate in (1.0, 2.0))
    return round(math.log2(two / one))


def laws_for(pair: Pair, of: Of) -> Iterator[PublishedLaw]:
    """The laws of α, or of the decay, that are meant for a pair."""
    return (law for law in PUBLISHED_LAWS if law.of == of and law.holds_for(pair))
