"""What a function does with the tensors of one cell: traced, and in few kinds of operations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functionalize
from torch.fx import Graph, GraphModule, Node

from landscape_study.study.training.compiling.decompositions import table
from landscape_study.study.training.compiling.draws import Draw, draw_of
from landscape_study.study.training.tracing import trace

aten = torch.ops.aten


@dataclass(frozen=True)
class CellGraph:
    """A traced function of one cell's tensors.

    Attributes:
        graph: its arguments are the function's, then `constants`, then `draws`.
        constants: tensors that the function has of its own.
        draws: random numbers that it takes, in the order in which a plain loop draws them.
        own: arguments that each cell has its own of; the others are those of a step.
        results: what it gives.
        moved: which arguments it changes, and to what.
    """

    graph: Graph
    constants: list[Tensor]
    draws: list[Draw]
    own: list[Node]
    results: list[Node]
    moved: dict[Node, Node]


def cell_graph(
    function: Callable[..., Any], tensors: Sequence[Tensor], shared: Collection[int] = ()
) -> CellGraph:
    """The operations that the function does on tensors of one cell; it gives a tuple of tensors.

    The tensors are left as they are, and so is the random state.

    Args:
        shared: arguments that all cells have in common; what one changes of them, no other sees.

    Raises:
        NotCompilableError: what it draws depends on what it computes.
    """
    formulas = table()
    with torch.random.fork_rng([]), torch.no_grad():
        traced = trace(function, _copies(tensors), formulas)
        plain = trace(functionalize(traced), _copies(tensors), formulas)
    return _taken_apart(plain, shared)


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.clone() for tensor in tensors]


def _taken_apart(module: GraphModule, shared: Collection[int]) -> CellGraph:
    """Its constants and what it draws made arguments, and what nobody needs left out."""
    graph = module.graph
    constants: list[Tensor] = []
    draws: list[Draw] = []
    given = [node for node in graph.nodes if node.op == "placeholder"]
    common, last = {given[position] for position in shared}, given[-1]
    for kind in ("get_attr", "call_function"):
        for node in [one for one in graph.nodes if one.op == kind]:
            if kind == "get_attr":
                constants.append(_attribute(module, str(node.target)))
            elif torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
                draws.append(draw_of(node))
            else:
                continue
            with graph.inserting_after(last):
                last = graph.placeholder(f"given_{len(constants) + len(draws)}")
            last.meta = node.meta
            node.replace_all_uses_with(last)
            graph.erase_node(node)
    writes = [node for node in graph.nodes if node.target is aten.copy_.default]
    moved = {node.args[0]: node.args[1] for node in writes if node.args[0] not in common}
    (output,) = (node for node in graph.nodes if node.op == "output")
    own = [node for node in given if node not in common]
    return CellGraph(graph, constants, draws, own, [*output.args[0]], moved)


def _attribute(module: GraphModule, name: str) -> Tensor:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found.detach().contiguous()
