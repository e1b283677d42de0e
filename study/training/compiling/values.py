"""What a compiled program computes with: numbers that lie in memory, and numbers that do not yet.

A value has the shape of a tensor of one cell. It is read number by number, at an index, by the
body of some loops (`loops.Body`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

Sizes = tuple[int, ...]
Order = tuple[int, ...]  # dimensions, from the one that shall change slowest to the fastest

# What numbers are called in C.
KINDS = {
    torch.float32: "float",
    torch.float64: "double",
    torch.int64: "int64_t",
    torch.int32: "int32_t",
    torch.uint8: "uint8_t",
    torch.bool: "bool",
}
DTYPES = {kind: dtype for dtype, kind in KINDS.items()}
REAL = ("float", "double")
ALIGNMENT = 64  # bytes: of a vector, and of a line of the cache


class NotCompilableError(Exception):
    """A graph does something for which there is no code here."""


def kind_of(dtype: torch.dtype) -> str:
    """The name in C.

    Raises:
        NotCompilableError: it has none here.
    """
    if dtype not in KINDS:
        raise NotCompilableError(f"numbers of kind {dtype}")
    return KINDS[dtype]


@dataclass(frozen=True)
class Index:
    """A whole number: a sum of loop variables, or other expressions of C, times factors."""

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.terms, self.constant + other)
        factors = dict(self.terms)
        for term, factor in other.terms:
            factors[term] = factors.get(term, 0) + factor
        kept = tuple(sorted((term, factor) for term, factor in factors.items() if factor))
        return Index(kept, self.constant + other.constant)

    def __mul__(self, factor: int) -> Index:
        if factor == 0:
            return Index()
        return Index(tuple((t, f * factor) for t, f in self.terms), self.constant * factor)

    def __str__(self) -> str:
        parts = [term if factor == 1 else f"{factor} * {term}" for term, factor in self.terms]
        parts += [str(self.constant)] if self.constant or not parts else []
        return " + ".join(parts)


def variable(name: str) -> Index:
    """One loop variable, or another expression."""
    return Index(((name, 1),))


@dataclass(frozen=True)
class Place:
    """Where numbers lie one after the other.

    Attributes:
        name: of the pointer to the first of them, in C.
        kind: of number, in C.
        count: how many.
        argument: which argument of the program it is; None for memory of its own.
    """

    name: str
    kind: str
    count: int
    argument: int | None = None


class Reader(Protocol):
    """The body of loops, as far as values need it."""

    def read(self, place: Place, address: Index) -> str:
        """The name of the number that lies there."""
        ...

    def let(self, kind: str, expression: str) -> str:
        """The name of what an expression gives."""
        ...


Element = Callable[[Any, Sequence[Index]], str]


@dataclass(frozen=True, eq=False)
class Stored:
    """Numbers in memory, `strides` apart along each dimension."""

    place: Place
    sizes: Sizes
    strides: Sizes
    offset: int = 0

    cost = 0

    @property
    def kind(self) -> str:
        """Of number, in C."""
        return self.place.kind

    @property
    def order(self) -> Order:
        """In which order its dimensions lie in memory; what is repeated counts as slowest."""
        far = [math.inf if d in self.repeated else s for d, s in enumerate(self.strides)]
        return tuple(sorted(range(len(far)), key=lambda d: (-far[d], d)))

    @property
    def repeated(self) -> frozenset[int]:
        """Dimensions along which it is the same everywhere."""
        pairs = enumerate(zip(self.sizes, self.strides, strict=True))
        return frozenset(d for d, (size, stride) in pairs if size == 1 or stride == 0)

    def at(self, body: Reader, index: Sequence[Index]) -> str:
        """The name of the number at an index."""
        address = Index((), self.offset)
        for one, size, stride in zip(index, self.sizes, self.strides, strict=True):
            address = address + one * (stride if size > 1 else 0)
        return body.read(self.place, address)


@dataclass(frozen=True, eq=False)
class Computed:
    """Numbers that are computed where they are needed, as often as they are.

    Attributes:
        element: gives the name of the number at an index, within the body of loops.
        cost: about how many operations that takes, reading left out.
        order: in which its dimensions are best gone through.
        repeated: dimensions along which it is the same everywhere.
    """

    kind: str
    sizes: Sizes
    element: Element
    cost: int
    order: Order
    repeated: frozenset[int] = frozenset()

    def at(self, body: Reader, index: Sequence[Index]) -> str:
        """The name of the number at an index."""
        return self.element(body, index)


Value = Stored | Computed


def count_of(sizes: Sequence[int]) -> int:
    """How many numbers a value of these sizes has."""
    return math.prod(sizes)


def usual_strides(sizes: Sequence[int], order: Sequence[int] | None = None) -> Sizes:
    """Those of numbers without gaps, the last dimension of `order` fastest."""
    strides, width = [0] * len(sizes), 1
    for d in reversed(order if order is not None else range(len(sizes))):
        strides[d] = width
        width *= sizes[d]
    return tuple(strides)


def constant(kind: str, sizes: Sequence[int], literal: str) -> Computed:
    """The same number everywhere."""
    dims = range(len(sizes))
    return Computed(
        kind, tuple(sizes), lambda body, index: literal, 0, tuple(dims), frozenset(dims)
    )


def literal(number: complex, kind: str) -> str:
    """A number as C has it.

    Raises:
        NotCompilableError: it is a complex one.
    """
    if isinstance(number, complex):
        raise NotCompilableError("complex numbers")
    if kind not in REAL:
        if kind == "bool":
            return "true" if number else "false"
        return f"({kind}){int(number)}"
    if math.isnan(number):
        return f"({kind})NAN"
    if math.isinf(number):
        return f"({kind}){'-' if number < 0 else ''}INFINITY"
    # In the shortest way that is read as the same double; C rounds it to the kind.
    return f"({kind}){float(number)!r}"
