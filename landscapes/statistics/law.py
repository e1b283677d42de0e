"""The law of the best λ, log2 λ* = a + b·log2 α: which named laws its exponent allows.

b is the drift (see `statistics.coupling`): a line through the middles of the rows' basins, whose
errors are those of their λ; the α are known. Its middles are means over several cells, so that
the slope is not pulled towards 0 as one through single best cells is; in simulations of bowls of
5 × 5 to 12 × 12 cells it lay within 0.02 of slopes of −1, −0.5, 0 and 1 (tests).
"""

from __future__ import annotations

from dataclasses import dataclass

from landscape_study.landscapes.statistics.bootstrap import Estimate

NAMED: dict[str, float] = {"λ": 0.0, "α·λ": -1.0, "λ/α": 1.0}  # what stays at the best λ: b


@dataclass(frozen=True)
class Law:
    """How the best λ goes with α."""

    exponent: Estimate  # b: octaves of the best λ per octave of α
    allowed: tuple[str, ...]  # keys of NAMED whose b the interval holds; () if none, or unknown

    @property
    def factor(self) -> float:
        """What the best λ is multiplied by when α doubles."""
        return float(2**self.exponent.value)


def law(drift: Estimate) -> Law:
    """The law that a drift with its interval amounts to."""
    held = (name for name, b in NAMED.items() if drift.low <= b <= drift.high)
    return Law(drift, tuple(held))
