"""The numbers that tell the cells of a panel apart: α, λ, and others that may be its axes."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

ALPHA, LAMBDA, BATCH_SIZE = "alpha", "lambda", "batch_size"
USUAL = (ALPHA, LAMBDA)  # axes of a panel where nobody says
Names = tuple[str, str]  # of the axis upwards, and of the one to the right
Own = tuple[tuple[str, float], ...]  # numbers of a cell beside α and λ, by name


@dataclass(frozen=True)
class Number:
    """A number of a cell.

    Attributes:
        name: in files, columns and Optuna's parameters.
        symbol: in figures and sentences.
        scale: "log": statistics take its log2. "share": it lies from 0 to below 1, and they take
            log2 of 1/(1 − it): of the steps that a momentum remembers.
        zero: whether it may be 0.
        whole: whether it is a whole number.
    """

    name: str
    symbol: str
    scale: Literal["log", "share"] = "log"
    zero: bool = False
    whole: bool = False

    @property
    def measure(self) -> str:
        """What its octaves are counted of, for people: "λ", "1/(1 − β2)"."""
        return self.symbol if self.scale == "log" else f"1/(1 − {self.symbol})"

    def measured(self, value: float) -> float:
        """What statistics take log2 of."""
        return value if self.scale == "log" else 1 / (1 - value)

    def value(self, measured: float) -> float:
        """The value that is measured as so much."""
        return measured if self.scale == "log" else max(1 - 1 / measured, 0.0)

    def wrong_with(self, value: float) -> str | None:
        """Why it cannot be this value, which is finite and not negative; None if it can."""
        if value == 0 and not self.zero:
            return WITHOUT_ZERO.get(self.name, f"{self.name} is positive: leave out 0")
        if self.scale == "share" and value >= 1:
            return f"{value:g} is not below 1: give values such as 0.9 and 0.99"
        if self.whole and not float(value).is_integer():
            return f"{value:g} is no whole number: give values such as 32 and 64"
        return None


NOTE = "Of panels over other axes, these stand in the place of α and λ."
WITHOUT_ZERO = {ALPHA: "0 is no learning rate: nothing would be trained; leave it out"}
# In the order in which they are axes: of two, the first one goes upwards.
NUMBERS: Mapping[str, Number] = {
    one.name: one
    for one in (
        Number(ALPHA, "α"),
        Number("beta1", "β1", "share", zero=True),
        Number("beta2", "β2", "share", zero=True),
        Number("momentum", "momentum", "share", zero=True),
        Number("eps", "ε"),
        Number("clip_norm", "clip norm"),
        Number(BATCH_SIZE, "batch size", whole=True),
        Number("label_smoothing", "label smoothing", "share", zero=True),
        Number("dropout", "dropout", "share", zero=True),
        Number(LAMBDA, "λ", zero=True),
    )
}
OTHERS = tuple(name for name in NUMBERS if name not in USUAL)


def number_called(name: str) -> Number:
    """The number of that name: one that is known here, or one that an objective knows."""
    return NUMBERS.get(name) or Number(name, name)


def number_of(name: str, values: Iterable[float]) -> Number:
    """The same; one that only an objective knows is whole where all of these values are."""
    is_whole = all(float(value).is_integer() for value in values)
    return NUMBERS.get(name) or Number(name, name, whole=is_whole)


def symbols(names: Names) -> tuple[str, str]:
    """The symbols of two axes: ("α", "λ")."""
    first, second = (number_called(name).symbol for name in names)
    return first, second


def measures(names: Names) -> tuple[str, str]:
    """What the octaves of two axes are of: ("1/(1 − β2)", "λ")."""
    first, second = (number_called(name).measure for name in names)
    return first, second


def common(names: Iterable[Names]) -> Names:
    """The axes that all have; α and λ where they differ, which `NOTE` then explains."""
    found = {*names}
    return found.pop() if len(found) == 1 else USUAL


def positive_symbol(name: str) -> str:
    """The values that statistics look at: "positive λ", "β2"."""
    return "positive λ" if name == LAMBDA else number_called(name).symbol


def ordered(names: Iterable[str]) -> list[str]:
    """Names of numbers in the order in which they are axes."""
    places = {name: (place, "") for place, name in enumerate(NUMBERS)}
    before_lambda = len(NUMBERS) - 2
    return sorted(names, key=lambda name: places.get(name, (before_lambda, name)))


def meant(name: str) -> str:
    """Which number may be meant by a name that is none: "did you mean beta2? "; "" if unknown."""
    close = difflib.get_close_matches(name.lower(), NUMBERS, 1, 0.6)
    return f"did you mean {close[0]}? " if close else ""


def plain(value: float) -> float | int:
    """A number as whoever trains takes it: a whole one as such."""
    return int(value) if value.is_integer() else value


def as_text(own: Own) -> str:
    """Numbers as a database has them: "beta2=0.99"; "" where there are none."""
    return ",".join(f"{name}={value!r}" for name, value in own)


def from_text(text: str | None) -> Own:
    """The numbers that stand in a database.

    Raises:
        ValueError: something else stands there.
    """
    if not text:
        return ()
    parts = (part.partition("=") for part in text.split(","))
    own = tuple((name, float(value)) for name, _, value in parts)
    if not all(math.isfinite(value) for _, value in own):
        raise ValueError(f"'{text}' are no numbers of a cell")
    return own


def told(own: Own) -> str:
    """Numbers for people: "β2 = 0.99"."""
    return ", ".join(f"{number_called(name).symbol} = {value:g}" for name, value in own)
