"""Tracing: what a function does with tensors, as a graph of ATen's operations.

As `make_fx` of torch.fx.experimental in the mode "real", which imports the compilers of PyTorch
before it does anything: 823 modules, 1.5 s of processor time of each process that traces (torch
2.13.0, an Intel Xeon).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from landscape_study.study.errors import LandscapeError

aten = torch.ops.aten
Formulas = Mapping[Any, Callable[..., Any]]


class DataDependentError(LandscapeError):
    """A function asks for the value of a number that another call would give another one."""


def trace(
    function: Callable[..., Any], tensors: Sequence[Tensor], formulas: Formulas | None = None
) -> GraphModule:
    """The operations that the function does on tensors like these, which it does once.

    It may work in place. What Python decides is decided for ever: all that changes from call to
    call must be among the arguments, and nothing may hang on their values.

    Args:
        function: of tensors, to a tuple of tensors, or to one.
        tensors: with which it is called, and which it may change.
        formulas: of operations, which are taken apart into others by them.

    Raises:
        DataDependentError: the function looks at a value.
    """
    recording = _Recording(formulas or {})
    with _without_cached_casts():
        for number, tensor in enumerate(tensors):
            recording.know(tensor, recording.graph.placeholder(f"given_{number}"))
        with recording:
            found = function(*tensors)
    return recording.module(found)


class _Recording(TorchDispatchMode):
    """Writes down each operation that reaches ATen, and does it.

    Attributes:
        graph: of the operations so far.
    """

    def __init__(self, formulas: Formulas) -> None:
        super().__init__()
        self.formulas, self.graph, self.root = formulas, Graph(), nn.Module()
        self._nodes: dict[int, tuple[Node, Tensor]] = {}  # held, so that no id is used again
        self._fixed: set[int] = set()  # of tensors that hang on no argument

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Else PyTorch wraps `__torch_dispatch__` in what imports its compilers."""
        return False

    def know(self, tensor: Tensor, node: Node) -> None:
        """The node gives the tensor from now on."""
        node.meta.setdefault("val", _form(tensor))
        self._nodes[id(tensor)] = node, tensor

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs, found = kwargs or {}, NotImplemented
        if formula := self.formulas.get(func):
            with self:  # what it is taken apart into is written down
                found = formula(*args, **kwargs)
        return self._done(func, args, kwargs) if found is NotImplemented else found

    def _done(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the operation gives, written down."""
        if func is aten.detach.default:  # the same numbers, in the same memory
            return self._again(args[0], func(*args))
        if func is aten.lift_fresh.default:  # of a tensor made of numbers: each call has its own
            func = aten.lift_fresh_copy.default
        given = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
        given_nodes = tree_map_only(Tensor, self.node, (args, kwargs))
        is_fixed = all(id(one) in self._fixed for one in given)
        if torch.Tag.data_dependent_output in func.tags:
            if is_fixed:
                return func(*args, **kwargs)
            raise DataDependentError(
                f"the value of a tensor is asked for, by {func}: data-dependent control flow"
            )
        found = func(*args, **kwargs)
        results = [one for one in tree_flatten(found)[0] if isinstance(one, Tensor)]
        if not results:
            return found
        node = self.graph.call_function(func, *given_nodes)
        self._tell(node, found)
        is_fixed &= torch.Tag.nondeterministic_seeded not in func.tags
        for one in results:
            (self._fixed.add if is_fixed else self._fixed.discard)(id(one))
        return found

    def _again(self, tensor: Tensor, other: Tensor) -> Tensor:
        """The other tensor, which the node of the first gives too."""
        self.know(other, self.node(tensor))
        if id(tensor) in self._fixed:
            self._fixed.add(id(other))
        return other

    def _tell(self, node: Node, found: Any) -> None:
        """The node gives what was found: a tensor, or several."""
        if isinstance(found, Tensor):
            self.know(found, node)
            return
        node.meta["val"] = tree_map_only(Tensor, _form, found)
        for place, one in enumerate(found):
            if isinstance(one, Tensor):
                self.know(one, self.graph.call_function(operator.getitem, (node, place)))

    def node(self, tensor: Tensor) -> Node:
        """What gives the tensor; one that came from elsewhere is the function's own."""
        if id(tensor) not in self._nodes:
            name = f"own_{len(self._fixed)}_{len(self._nodes)}"
            self.root.register_buffer(name, tensor.detach())
            self.know(tensor, self.graph.get_attr(name))
            self._fixed.add(id(tensor))
        return self._nodes[id(tensor)][0]

    def module(self, found: Any) -> GraphModule:
        """All that was written down, giving what was found; without what nobody needs."""
        self.graph.output(tree_map_only(Tensor, self.node, found))
        for node in reversed(self.graph.nodes):
            if node.op in ("call_function", "get_attr") and not (node.users or _acts(node)):
                self.graph.erase_node(node)
        return GraphModule(self.root, self.graph)


def _acts(node: Node) -> bool:
    """Whether it changes a tensor or the random state."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    is_random = torch.Tag.nondeterministic_seeded in node.target.tags
    return bool(node.target._schema.is_mutable) or is_random


def _form(tensor: Tensor) -> Tensor:
    """A tensor of the same shape, order and kind, without numbers."""
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


@contextmanager
def _without_cached_casts() -> Iterator[None]:
    """Within it, autocast casts a weight anew each time: what was cast before is unknown."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)
