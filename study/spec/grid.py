"""The grid of a panel, of α × λ or two other numbers: Axis, Cell and Grid."""

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
from landscape_study.study.spec.cell_numbers import (
    ALPHA,
    LAMBDA,
    USUAL,
    Names,
    Own,
    number_called,
    number_of,
    ordered,
    told,
)
from landscape_study.study.validation import Frozen, explain

MAX_EXPONENT = 200  # of two: beyond it lie no learning rates
MOST_VALUES = 1000  # of an axis
STEP_OF_RANGE = 1 / 8  # as the step of a usual grid of nine values
SHARE_DIGITS = 9  # after the point, of values of β that nobody wrote
DIGITS = 4  # significant, of values that nobody wrote: more say nothing to anybody
ROUNDING = 1e-9  # relative difference of two values that nobody means

End = Literal["low", "high"]
SIDES = ("alpha-low", "alpha-high", "lambda-low", "lambda-high")  # of a usual grid


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
    """One point of a panel: with a seed, one training run.

    Attributes:
        own: other numbers that tell it from the panel's other cells, by name.
    """

    alpha: float
    lambda_: float
    own: Own = ()

    def value(self, name: str) -> float:
        """The number of that name."""
        return {ALPHA: self.alpha, LAMBDA: self.lambda_, **dict(self.own)}[name]

    @property
    def told(self) -> str:
        """How people read it: "α = 0.1, λ = 0.001"."""
        numbers = f"α = {self.alpha:g}, λ = {self.lambda_:g}"
        return f"{numbers}, {told(self.own)}" if self.own else numbers


def _from_pairs(value: Any, info: ValidationInfo) -> Any:
    """Cells from pairs of values of the axes, as they stand in a study file."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is no list of cells such as [[0.05, 0.001], [0.1, 0]]")
    if any(info.data.get(key) is None for key in ("alpha", "lambda_", "more", "names")):
        return ()  # they are wrong themselves
    grid = Grid(**{key: info.data[key] for key in ("alpha", "lambda_", "more", "names")})
    return tuple(one if isinstance(one, Cell) else _from_pair(one, grid) for one in value)


def _from_pair(value: Any, grid: Grid) -> Cell:
    names = "α and λ" if grid.is_usual else " and ".join(grid.names)
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    if not is_pair or any(isinstance(x, bool) or not isinstance(x, int | float) for x in value):
        raise ValueError(f"{value!r} is no cell: give {names}, such as [0.05, 0.001]")
    try:
        row, column = (float(x) + 0.0 for x in value)  # + 0.0 turns -0.0 into 0.0
    except OverflowError as e:
        raise ValueError(f"beyond any number: give {names}, such as [0.05, 0.001]") from e
    return grid.cell(row, column)


# Keys of a grid; all else is the name of a number.
OF_GRID = (*USUAL, "lambda_", "more", "names", "extra", "extra_cells")


class Grid(Frozen):
    """The grid of a panel, and cells beside it: α × λ, or two other numbers of `cell_numbers`.

    α is positive; λ may be 0. One that is no axis has a single value, which all cells share.
    """

    alpha: Axis
    lambda_: Axis = Field(alias="lambda")
    # Axes other than α and λ, by name; and the names of the one upwards and the one to the right.
    more: tuple[tuple[str, Axis], ...] = Field(default=(), exclude=True)
    names: Names = Field(default=USUAL, exclude=True)
    extra: Annotated[tuple[Cell, ...], BeforeValidator(_from_pairs)] = Field(
        default=(), alias="extra_cells", strict=False
    )

    @model_validator(mode="before")
    @classmethod
    def _two_axes(cls, data: Any) -> Any:
        """Tell axes from single numbers; only beside other axes are α and λ such."""
        others = [key for key in data if key not in OF_GRID] if isinstance(data, dict) else []
        if not others:
            return data
        data = {LAMBDA if key == "lambda_" else key: value for key, value in data.items()}
        for name in USUAL:
            if name not in data:
                raise ValueError(f"{name} is missing: give one number, or its values as an axis")
        given = {name: data.pop(name) for name in (*USUAL, *others)}
        axes = ordered([name for name in given if not _is_number(given[name])])
        if len(axes) != 2:
            found = f"{len(axes)} ax{'i' if len(axes) == 1 else 'e'}s ({', '.join(axes)})"
            remedy = (
                "give one more number several values"
                if len(axes) < 2
                else "give α and λ as single numbers, and others in options"
            )
            raise ValueError(f"{found}, and a panel has two: {remedy}")
        usual = {name: given[name] if name in axes else [given[name]] for name in USUAL}
        more = tuple((name, _axis(name, given[name])) for name in axes if name not in USUAL)
        return data | usual | {"more": more, "names": tuple(axes)}

    @field_validator("alpha")
    @classmethod
    def _positive_alpha(cls, alpha: Axis) -> Axis:
        _require_possible(ALPHA, alpha)
        return alpha

    @field_validator("more")
    @classmethod
    def _possible_values(cls, more: tuple[tuple[str, Axis], ...]) -> tuple[tuple[str, Axis], ...]:
        for name, axis in more:
            try:
                _require_possible(name, axis)
            except ValueError as e:
                raise ValueError(f"{name}: {e}") from e
        return more

    @field_validator("extra")
    @classmethod
    def _within(cls, extra: tuple[Cell, ...], info: ValidationInfo) -> tuple[Cell, ...]:
        """Cells beside the grid lie between the ends of its axes, and keep to values of these."""
        if any(info.data.get(key) is None for key in ("alpha", "lambda_", "more", "names")):
            return ()  # which are wrong themselves
        bare = cls(**{key: info.data[key] for key in ("alpha", "lambda_", "more", "names")})
        for cell, times in Counter(extra).items():
            if not bare._is_of_numbers(cell):
                raise ValueError(f"{cell.told} has other numbers than {' and '.join(bare.names)}")
            if times > 1:
                raise ValueError(f"{list(bare.place(cell))} stands there more than once")
        places = [bare.place(cell) for cell in extra]
        rows, columns = unrounded(row for row, _ in places), unrounded(col for _, col in places)
        most = max(len(bare.rows.values) + len(rows), len(bare.columns.values) + len(columns))
        if most > MOST_VALUES:
            raise ValueError(
                f"with the axes, these have {most} values of one kind, more than {MOST_VALUES}: "
                "give fewer"
            )
        own = {
            bare.cell(bare.rows.own(rows[row]), bare.columns.own(columns[column])): None
            for row, column in places
        }
        for cell in own:
            if not bare.spans(cell):
                raise ValueError(
                    f"{list(bare.place(cell))} lies beyond the axes: give cells between their "
                    "ends, or make the axes longer"
                )
        return tuple(sorted(own))

    @property
    def is_usual(self) -> bool:
        """Whether its axes are α and λ."""
        return self.names == USUAL

    @property
    def rows(self) -> Axis:
        """The axis upwards."""
        return self.alpha if self.is_usual else self.axis(self.names[0])

    @property
    def columns(self) -> Axis:
        """The axis to the right."""
        return self.lambda_ if self.is_usual else self.axis(self.names[1])

    def axis(self, name: str) -> Axis:
        """The values of the number of that name."""
        return {ALPHA: self.alpha, LAMBDA: self.lambda_, **dict(self.more)}[name]

    @property
    def sides(self) -> tuple[str, ...]:
        """Where it can be extended: "alpha-low", …."""
        return tuple(f"{name}-{end}" for name in self.names for end in ("low", "high"))

    @property
    def fixed(self) -> dict[str, float]:
        """The value that all cells share, of α and λ where these are no axes."""
        return {name: self.axis(name).values[0] for name in USUAL if name not in self.names}

    def cell(self, row: float, column: float) -> Cell:
        """The cell of a value of each axis."""
        if self.is_usual:
            return Cell(row, column)
        values = self.fixed | dict(zip(self.names, (row, column), strict=True))
        own = tuple((name, values[name]) for name in self.names if name not in USUAL)
        return Cell(values[ALPHA], values[LAMBDA], own)

    def place(self, cell: Cell) -> tuple[float, float]:
        """The value that a cell has of each axis."""
        if self.is_usual:
            return cell.alpha, cell.lambda_
        row, column = (cell.value(name) for name in self.names)
        return row, column

    def with_axes(self, rows: Axis, columns: Axis, extra: Iterable[Cell] = ()) -> Grid:
        """The same two numbers with other values, and with these cells beside."""
        given = dict(zip(self.names, (rows, columns), strict=True))
        return Grid(
            alpha=given.get(ALPHA, self.alpha),
            lambda_=given.get(LAMBDA, self.lambda_),
            more=tuple((name, given[name]) for name, _ in self.more),
            names=self.names,
            extra=tuple(dict.fromkeys(extra)),
        )

    @property
    def size(self) -> int:
        """How many cells there are, those beside the grid too."""
        return len(self.rows.values) * len(self.columns.values) + len(self.extra)

    @property
    def alone(self) -> Grid:
        """The grid without the cells beside it."""
        return self.with_axes(self.rows, self.columns) if self.extra else self

    @property
    def lines(self) -> Grid:
        """The smallest grid on which all cells lie, those beside this one too."""
        places = [self.place(cell) for cell in self.extra]
        rows = {row for row, _ in places}.difference(self.rows.values)
        columns = {column for _, column in places}.difference(self.columns.values)
        if not rows and not columns:
            return self.alone
        return self.with_axes(
            Axis(values=(*self.rows.values, *rows), base=self.rows.base),
            Axis(values=(*self.columns.values, *columns), base=self.columns.base),
        )

    def cells(self) -> tuple[Cell, ...]:
        """Every cell, by ascending numbers; those beside the grid too."""
        of_grid = (self.cell(row, col) for row in self.rows.values for col in self.columns.values)
        return tuple(sorted(dict.fromkeys((*of_grid, *self.extra))))

    def has(self, cell: Cell) -> bool:
        """Whether a cell is the grid's, or one of those beside it."""
        return (self._is_of_numbers(cell) and self._is_on(cell)) or cell in self.extra

    def _is_on(self, cell: Cell) -> bool:
        row, column = self.place(cell)
        return row in self.rows.values and column in self.columns.values

    def _is_of_numbers(self, cell: Cell) -> bool:
        """Whether a cell has the numbers that are axes here, and those that are fixed."""
        if self.is_usual:
            return not cell.own
        own = tuple(name for name in self.names if name not in USUAL)
        is_fixed = all(cell.value(name) == value for name, value in self.fixed.items())
        return is_fixed and tuple(name for name, _ in cell.own) == own

    def without_repeats(self) -> Grid:
        """Without the cells beside the grid that are its own."""
        bare = self.alone
        new = tuple(cell for cell in self.extra if not bare.has(cell))
        return self if new == self.extra else self.with_extra(new)

    def with_extra(self, cells: Iterable[Cell]) -> Grid:
        """The same grid with these cells beside it, each once."""
        return self.with_axes(self.rows, self.columns, cells)

    def spans(self, cell: Cell) -> bool:
        """Whether a cell lies between the ends of the axes; λ = 0 only where the axis has it."""
        if not self._is_of_numbers(cell):
            return False
        within = zip(self.names, (self.rows, self.columns), self.place(cell), strict=True)
        return all(_is_between(name, axis, value) for name, axis, value in within)

    def union(self, other: Grid) -> Grid:
        """The smallest grid that holds the cells of both, with those beside either."""
        rows, columns = self.rows.union(other.rows), self.columns.union(other.columns)
        lines = self.lines
        places = (other.place(cell) for cell in other.extra)
        new = (self.cell(lines.rows.own(row), lines.columns.own(col)) for row, col in places)
        return self.with_axes(rows, columns, (*self.extra, *new))

    @property
    def octaves(self) -> float:
        """How much lies between the ends of the axes, each in octaves and one more."""
        axes = zip(self.names, (self.rows, self.columns), strict=True)
        spans = [octaves for name, axis in axes if (octaves := _octaves(name, axis))]
        return math.prod(span[-1] - span[0] + 1 for span in spans)

    def extended(self, side: str, steps: int, *, is_range: bool = False) -> Grid:
        """With `steps` more values beyond one of its sides; for a range see `Axis.extended`.

        A share such as β2 goes on in 1 − β2: after 0.99 and 0.999 comes 0.9999; it ends at 0.

        Raises:
            SpecError: no such side, or nothing lies beyond it.
        """
        if side not in self.sides:
            raise SpecError(f"unknown side '{side}': choose one of {', '.join(self.sides)}")
        name, _, end = side.rpartition("-")
        try:
            longer = _extended(name, self.axis(name), end == "high", steps, is_range=is_range)
        except SpecError as e:
            raise SpecError(f"{side}: {e}") from e
        rows, columns = (longer if one == name else self.axis(one) for one in self.names)
        return self.with_axes(rows, columns, self.extra)

    def fields(self) -> dict[str, Any]:
        """The keys of a study file that say which cells there are, with what they stand for."""
        return {
            ALPHA: self.fixed.get(ALPHA, self.alpha),
            LAMBDA: self.fixed.get(LAMBDA, self.lambda_),
            **dict(self.more),
            "extra_cells": self.extra,
        }

    def to_toml(self) -> dict[str, Any]:
        """The keys of a study file that say which cells there are."""
        table = {
            key: value.to_toml() if isinstance(value, Axis) else value
            for key, value in self.fields().items()
            if key != "extra_cells"
        }
        beside = {"extra_cells": [list(self.place(cell)) for cell in self.extra]}
        return table | (beside if self.extra else {})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _axis(name: str, values: Any) -> Axis:
    """The axis of that name, or in words what is wrong with it."""
    try:
        return Axis.model_validate(values)
    except ValidationError as e:
        raise ValueError(explain(e, name)) from e


def _require_possible(name: str, axis: Axis) -> None:
    for value in axis.values:
        if wrong := number_called(name).wrong_with(value):
            raise ValueError(wrong)


def _is_between(name: str, axis: Axis, value: float) -> bool:
    if name == LAMBDA and value == 0:
        return axis.values[0] == 0
    values = axis.positive if name == LAMBDA else axis.values
    return bool(values) and values[0] <= value <= values[-1]


def _octaves(name: str, axis: Axis) -> tuple[float, ...]:
    """Of what statistics take log2 of; none where λ is 0 alone."""
    if number_called(name).scale == "log":
        return axis.exponents()
    return tuple(math.log2(number_called(name).measured(value)) for value in axis.values)


def _extended(name: str, axis: Axis, is_high: bool, steps: int, *, is_range: bool) -> Axis:
    """An axis with more values beyond one end.

    Raises:
        SpecError: no sensible numbers lie beyond.
    """
    number = number_of(name, axis.values)
    if number.scale == "share":
        left = Axis(values=tuple(1 - value for value in axis.values))
        longer = left.extended("low" if is_high else "high", steps, is_range=is_range).values
        new = [max(round(1 - x, SHARE_DIGITS), 0.0) for x in longer if x not in left.values]
    else:
        longer = axis.extended("high" if is_high else "low", steps, is_range=is_range).values
        new = [value for value in longer if value not in axis.values]
    new = [float(round(value)) for value in new] if number.whole else new
    new = [value for value in dict.fromkeys(new) if value not in axis.values]
    if not new or any(number.wrong_with(value) for value in new):
        raise SpecError(f"beyond {axis.values[-1 if is_high else 0]:g} lie no values of {name}")
    return Axis(values=(*axis.values, *new), base=axis.base)
