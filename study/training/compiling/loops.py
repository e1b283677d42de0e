"""Loops of C: over the places of a tensor, with what is stored and what is summed up at each.

What goes through the same places is done in the same loops, as long as nothing is read elsewhere
than where it has just been written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from landscape_study.study.training.compiling.values import (
    Index,
    Order,
    Place,
    Sizes,
    Stored,
    Value,
    count_of,
    variable,
)

Where = Callable[["Body", Sequence[Index]], Sequence[Index]]


class Access(NamedTuple):
    """One number in memory."""

    place: Place
    address: Index


class Line(NamedTuple):
    """One line of a body: a name for a number that is read, or for what an expression gives."""

    kind: str
    name: str
    expression: str = ""
    read: Access | None = None


class Accumulation(NamedTuple):
    """A number that is collected from all places along some of the loops.

    Attributes:
        how: name of one of `COLLECTING`.
    """

    target: Access
    name: str
    how: str


class Collecting(NamedTuple):
    """A way to make one number of many.

    Attributes:
        start: what it begins with.
        step: what the next number makes of it; a NaN stays.
        clause: of OpenMP's reductions, if the compiler may collect several at once, by `quick`;
            "" where it must keep to the order.
        quick: the step where NaNs are counted apart, since it would lose them.
    """

    start: str
    step: str
    clause: str = ""
    quick: str = ""


COLLECTING = {
    "sum": Collecting("0", "{0} + {1}", "+"),
    "prod": Collecting("1", "{0} * {1}", "*"),
    "amax": Collecting("lowest<{kind}>()", "larger({0}, {1})", "max", "({1} > {0} ? {1} : {0})"),
    "amin": Collecting("highest<{kind}>()", "smaller({0}, {1})", "min", "({1} < {0} ? {1} : {0})"),
    "any": Collecting("false", "{0} | {1}"),
    "all": Collecting("true", "{0} & {1}"),
}


@dataclass
class Body:
    """What is done at each place: each number has one name, however often it is used."""

    lines: list[Line] = field(default_factory=list)
    names: dict[object, str] = field(default_factory=dict)
    read_at: set[Access] = field(default_factory=set)
    written: dict[Access, str] = field(default_factory=dict)
    loose: bool = False  # whether loop variables are used beside addresses

    def fork(self) -> Body:
        """A copy to go on with, which leaves this one as it is."""
        return Body([*self.lines], {**self.names}, {*self.read_at}, {**self.written}, self.loose)

    def read(self, place: Place, address: Index) -> str:
        """The name of the number that lies there."""
        access = Access(place, address)
        if access in self.written:
            return self.written[access]
        self.read_at.add(access)
        return self._named(access, Line(place.kind, "", read=access))

    def let(self, kind: str, expression: str) -> str:
        """The name of what an expression gives."""
        return self._named((kind, expression), Line(kind, "", expression))

    def number(self, index: Index) -> str:
        """An index itself, as a number."""
        self.loose = True
        return self.let("int64_t", str(index))

    def _named(self, key: object, line: Line) -> str:
        if key not in self.names:
            self.names[key] = f"t{len(self.lines)}"
            self.lines.append(line._replace(name=self.names[key]))
        return self.names[key]


@dataclass
class Nest:
    """Loops within each other.

    Attributes:
        sizes: from the outermost to the innermost; there is no loop of one turn.
        kept: which loops the collected numbers have a place for each turn of; None where nothing
            is collected.
        closed: whether nothing else may join.
        apart: whether no two turns of the innermost loop write to the same place.
    """

    sizes: Sizes
    body: Body = field(default_factory=Body)
    stores: list[tuple[Access, str]] = field(default_factory=list)
    kept: tuple[bool, ...] | None = None
    accumulations: list[Accumulation] = field(default_factory=list)
    closed: bool = False
    apart: bool = True

    @property
    def variables(self) -> list[Index]:
        """Of the loops."""
        return [variable(f"i{d}") for d in range(len(self.sizes))]

    @property
    def turns(self) -> int:
        """How often the body is done."""
        return count_of(self.sizes)

    def may_write(self, place: Place, other: Place) -> bool:
        """Whether what is stored at a place could be stored at another one, which is read too."""
        written = [access.address for access, _ in self.stores if access.place == place]
        reads = {access.address for access in self.body.read_at if access.place == other}
        return not self.closed and len(written) == 1 and reads <= {*written}

    def renamed(self, place: Place, other: Place) -> Nest:
        """The same loops with another place in the place of one."""

        def moved(access: Access) -> Access:
            return Access(other, access.address) if access.place == place else access

        return self.moved(moved)

    def moved(self, moved: Callable[[Access], Access]) -> Nest:
        """The same loops with all that is read and written elsewhere."""
        body = replace(
            self.body,
            lines=[
                line if line.read is None else line._replace(read=moved(line.read))
                for line in self.body.lines
            ],
            read_at={moved(access) for access in self.body.read_at},
            written={moved(access): name for access, name in self.body.written.items()},
        )
        return replace(
            self,
            body=body,
            stores=[(moved(access), name) for access, name in self.stores],
            accumulations=[a._replace(target=moved(a.target)) for a in self.accumulations],
        )

    def reads(self) -> set[Place]:
        """Whatever is read, but for what the loops have just written."""
        return {access.place for access in self.body.read_at}

    def writes(self) -> set[Place]:
        """Whatever is written."""
        targets = [access for access, _ in self.stores] + [a.target for a in self.accumulations]
        return {target.place for target in targets}

    def store(self, value: Value, order: Order, target: Stored) -> bool:
        """Store a value as well; False if these loops are not right for it."""
        return self._add(value, order, target, None, None)

    def accumulate(
        self, value: Value, order: Order, target: Stored, kept: tuple[bool, ...], how: str
    ) -> bool:
        """Collect a value as well; False if these loops are not right for it."""
        if self.kept not in (None, kept):
            return False
        return self._add(value, order, target, kept, how)

    def scatter(
        self, value: Value, target: Stored, where: Where, *, add: bool, apart: bool
    ) -> None:
        """Write each number of a value to where it says; nothing else joins these loops."""
        place = self.variables
        name = value.at(self.body, place)
        there = _address(target, where(self.body, place))
        if add:
            name = self.body.let(value.kind, f"{self.body.read(*there)} + {name}")
        self.stores.append((there, name))
        self.closed, self.apart = True, apart

    def _add(
        self,
        value: Value,
        order: Order,
        target: Stored,
        kept: tuple[bool, ...] | None,
        how: str | None,
    ) -> bool:
        looped = [d for d in order if value.sizes[d] != 1]
        if self.closed or tuple(value.sizes[d] for d in looped) != self.sizes:
            return False
        body, place = self.body.fork(), [Index()] * len(order)
        for one, d in zip(self.variables, looped, strict=True):
            place[d] = one
        name = value.at(body, place)
        where = _address(target, place)
        if self._clashes(body, where):
            return False
        self.body = body
        if how is None:
            self.stores.append((where, name))
            body.written[where] = name
        else:
            self.kept = kept
            self.accumulations.append(Accumulation(where, name, how))
        return True

    def _clashes(self, body: Body, target: Access) -> bool:
        """Whether something would be read elsewhere in the loops than where it is written."""
        written = self.writes()
        if any(access.place in written for access in body.read_at - self.body.read_at):
            return True
        others = {access for access in body.read_at if access.place == target.place}
        return bool(others - {target}) or target.place in written


def _address(target: Stored, place: Sequence[Index]) -> Access:
    address = Index((), target.offset)
    for one, size, stride in zip(place, target.sizes, target.strides, strict=True):
        address = address + one * (stride if size > 1 else 0)
    return Access(target.place, address)
