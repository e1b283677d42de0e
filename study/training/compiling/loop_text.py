"""Loops as functions of C."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from landscape_study.study.training.compiling.loops import (
    COLLECTING,
    Access,
    Accumulation,
    Body,
    Nest,
)
from landscape_study.study.training.compiling.values import REAL, Index, Place


class Function(NamedTuple):
    """A function of C without its name, and what it is called with: places and their offsets."""

    text: str
    arguments: tuple[tuple[Place, int], ...]


def function_of(nest: Nest, needed: Callable[[Place], bool]) -> Function:
    """The loops as a function; what nobody `needed` is not stored.

    Loops of the same form have the same text, wherever their numbers lie.
    """
    stores = [(access, name) for access, name in nest.stores if needed(access.place)]
    nest = _collapsed(nest, stores)
    pointers = _Pointers(nest)
    lines = _turning(nest, pointers) or _loops(nest, pointers)
    parameters = ", ".join(pointers.parameters())
    text = f"({parameters}) {{\n" + "\n".join(f"  {line}" for line in lines) + "\n}\n"
    return Function(text, tuple(pointers.arguments()))


def _collapsed(nest: Nest, stores: list[tuple[Access, str]]) -> Nest:
    """With neighbouring loops made one, where all addresses go on from one to the next."""
    body = nest.body
    targets = [access for access, _ in stores] + [a.target for a in nest.accumulations]
    named = [name for _, name in stores] + [a.name for a in nest.accumulations]
    named += [term for target in targets for term, _ in target.address.terms]
    used = _used(body, named)
    lines = [line for line in body.lines if line.name in used]
    nest = replace(nest, body=Body(lines, loose=body.loose), stores=stores)
    d = len(nest.sizes) - 1
    while d > 0 and not body.loose:
        if _joins(nest, d):
            nest = _joined(nest, d)
        d -= 1
    return nest


def _used(body: Body, wanted: Sequence[str]) -> set[str]:
    """The names that are needed for those that are wanted."""
    used = set(wanted)
    for line in reversed(body.lines):
        if line.name in used:
            text = line.expression if line.read is None else str(line.read.address)
            used |= {word for word in _words(text) if word.startswith("t")}
    return used


def _words(text: str) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in text).split())


def _accesses(nest: Nest) -> list[Access]:
    reads = [line.read for line in nest.body.lines if line.read is not None]
    return [
        *reads,
        *(access for access, _ in nest.stores),
        *(a.target for a in nest.accumulations),
    ]


def _joins(nest: Nest, d: int) -> bool:
    """Whether loop `d` and the one around it may be one."""
    if nest.kept is not None and nest.kept[d] != nest.kept[d - 1]:
        return False
    for access in _accesses(nest):
        factors = dict(access.address.terms)
        if factors.get(f"i{d - 1}", 0) != factors.get(f"i{d}", 0) * nest.sizes[d]:
            return False
        if any(not term.startswith("i") for term in factors):
            return False
    return True


def _joined(nest: Nest, d: int) -> Nest:
    def renamed(address: Index) -> Index:
        terms: list[tuple[str, int]] = []
        for term, factor in address.terms:
            number = int(term[1:])
            if number != d - 1:
                terms.append((f"i{number - (number >= d)}", factor))
        return Index(tuple(sorted(terms)), address.constant)

    def moved(access: Access) -> Access:
        return Access(access.place, renamed(access.address))

    sizes = (*nest.sizes[: d - 1], nest.sizes[d - 1] * nest.sizes[d], *nest.sizes[d + 1 :])
    kept = None if nest.kept is None else (*nest.kept[:d], *nest.kept[d + 1 :])
    return replace(nest.moved(moved), sizes=sizes, kept=kept)


class _Pointers:
    """Names of what the loops read and write, each from its lowest address on."""

    def __init__(self, nest: Nest) -> None:
        self.written = nest.writes()
        self.lowest: dict[Place, int] = {}
        for access in _accesses(nest):
            low = self.lowest.get(access.place, access.address.constant)
            self.lowest[access.place] = min(low, access.address.constant)
        self.names = {place: f"p{number}" for number, place in enumerate(self.lowest)}

    def at(self, access: Access) -> str:
        address = access.address + -self.lowest[access.place]
        return f"{self.names[access.place]}[{address}]"

    def parameters(self) -> list[str]:
        return [
            f"{'' if place in self.written else 'const '}{place.kind} *__restrict {name}"
            for place, name in self.names.items()
        ]

    def arguments(self) -> list[tuple[Place, int]]:
        return [(place, self.lowest[place]) for place in self.names]


class _Lines:
    """Lines of C, each as far to the right as it is deep."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self.depth = 0

    def add(self, *lines: str) -> None:
        self.all += ["  " * self.depth + line for line in lines]

    def open(self, d: int, size: int) -> None:
        """Begin loop `d`."""
        self.add(f"for (int64_t i{d} = 0; i{d} < {size}; i{d}++) {{")
        self.depth += 1

    def close(self, loops: int) -> None:
        for _ in range(loops):
            self.depth -= 1
            self.add("}")


def _turning(nest: Nest, pointers: _Pointers) -> list[str] | None:
    """Loops that copy what lies one after the other to far apart: by blocks of a matrix."""
    if nest.accumulations or len(nest.body.lines) != 1 or len(nest.stores) != 1:
        return None
    (line,), ((target, name),) = nest.body.lines, nest.stores
    if line.read is None or name != line.name or line.kind not in REAL:
        return None
    there, here = dict(target.address.terms), dict(line.read.address.terms)
    loops = {f"i{d}": size for d, size in enumerate(nest.sizes)}
    rows = [one for one in loops if there.get(one) == 1 and here.get(one) != 1]
    columns = [one for one in loops if here.get(one) == 1 and there.get(one) != 1]
    if len(rows) != 1 or len(columns) != 1 or not {*there, *here} <= {*loops}:
        return None
    (row,), (column,) = rows, columns
    lines = _Lines()
    others = [one for one in loops if one not in (row, column)]
    for one in others:
        lines.open(int(one[1:]), loops[one])

    def begin(access: Access) -> str:
        kept = tuple(term for term in access.address.terms if term[0] in others)
        return "&" + pointers.at(Access(access.place, Index(kept, access.address.constant)))

    told = f"{begin(line.read)}, {here.get(row, 0)}, {begin(target)}, {there.get(column, 0)}"
    lines.add(f"turned_{line.kind}({loops[row]}, {loops[column]}, {told});")
    lines.close(len(others))
    return lines.all


def _loops(nest: Nest, pointers: _Pointers) -> list[str]:
    """The lines of the function.

    From loop `inner` on, numbers are collected in variables; what comes before it of loops along
    which they are collected too, adds up in memory.
    """
    sizes, kept = nest.sizes, nest.kept or ()
    inner = len(sizes)
    while kept and inner > 0 and not kept[inner - 1]:
        inner -= 1
    in_memory = bool(kept) and not all(kept[:inner])
    held = [_Held(a, n) for n, a in enumerate(nest.accumulations)] if inner < len(sizes) else []
    lines, levels = _Lines(), _levels(nest)
    if in_memory:
        _start(nest, pointers, lines)
    for d in range(len(sizes) + 1):
        if d == inner:
            lines.add(*(line for one in held for line in one.declared()))
        for line in nest.body.lines:
            if levels[line.name] == d:
                text = line.expression if line.read is None else pointers.at(line.read)
                lines.add(f"const {line.kind} {line.name} = {text};")
        if d == len(sizes) - 1:
            lines.add(*_hints(nest, held))
        if d < len(sizes):
            lines.open(d, sizes[d])
    lines.add(*(f"{pointers.at(access)} = {name};" for access, name in nest.stores))
    if held:
        lines.add(*(line for one in held for line in one.stepped()))
    else:
        lines.add(*(_step(pointers.at(a.target), a.name, a.how) for a in nest.accumulations))
    lines.close(len(sizes) - inner)
    for one in held:
        there = pointers.at(one.what.target)
        lines.add(
            _step(there, one.found(), one.what.how) if in_memory else f"{there} = {one.found()};"
        )
    lines.close(inner)
    return lines.all


def _step(there: str, name: str, how: str) -> str:
    return f"{there} = {COLLECTING[how].step.format(there, name)};"


class _Held:
    """A number that is collected in a variable, several at once where the compiler may."""

    def __init__(self, what: Accumulation, number: int) -> None:
        self.what, self.name, self.nans = what, f"s{number}", f"n{number}"
        self.way, self.kind = COLLECTING[what.how], what.target.place.kind
        self.counts = bool(self.way.quick) and self.kind in REAL

    def declared(self) -> list[str]:
        lines = [f"{self.kind} {self.name} = {_first(self.what)};"]
        return [*lines, f"int {self.nans} = 0;"] if self.counts else lines

    def stepped(self) -> list[str]:
        one, step = self.what.name, self.way.quick or self.way.step
        lines = [f"{self.name} = {step.format(self.name, one)};"]
        return [*lines, f"{self.nans} |= {one} != {one};"] if self.counts else lines

    def clauses(self) -> list[str]:
        found = [f"reduction({self.way.clause}: {self.name})"]
        return [*found, f"reduction(|: {self.nans})"] if self.counts else found

    def found(self) -> str:
        return f"({self.nans} ? ({self.kind})NAN : {self.name})" if self.counts else self.name


def _first(a: Accumulation) -> str:
    """What collecting begins with."""
    return COLLECTING[a.how].start.format(kind=a.target.place.kind)


def _levels(nest: Nest) -> dict[str, int]:
    """Within how many loops each line of the body must stand."""
    written, found = nest.writes(), dict[str, int]()
    for line in nest.body.lines:
        if line.read is not None and line.read.place in written:
            found[line.name] = len(nest.sizes)
            continue
        text = line.expression if line.read is None else str(line.read.address)
        words = _words(text)
        loops = [d + 1 for d in range(len(nest.sizes)) if f"i{d}" in words]
        found[line.name] = max(
            [*loops, *(found[word] for word in words & found.keys())], default=0
        )
    return found


def _hints(nest: Nest, held: Sequence[_Held]) -> list[str]:
    """What the compiler may take for granted of the innermost loop."""
    if any(not one.way.clause for one in held):
        return []
    clauses = [clause for one in held for clause in one.clauses()]
    if clauses:
        return [f"#pragma omp simd {' '.join(clauses)}"]
    return ["#pragma GCC ivdep"] if nest.apart else []


def _start(nest: Nest, pointers: _Pointers, lines: _Lines) -> None:
    """Set what is collected in memory to what collecting begins with."""
    kept = [d for d, is_kept in enumerate(nest.kept or ()) if is_kept]
    for d in kept:
        lines.open(d, nest.sizes[d])
    lines.add(*(f"{pointers.at(a.target)} = {_first(a)};" for a in nest.accumulations))
    lines.close(len(kept))
