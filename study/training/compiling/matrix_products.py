"""Products of matrices, done by `products.cpp`.

Letters: M rows and N columns of what comes out, K of what is summed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from landscape_study.study.training.compiling.values import Place, Stored, count_of

ROWS = 16  # of a product with few columns, at least: as many as a vector has numbers
FEW = 12  # columns; with more, hardly any are computed for nothing
LONG = 12  # numbers to each row of a product, from which on they are multiplied as they lie
SHORTEST = 64  # numbers: shorter ones fit no vectors
MOST = 1024  # numbers that each is a sum of: columns of B are copied onto the stack


@dataclass(frozen=True)
class Product:
    """C = A·B, for each matrix of a batch.

    Attributes:
        a: [M, K], or [batch, M, K].
        b: [K, N] or [batch, K, N], rows without gaps.
        c: [M, N] or [batch, M, N], rows without gaps; or, of at least `ROWS` rows and without
            bias, columns. Then `b` lies anyhow.
        bias: [N], without gaps, added to each row; None for nothing.
        long: whether each number is a sum of so many that rows of `a` and columns of `b`, both
            without gaps, are multiplied with each other; there is no bias then.
    """

    a: Stored
    b: Stored
    c: Stored
    bias: Stored | None = None
    long: bool = False

    @property
    def turns(self) -> int:
        """How many numbers are multiplied."""
        return count_of(self.c.sizes) * self.a.sizes[-1]

    def reads(self) -> set[Place]:
        """Whatever is read."""
        return {one.place for one in (self.a, self.b, self.bias) if one is not None}

    def writes(self) -> set[Place]:
        """Whatever is written."""
        return {self.c.place}

    def renamed(self, place: Place, other: Place) -> Product:
        """The same with another place in the place of one."""
        parts = {name: getattr(self, name) for name in ("a", "b", "c", "bias")}
        moved = {
            name: replace(one, place=other)
            for name, one in parts.items()
            if one is not None and one.place == place
        }
        return replace(self, **moved)

    def text(self, pointer: Callable[[Place, int], str]) -> str:
        """A call, or a loop of calls; `pointer` says where a number of a place is."""
        *batch, m, n = self.c.sizes
        k = self.a.sizes[-1]

        def at(one: Stored) -> str:
            moved = f" + i * {one.strides[0]}" if batch else ""
            return f"{pointer(one.place, one.offset)}{moved}"

        bias = "nullptr" if self.bias is None else pointer(self.bias.place, self.bias.offset)
        kind, sizes = self.c.kind, f"{m}, {n}, {k}"
        a, b, c = at(self.a), at(self.b), at(self.c)
        (a_row, a_column), (b_row, b_column), (c_row, c_column) = (
            one.strides[-2:] for one in (self.a, self.b, self.c)
        )
        if self.long:
            call = f"long_sums_{kind}({sizes}, {a}, {a_row}, {b}, {b_column}, {c}, {c_row});"
        elif c_column != 1:
            both = f"{a}, {a_row}, {a_column}, {b}, {b_row}, {b_column}"
            call = f"few_columns_{kind}({sizes}, {both}, {c}, {c_column});"
        else:
            both = f"{a}, {a_row}, {a_column}, {b}, {b_row}"
            call = f"product_{kind}({sizes}, {both}, {c}, {c_row}, {bias});"
        return f"for (int64_t i = 0; i < {batch[0]}; i++) {call}" if batch else call
