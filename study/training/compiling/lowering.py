"""From operations on one cell's tensors to loops and products of matrices.

Most operations become values that are computed where they are used (`values.Computed`). What is
used more than once and costs something, what is summed up and what is multiplied as a matrix is
stored in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from landscape_study.study.training.compiling.loops import Body, Nest, Where
from landscape_study.study.training.compiling.matrix_products import (
    FEW,
    LONG,
    MOST,
    ROWS,
    SHORTEST,
    Product,
)
from landscape_study.study.training.compiling.values import (
    DTYPES,
    REAL,
    Computed,
    Index,
    NotCompilableError,
    Order,
    Place,
    Sizes,
    Stored,
    Value,
    constant,
    count_of,
    kind_of,
    literal,
    usual_strides,
)
from landscape_study.study.training.compiling.views import (
    View,
    view_of_computed,
    view_of_stored,
)

Statement = Nest | Product

CHEAP = 1  # operations that are rather done twice than stored


class Lowering:
    """What a program does, statement by statement.

    Attributes:
        statements: so far.
    """

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self.held: dict[Computed, Stored] = {}
        self.places = 0

    # ---- memory ---------------------------------------------------------------------------------

    def new(self, kind: str, sizes: Sequence[int], order: Order | None = None) -> Stored:
        """Memory for a value of these sizes."""
        self.places += 1
        place = Place(f"b{self.places}", kind, max(1, count_of(sizes)))
        return Stored(place, tuple(sizes), usual_strides(sizes, order))

    def stored(self, value: Value) -> Stored:
        """The value in memory, as it lies there already or in the order that suits it."""
        if isinstance(value, Stored):
            return value
        if value not in self.held:
            self.held[value] = self.copied(value, value.order)
        return self.held[value]

    def copied(self, value: Value, order: Order | None = None) -> Stored:
        """The value in memory of its own, in this order or the usual one."""
        target = self.new(value.kind, value.sizes, order)
        self.store(value, target, order)
        return target

    def in_usual_order(self, value: Value) -> Stored:
        """The value in memory, its last dimension fastest; moved there by whole matrices."""
        if isinstance(value, Stored):
            dims = [d for d in value.order if value.sizes[d] > 1]
            if dims == sorted(dims):
                return value
        return self.copied(value)

    def store(self, value: Value, target: Stored, order: Order | None = None) -> None:
        """Write a value to where it shall lie."""
        order = tuple(range(len(value.sizes))) if order is None else order
        last = self.statements[-1] if self.statements else None
        if isinstance(last, Nest) and last.store(value, order, target):
            return
        nest = Nest(_loops(value, order))
        if not nest.store(value, order, target):
            raise NotCompilableError("a value that is written over while it is read")
        self._append(nest)

    def _append(self, nest: Nest) -> None:
        """After the last statement; a short one before it, where that is all the same.

        So long loops stay the last statement, which others may join.
        """
        last = self.statements[-1] if self.statements else None
        if isinstance(last, Nest) and nest.turns < last.turns and not _depends(nest, last):
            self.statements.insert(-1, nest)
        else:
            self.statements.append(nest)

    def moved_into(self, value: Stored, argument: Stored) -> bool:
        """Let what writes a value write it to an argument at once; False where that cannot be."""
        place, there = value.place, argument.place
        whole = (value.sizes, value.strides, place.kind, place.count)
        if place.argument is not None or value.offset:
            return False
        if whole != (argument.sizes, argument.strides, there.kind, there.count):
            return False
        writers = [i for i, one in enumerate(self.statements) if place in one.writes()]
        touched = [
            i for i, one in enumerate(self.statements) if there in one.reads() | one.writes()
        ]
        if len(writers) != 1 or any(i > writers[0] for i in touched):
            return False
        writer = self.statements[writers[0]]
        if not isinstance(writer, Nest) or not writer.may_write(place, there):
            return False
        for i in range(writers[0], len(self.statements)):
            self.statements[i] = self.statements[i].renamed(place, there)
        return True

    def scatter(
        self, value: Value, target: Stored, where: Where, *, add: bool, apart: bool
    ) -> None:
        """Write each number of a value to where it says, one after the other.

        Args:
            where: gives the index in `target`, of the index in `value`.
            add: to what is there; else in its place.
            apart: whether no two along the last dimension go to the same place.
        """
        nest = Nest(value.sizes)
        nest.scatter(value, target, where, add=add, apart=apart)
        self.statements.append(nest)

    def collected(
        self, how: str, value: Value, dims: Sequence[int], kind: str, *, keep: bool = False
    ) -> Stored:
        """One number of all those along `dims`, which are gone or have the size 1."""
        gone = {d % len(value.sizes) for d in dims} if value.sizes else set()
        value, order = cast(value, kind), value.order
        left = [d for d in range(len(value.sizes)) if keep or d not in gone]
        if all(value.sizes[d] == 1 for d in gone):  # one of one is that one
            return _with_dims(self.stored(value), left)
        sizes = tuple(1 if d in gone else size for d, size in enumerate(value.sizes))
        target = self.new(kind, sizes, order)
        kept = tuple(d not in gone for d in order if value.sizes[d] != 1)
        last = self.statements[-1] if self.statements else None
        if not (isinstance(last, Nest) and last.accumulate(value, order, target, kept, how)):
            nest = Nest(_loops(value, order))
            nest.accumulate(value, order, target, kept, how)
            self._append(nest)
        return _with_dims(target, left)

    def matrix_product(self, a: Value, b: Value, bias: Value | None = None) -> Value:
        """A [M, K] · b [K, N] + bias [N], or that of each of a batch; without bias there."""
        *batch, m, k = a.sizes
        n, kind = b.sizes[-1], a.kind
        if kind not in REAL or min(m, n, k) == 1:
            return self._sums_of_products(a, b, bias)
        left, right = self.stored(a), self.stored(b)
        if left.strides[-1] == right.strides[-2] == 1 and k >= max(LONG * m, SHORTEST):
            c = self.new(kind, (*batch, m, n))
            self.statements.append(Product(left, right, c, long=True))
            return self._plus(c, bias)
        if 1 < n <= FEW and m >= ROWS and k <= MOST:
            # What is done by class, as a softmax, is then done for many rows at once.
            c = self.new(
                kind, (*batch, m, n), order=(*range(len(batch)), len(batch) + 1, len(batch))
            )
            self.statements.append(Product(left, right, c))
            return self._plus(c, bias)
        if right.strides[-1] == 1 and (bias is None or _is_row(bias)):
            c = self.new(kind, (*batch, m, n))
            row = None if bias is None else self.stored(bias)
            self.statements.append(Product(left, right, c, row))
            return c
        if right.strides[-1] != 1 and left.strides[-2] == 1:
            c = self.new(kind, (*batch, n, m))
            self.statements.append(Product(_turned(right), _turned(left), c))
            return self._plus(_turned(c), bias)
        if right.strides[-1] != 1:
            right = self.copied(right)
        return self._plus(self.matrix_product(left, right), bias)

    def _plus(self, value: Value, bias: Value | None) -> Value:
        if bias is None:
            return value
        return self.each("{0} + {1}", value.kind, value.sizes, [value, bias])

    def _sums_of_products(self, a: Value, b: Value, bias: Value | None) -> Value:
        """By loops: of vectors, and of whole numbers."""
        sizes = (*a.sizes, b.sizes[-1])
        spread = [
            self.view(a, lambda t: t.unsqueeze(-1).expand(sizes)),
            self.view(b, lambda t: t.unsqueeze(-3).expand(sizes)),
        ]
        product = self.each("{0} * {1}", a.kind, sizes, spread)
        return self._plus(self.collected("sum", product, [len(sizes) - 2], a.kind), bias)

    # ---- values ---------------------------------------------------------------------------------

    def view(self, value: Value, view: View) -> Value:
        """The same numbers under another shape, in memory where that cannot be done without."""
        if isinstance(value, Computed):
            found = view_of_computed(value, view)
            if found is not None:
                return found
            value = self._stored_for(value, view)
        seen = view_of_stored(value, view) or view_of_stored(self.copied(value), view)
        if seen is None:
            raise NotCompilableError("a view of numbers that do not lie so")
        return seen

    def _stored_for(self, value: Computed, view: View) -> Stored:
        """In the order that suits the value, or else the usual one, which suits more views."""
        if value not in self.held:
            count = max(1, count_of(value.sizes))
            own = usual_strides(value.sizes, value.order)
            suits = view_of_stored(Stored(Place("", value.kind, count), value.sizes, own), view)
            self.held[value] = self.copied(value, None if suits is None else value.order)
        return self.held[value]

    def spread(self, value: Value, sizes: Sizes) -> Value:
        """The value in a larger shape; what costs something is computed once."""
        if value.sizes == sizes:
            return value
        if value.cost and count_of(value.sizes) < count_of(sizes):
            value = self.stored(value)
        return self.view(value, lambda tensor: tensor.expand(sizes))

    def each(
        self,
        expression: str,
        kind: str,
        sizes: Sizes,
        operands: Sequence[Any],
        kinds: Sequence[str] | None = None,
        cost: int = 1,
    ) -> Value:
        """An expression of the operands, values or numbers, at each place.

        Args:
            kinds: what each of them is turned into; None for the kind of the result.
        """
        asked = [kind] * len(operands) if kinds is None else kinds
        found = [
            self.spread(cast(as_value(one, k), k), sizes)
            for one, k in zip(operands, asked, strict=True)
        ]
        repeated = frozenset.intersection(*(one.repeated for one in found))
        once = tuple(1 if d in repeated else size for d, size in enumerate(sizes))
        if once != sizes:  # computed once, and then repeated
            parts = [self.view(one, lambda t: t[tuple(map(slice, once))]) for one in found]
            return self.spread(self.each(expression, kind, once, parts, asked, cost), sizes)
        order = _order(found, sizes)
        found = [self._along(order, one) for one in found]

        def element(body: Body, index: Sequence[Index]) -> str:
            return body.let(kind, expression.format(*(one.at(body, index) for one in found)))

        return Computed(kind, sizes, element, cost + sum(one.cost for one in found), order)

    def _along(self, order: Order, value: Value) -> Value:
        """What is repeated, moved in memory where loops of this order would jump through it."""
        if not isinstance(value, Stored) or not order:
            return value
        sizes, last = value.sizes, order[-1]
        once = tuple(1 if d in value.repeated else size for d, size in enumerate(sizes))
        if once == sizes or last in value.repeated or value.strides[last] == 1:
            return value
        some = Stored(value.place, once, value.strides, value.offset)
        return self.spread(self.copied(some, order), sizes)


def _with_dims(value: Stored, dims: Sequence[int]) -> Stored:
    """The value with some of its dimensions; the others are of size 1."""
    sizes, strides = (tuple(one[d] for d in dims) for one in (value.sizes, value.strides))
    return Stored(value.place, sizes, strides, value.offset)


def _loops(value: Value, order: Order) -> Sizes:
    """Of how many turns the loops over a value are, from the outermost on."""
    return tuple(value.sizes[d] for d in order if value.sizes[d] != 1)


def _depends(one: Nest, other: Nest) -> bool:
    """Whether it matters which of the two comes first."""
    writes = one.writes()
    return bool(one.reads() & other.writes() or writes & (other.reads() | other.writes()))


def as_value(operand: Any, kind: str) -> Value:
    """A value, or a number as one."""
    if isinstance(operand, (Stored, Computed)):
        return operand
    return constant(kind, (), literal(operand, kind))


def cast(value: Value, kind: str) -> Value:
    """The value as numbers of another kind."""
    if value.kind == kind:
        return value
    written = "({0} != 0)" if kind == "bool" else f"({kind}){{0}}"

    def element(body: Body, index: Sequence[Index]) -> str:
        return body.let(kind, written.format(value.at(body, index)))

    return Computed(kind, value.sizes, element, value.cost, value.order, value.repeated)


def joint_kind(operands: Sequence[Any]) -> str:
    """The kind in which one or two operands meet, as PyTorch has it."""
    shown = [
        torch.empty((1,) * len(one.sizes), dtype=DTYPES[one.kind])
        if isinstance(one, (Stored, Computed))
        else one
        for one in operands
    ]
    return kind_of(torch.result_type(shown[0], shown[-1]))


def _is_row(bias: Value) -> bool:
    """Whether it can be handed to a product of matrices."""
    return len(bias.sizes) == 1 and (not isinstance(bias, Stored) or bias.strides == (1,))


def _turned(matrix: Stored) -> Stored:
    """The transpose, of each of a batch."""

    def turned(sizes: Sizes) -> Sizes:
        return (*sizes[:-2], sizes[-1], sizes[-2])

    return Stored(matrix.place, turned(matrix.sizes), turned(matrix.strides), matrix.offset)


def _order(values: Sequence[Value], sizes: Sizes) -> Order:
    """That of the first that is another number at each place."""
    for value in values:
        if all(sizes[d] == 1 for d in value.repeated):
            return value.order
    return tuple(range(len(sizes)))
