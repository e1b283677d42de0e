"""Whole programs of C: what a graph does, for one cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch.fx import Node

from landscape_study.study.training.compiling.cell_graph import CellGraph
from landscape_study.study.training.compiling.library import Source
from landscape_study.study.training.compiling.loop_text import function_of
from landscape_study.study.training.compiling.lowering import CHEAP, Lowering, Statement, cast
from landscape_study.study.training.compiling.matrix_products import Product
from landscape_study.study.training.compiling.memory import laid_out, side_by_side
from landscape_study.study.training.compiling.operations import value_of
from landscape_study.study.training.compiling.values import (
    Computed,
    Place,
    Stored,
    Value,
    count_of,
    kind_of,
    usual_strides,
)

WORTH_KEEPING = 5000  # turns of loops


def source_of(traced: CellGraph) -> Source:
    """A graph as a program.

    Its function `run` takes the addresses of a cell's arguments (those of the graph, then its
    results), memory to work in, memory that is left alone from cell to cell of a step, and whether
    this cell is the first one of it; it gives how many indices were out of range.

    Raises:
        NotCompilableError: the graph does something for which there is no code.
    """
    lowering, values = Lowering(), dict[Node, Any]()
    given = [node for node in traced.graph.nodes if node.op == "placeholder"]
    wanted = _needed([*traced.results, *traced.moved.values()])
    for number, node in enumerate(given):
        values[node] = _argument(number, node)
    for node in traced.graph.nodes:
        if node.op == "call_function" and node in wanted:
            args, kwargs = _valued((node.args, node.kwargs), values)
            values[node] = _kept(lowering, node, value_of(lowering, node, *args, **kwargs), wanted)
    _finish(lowering, traced, values, len(given))
    own = {values[node].place for node in traced.own}
    text, scratch, kept = _written(*_split(lowering.statements, own))
    results = [(tuple(node.meta["val"].shape), node.meta["val"].dtype) for node in traced.results]
    return Source(text, scratch, kept, traced.constants, traced.draws, results)


def _needed(nodes: Sequence[Node]) -> dict[Node, int]:
    """All nodes that these need, and how often each is used."""
    uses = dict.fromkeys(nodes, 1)
    todo = [*uses]
    while todo:
        for other in todo.pop().all_input_nodes:
            if other not in uses:
                todo.append(other)
            uses[other] = uses.get(other, 0) + 1
    return uses


def _valued(argument: Any, values: dict[Node, Any]) -> Any:
    """An argument of a node, with values in the place of nodes."""
    if isinstance(argument, Node):
        return values[argument]
    if isinstance(argument, (tuple, list)):
        return type(argument)(_valued(one, values) for one in argument)
    if isinstance(argument, dict):
        return {name: _valued(one, values) for name, one in argument.items()}
    return argument


def _argument(number: int, node: Node) -> Stored:
    shown = node.meta["val"]
    sizes, kind = tuple(shown.shape), kind_of(shown.dtype)
    place = Place(f"a{number}", kind, max(1, count_of(sizes)), number)
    return Stored(place, sizes, usual_strides(sizes))


def _kept(lowering: Lowering, node: Node, value: Any, uses: dict[Node, int]) -> Any:
    """In memory, where it is used again and would have to be computed again."""
    if isinstance(value, Computed) and uses[node] > 1 and value.cost > CHEAP:
        return lowering.stored(value)
    return value


def _finish(lowering: Lowering, traced: CellGraph, values: dict[Node, Any], given: int) -> None:
    """Write the results, and last what changes of the arguments."""
    written: list[tuple[Stored, Stored]] = []  # what is there, and where it shall be
    for number, node in enumerate(traced.results, given):
        value, target = values[node], _argument(number, node)
        if isinstance(value, Stored):
            written.append((value, target))
        else:
            lowering.store(value, target)
    changing = [(values[old], values[new]) for old, new in traced.moved.items()]
    places = {old.place for old, _ in changing}
    written += [(_apart(lowering, new, old, places), old) for old, new in changing]
    moved: dict[Place, Place] = {}
    for value, target in written:
        if value.place in moved:
            value = replace(value, place=moved[value.place])
        if value.place != target.place and lowering.moved_into(value, target):
            moved[value.place] = target.place
        else:
            lowering.store(value, target)


def _apart(lowering: Lowering, new: Value, old: Stored, changing: set[Place]) -> Stored:
    """What an argument changes to, in memory that no other argument's change touches."""
    value = cast(lowering.spread(new, old.sizes), old.kind)
    if isinstance(value, Stored) and value.place in changing and value.place != old.place:
        return lowering.copied(value)
    return lowering.stored(value)


def _split(
    statements: Sequence[Statement], own: set[Place]
) -> tuple[list[Statement], list[Statement]]:
    """What is the same for all cells of a step, where that is worth a memory; and what is not.

    Args:
        own: what each cell has its own of.
    """
    differing, found = {*own}, -1
    while found != len(differing):  # what a cell writes to is its own, whoever else does
        found = len(differing)
        for statement in statements:
            written = statement.writes()
            touched = written | statement.reads()
            if touched & differing or any(place.argument is not None for place in written):
                differing |= written
    of_step = [one for one in statements if not one.writes() & differing]
    if sum(one.turns for one in of_step) < WORTH_KEEPING:
        return [], [*statements]
    return of_step, [one for one in statements if one.writes() & differing]


def _written(of_step: Sequence[Statement], of_cell: Sequence[Statement]) -> tuple[str, int, int]:
    """The statements as C, each form of loops once; bytes of memory to work in, and to keep."""
    statements = [*of_step, *of_cell]
    read = {place for statement in statements for place in statement.reads()}
    places = sorted(
        {place for statement in statements for place in statement.reads() | statement.writes()},
        key=lambda place: place.name,
    )
    of_steps = {place for statement in of_step for place in statement.writes()}
    kept_at, kept = side_by_side([place for place in places if place in of_steps])
    starts, scratch = laid_out(of_cell, but=of_steps)
    names: dict[str, str] = {}

    def called(statement: Statement) -> str:
        if isinstance(statement, Product):
            return statement.text(_pointer)
        function = function_of(statement, lambda p: p.argument is not None or p in read)
        name = names.setdefault(function.text, f"loops_{len(names)}")
        told = ", ".join(_pointer(place, offset) for place, offset in function.arguments)
        return f"{name}({told});"

    def declared(place: Place) -> str:
        at = f"arguments[{place.argument}]"
        if place.argument is None:
            at = f"kept + {kept_at[place]}" if place in kept_at else f"scratch + {starts[place]}"
        return f"{place.kind} *{place.name} = ({place.kind} *)({at});"

    once, each = [[called(one) for one in some] for some in (of_step, of_cell)]
    lines = [
        *(f"__attribute__((noinline)) static void {n}{text}" for text, n in names.items()),
        'extern "C" int64_t run(char *const *arguments, char *scratch, char *kept, bool first) {',
        "  beyond = 0;",
        *(f"  {declared(place)}" for place in places),
        *(["  if (first) {", *(f"    {line}" for line in once), "  }"] if once else []),
        *(f"  {line}" for line in each),
        "  return beyond;",
        "}",
    ]
    return "\n".join(lines) + "\n", scratch, kept


def _pointer(place: Place, offset: int) -> str:
    return f"{place.name} + {offset}" if offset else place.name
