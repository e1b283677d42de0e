"""Whole programs of C: what a graph does, for one cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch.fx import Node

from landscape_study.study.training.compiling.cell_graph import CellGraph
from landscape_study.study.training.compiling.library import Source
from landscape_study.study.training.compiling.loop_text import function_of
from landscape_study.study.training.compiling.loops import Nest
from landscape_study.study.training.compiling.lowering import CHEAP, Lowering, cast
from landscape_study.study.training.compiling.memory import laid_out
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


def source_of(traced: CellGraph) -> Source:
    """A graph as a program.

    Its function `run` takes the addresses of a cell's arguments (those of the graph, then its
    results), and memory to work in; it gives how many indices were out of range.

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
    text, scratch = _written(lowering.statements)
    results = [(tuple(node.meta["val"].shape), node.meta["val"].dtype) for node in traced.results]
    return Source(text, scratch, traced.constants, traced.draws, results)


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


def _written(statements: Sequence[Any]) -> tuple[str, int]:
    """The statements as C, each form of loops once; and the memory that they take, bytes."""
    read = {place for statement in statements for place in statement.reads()}
    starts, scratch = laid_out(statements)
    names: dict[str, str] = {}
    calls: list[str] = []
    for statement in statements:
        if isinstance(statement, Nest):
            function = function_of(
                statement, lambda place: place.argument is not None or place in read
            )
            name = names.setdefault(function.text, f"loops_{len(names)}")
            told = ", ".join(_pointer(place, offset) for place, offset in function.arguments)
            calls.append(f"{name}({told});")
        else:
            calls.append(statement.text(_pointer))
    functions = [f"__attribute__((noinline)) static void {n}{t}" for t, n in names.items()]
    places = {p for s in statements for p in s.reads() | s.writes()}
    pointers = [_declared(place, starts) for place in sorted(places, key=lambda p: p.name)]
    lines = [
        *functions,
        'extern "C" int64_t run(char *const *arguments, char *scratch) {',
        "  beyond = 0;",
        *(f"  {line}" for line in (*pointers, *calls)),
        "  return beyond;",
        "}",
    ]
    return "\n".join(lines) + "\n", scratch


def _pointer(place: Place, offset: int) -> str:
    return f"{place.name} + {offset}" if offset else place.name


def _declared(place: Place, starts: dict[Place, int]) -> str:
    at = f"scratch + {starts[place]}" if place.argument is None else f"arguments[{place.argument}]"
    return f"{place.kind} *{place.name} = ({place.kind} *)({at});"
