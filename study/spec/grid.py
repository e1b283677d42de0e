"""The α × λ grid of a panel: Axis, Cell and Grid."""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from landscape_study.study.errors import SpecError
from landscape_study.study.validation import Frozen

MAX_EXPONENT = 200  # of two: beyond it lie no learning rates
MOST_VALUES = 1000  # of an axis
STEP_OF_RANGE = 1 / 8  # as the step of a usual grid of nine values
DIGITS = 4  # significant, of values that nobody wrote: more say nothing to anybody
ROUNDING = 1e-9  # relative difference of two values that nobody means

End = Literal["low", "high"]
SIDES = ("alpha-low", "alpha-high", "lambda-low", "lambda-high")  # of a grid


class Axis(Frozen):
    """The values of one hyperparameter, ascending and distinct; 0 stands for "none".

    `base` is the multiplier that figures put into the axis title: ticks are values / base.
    """

    values: tuple[float, ...] = Field(strict=False)
    base: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @classmethod
    def log2(cls, base: float, first: int, last: int, *, zero: bool = False) -> Self:
        """`base`·2^k for every whole k from `first` to `last`, and 0 if `zero`."""
        return cls.model_validate({"base": base, "log2": [first, last], "zero": zero})

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, data: Any) -> Any:
        if hasattr(data, "tolist"):  # an array
            data = data.tolist()
        if isinstance(data, list | tuple):
            return {"values": data}
        if isinstance(data, dict) and "log2" in data:
            return cls._expand(**data)
        if not isinstance(data, dict | cls):
            raise ValueError(
                f"{data!r} is no axis: give a list such as [0.1, 0.05], "
                "or a table such as { base = 0.1, log2 = [0, -10] }"
            )
        return data

    @staticmethod
    def _expand(log2: Any, base: Any = 1.0, zero: Any = False, **unknown: Any) -> dict[str, Any]:
        """The values that `{ base, log2 = [first, last], zero }` stands for."""
        whole = (
            isinstance(log2, list | tuple) and len(log2) == 2 and all(type(k) is int for k in log2)
        )
        if not whole or any(abs(k) > MAX_EXPONENT for k in log2):
            raise ValueError(f"log2 = {log2!r} is not a pair of whole exponents such as [0, -10]")
        if isinstance(base, bool) or not isinstance(base, int | float) or not 0 < base < math.inf:
            raise ValueError(f"base = {base!r} is not a positive number")
        if not isinstance(zero, bool):
            raise ValueError(f"zero = {zero!r} is neither true nor false")
        if "values" in unknown:
            raise ValueError("both values and log2: give one of them")
        exponents = range(min(log2), max(log2) + 1)
        try:
            values = [0.0] * zero + [math.ldexp(base, k) for k in exponents]
        except OverflowError as e:
            raise ValueError(f"base = {base!r} with log2 = {log2!r} is beyond any number") from e
        return {"values": values, "base": base, **unknown}

    @field_validator("values")
    @classmethod
    def _distinct_numbers(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not values:
            raise ValueError("no values: give at least one")
        if len(values) > MOST_VALUES:
            raise ValueError(f"{len(values)} values are more than {MOST_VALUES}: give fewer")
        for value in values:
            if not 0 <= value < math.inf:
                raise ValueError(f"{value} is not a finite number of 0 or more")
        repeated = sorted({value for value in values if values.count(value) > 1})
        if repeated:
            raise ValueError(f"{', '.join(map(str, repeated))} stands there more than once")
        kept = unrounded(value + 0.0 for value in values)  # + 0.0 turns -0.0 into 0.0
        return tuple(dict.fromkeys(kept.values()))

    @property
    def positive(self) -> tuple[float, ...]:
        """The values without 0."""
        return tuple(value for value in self.values if value > 0)

    def exponents(self) -> tuple[float, ...]:
        """log2(value / base) of every positive value; whole for a grid of powers of two."""
        # Mantissa and exponent apart: value / base itself can overflow.
        mantissa, exponent = math.frexp(self.base)
        parts = (math.frexp(value) for value in self.positive)
        return tuple(math.log2(m / mantissa) + (k - exponent) for m, k in parts)

    def own(self, value: float) -> float:
        """The axis's own value that differs from `value` by rounding, if there is one."""
        place = bisect(self.values, value)
        near = (one for one in self.values[max(place - 1, 0) : place + 1] if same(one, value))
        return next(near, value)

    def union(self, other: Axis) -> Axis:
        """All values of both, under this axis's base; its own where both differ by rounding."""
        new = [value for value in other.values if self.own(value) not in self.values]
        return Axis(values=(*self.values, *new), base=self.base)

    def extended(self, end: End, steps: int, *, is_range: bool = False) -> Axis:
        """With `steps` more values beyond one end, in the ratio of the last two there.

        A single value goes on in factors of two; 0 stays. Powers of two stay exact. Of a range,
        two values are its ends: it goes on by an eighth of its octaves.

        Raises:
            SpecError: no positive value to start from, or no sensible numbers left beyond.
        """
        if not self.positive:
            raise SpecError("0 alone has no next value: give the axis a positive one first")
        values = self.positive if end == "high" else self.positive[::-1]
        last, before = values[-1], values[-2] if len(values) > 1 else None
        ratio = 2.0
        if before:
            ratio = last / before if end == "high" else before / last
        if is_range and len(values) == 2:
            ratio **= STEP_OF_RANGE
        with suppress(OverflowError, ValidationError):
            powers = [ratio**k for k in range(1, steps + 1)]
            new = [last * power if end == "high" else last / power for power in powers]
            new = [in_few_digits(value) for value in new] if is_range else new
            axis = Axis(values=(*self.values, *new), base=self.base)
            outermost = axis.exponents()[-1 if end == "high" else 0]
            if 0 not in new and abs(outermost) <= MAX_EXPONENT:
                return axis
        raise SpecError(
            f"{steps} more values beyond {last:g} would leave what numbers can hold or exceed "
            f"2^±{MAX_EXPONENT} of the base {self.base:g}: take fewer steps, or leave that side"
        )

    def to_toml(self) -> dict[str, Any]:
        """As `{ base, log2, zero }` where that gives exactly these values, else as a list."""
        if self.positive:
            first, last = (round(k) for k in (self.exponents()[0], self.exponents()[-1]))
            powers = {"base": self.base, "log2": [first, last], "zero": self.values[0] == 0}
            with suppress(ValidationError):  # exponents out of range, or beyond the largest float
                if Axis.model_validate(powers).values == self.values:
                    return powers
        return {"base": self.base, "values": list(self.values)}


def same(a: float, b: float) -> bool:
    """Whether two values are one to whoever wrote them, as 0.3 and 3 × 0.1 are."""
    return math.isclose(a, b, rel_tol=ROUNDING)


def in_few_digits(value: float) -> float:
    """A value in `DIGITS` significant digits."""
    return float(f"{value:.{DIGITS}g}")


def unrounded(values: Iterable[float]) -> dict[float, float]:
    """What each value stands for: of those that differ by rounding the one with the fewest digits.

    In ascending order.
    """
    groups: list[list[float]] = []
    for value in sorted(set(values)):
        if groups and same(value, _shortest(groups[-1])):
            groups[-1].append(value)
        else:
            groups.append([value])
    return {value: _shortest(group) for group in groups for value in group}


def _shortest(values: Iterable[float]) -> float:
    return min(values, key=lambda one: len(repr(one)))


@dataclass(frozen=True, order=True)
class Cell:
    """One (α, λ) of a panel: with a seed, one training run."""

    alpha: float
    lambda_: float


def _from_pairs(value: Any) -> Any:
    """Cells from pairs of α and λ, as they stand in a study file."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is no list of cells such as [[0.05, 0.001], [0.1, 0]]")
    return tuple(one if isinstance(one, Cell) else _from_pair(one) for one in value)


def _from_pair(value: Any) -> Cell:
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    if not is_pair or any(isinstance(x, bool) or not isinstance(x, int | float) for x in value):
        raise ValueError(f"{value!r} is no cell: give α and λ, such as [0.05, 0.001]")
    try:
        return Cell(*(float(x) + 0.0 for x in value))  # + 0.0 turns -0.0 into 0.0
    except OverflowError as e:
        raise ValueError("beyond any number: give α and λ, such as [0.05, 0.001]") from e


class Grid(Frozen):
    """The α × λ grid of a panel, and cells beside it. α is positive; λ may be 0."""

    alpha: Axis
    lambda_: Axis = Field(alias="lambda")
    extra: Annotated[tuple[Cell, ...], BeforeValidator(_from_pairs)] = Field(
        default=(), alias="extra_cells", strict=False
    )

    @field_validator("alpha")
    @classmethod
    def _positive_alpha(cls, alpha: Axis) -> Axis:
        if 0 in alpha.values:
            raise ValueError("0 is no learning rate: nothing would be trained; leave it out")
        return alpha

    @field_validator("extra")
    @classmethod
    def _within(cls, extra: tuple[Cell, ...], info: ValidationInfo) -> tuple[Cell, ...]:
        """Cells beside the grid lie between the ends of its axes, and keep to values of these."""
        alpha, lambda_ = info.data.get("alpha"), info.data.get("lambda_")
        if alpha is None or lambda_ is None:  # which are wrong themselves
            return ()
        for cell, times in Counter(extra).items():
            if times > 1:
                raise ValueError(f"{list(_pair(cell))} stands there more than once")
        alphas, lambdas = unrounded(c.alpha for c in extra), unrounded(c.lambda_ for c in extra)
        most = max(len(alpha.values) + len(alphas), len(lambda_.values) + len(lambdas))
        if most > MOST_VALUES:
            raise ValueError(
                f"with the axes, these have {most} values of one kind, more than {MOST_VALUES}: "
                "give fewer"
            )
        own = {
            Cell(alpha.own(alphas[c.alpha]), lambda_.own(lambdas[c.lambda_])): None for c in extra
        }
        for cell in own:
            if not cls(alpha=alpha, lambda_=lambda_).spans(cell):
                raise ValueError(
                    f"{list(_pair(cell))} lies beyond the axes: give cells between their ends, "
                    "or make the axes longer"
                )
        return tuple(sorted(own))

    @property
    def size(self) -> int:
        """How many cells there are, those beside the grid too."""
        return len(self.alpha.values) * len(self.lambda_.values) + len(self.extra)

    @property
    def alone(self) -> Grid:
        """The grid without the cells beside it."""
        return Grid(alpha=self.alpha, lambda_=self.lambda_) if self.extra else self

    @property
    def lines(self) -> Grid:
        """The smallest grid on which all cells lie, those beside this one too."""
        own = {
            "alpha": {cell.alpha for cell in self.extra}.difference(self.alpha.values),
            "lambda": {cell.lambda_ for cell in self.extra}.difference(self.lambda_.values),
        }
        if not any(own.values()):
            return self.alone
        return Grid(
            alpha=Axis(values=(*self.alpha.values, *own["alpha"]), base=self.alpha.base),
            lambda_=Axis(values=(*self.lambda_.values, *own["lambda"]), base=self.lambda_.base),
        )

    def cells(self) -> tuple[Cell, ...]:
        """Every cell, by ascending α, then ascending λ; those beside the grid too."""
        of_grid = (Cell(a, el) for a in self.alpha.values for el in self.lambda_.values)
        return tuple(sorted(dict.fromkeys((*of_grid, *self.extra))))

    def has(self, cell: Cell) -> bool:
        """Whether a cell is the grid's, or one of those beside it."""
        on_grid = cell.alpha in self.alpha.values and cell.lambda_ in self.lambda_.values
        return on_grid or cell in self.extra

    def without_repeats(self) -> Grid:
        """Without the cells beside the grid that are its own."""
        bare = self.alone
        new = tuple(cell for cell in self.extra if not bare.has(cell))
        return self if new == self.extra else self.with_extra(new)

    def with_extra(self, cells: Iterable[Cell]) -> Grid:
        """The same grid with these cells beside it, each once."""
        return Grid(alpha=self.alpha, lambda_=self.lambda_, extra=tuple(dict.fromkeys(cells)))

    def spans(self, cell: Cell) -> bool:
        """Whether a cell lies between the ends of the axes; λ = 0 only where the axis has it."""
        alpha, lambda_ = self.alpha.values, self.lambda_.positive
        if not alpha[0] <= cell.alpha <= alpha[-1]:
            return False
        if cell.lambda_ == 0:
            return self.lambda_.values[0] == 0
        return bool(lambda_) and lambda_[0] <= cell.lambda_ <= lambda_[-1]

    def union(self, other: Grid) -> Grid:
        """The smallest grid that holds the cells of both, with those beside either."""
        alpha, lambda_ = self.alpha.union(other.alpha), self.lambda_.union(other.lambda_)
        lines = self.lines
        new = (Cell(lines.alpha.own(c.alpha), lines.lambda_.own(c.lambda_)) for c in other.extra)
        return Grid(alpha=alpha, lambda_=lambda_).with_extra((*self.extra, *new))

    @property
    def octaves(self) -> float:
        """How much lies between the ends of the axes, each in octaves and one more."""
        spans = (one.exponents() for one in (self.alpha, self.lambda_) if one.positive)
        return math.prod(span[-1] - span[0] + 1 for span in spans)

    def extended(self, side: str, steps: int, *, is_range: bool = False) -> Grid:
        """With `steps` more values beyond one of `SIDES`; for a range see `Axis.extended`.

        Raises:
            SpecError: no such side, or nothing lies beyond it.
        """
        if side not in SIDES:
            raise SpecError(f"unknown side '{side}': choose one of {', '.join(SIDES)}")
        name, _, end = side.partition("-")
        axis = self.alpha if name == "alpha" else self.lambda_
        try:
            longer = axis.extended("low" if end == "low" else "high", steps, is_range=is_range)
        except SpecError as e:
            raise SpecError(f"{side}: {e}") from e
        axes = {"alpha": self.alpha, "lambda_": self.lambda_}
        axes["alpha" if name == "alpha" else "lambda_"] = longer
        return Grid(**axes, extra=self.extra)

    def to_toml(self) -> dict[str, Any]:
        """The keys of a study file that say which cells there are."""
        beside = {"extra_cells": [list(_pair(cell)) for cell in self.extra]} if self.extra else {}
        return {"alpha": self.alpha.to_toml(), "lambda": self.lambda_.to_toml()} | beside


def _pair(cell: Cell) -> tuple[float, float]:
    return cell.alpha, cell.lambda_
