"""ATen's operations on one cell's tensors, each as what it does to values.

What each number goes through alone stands in `pointwise`; views are known by their schema.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import Node

from landscape_study.study.training.compiling.loops import Body
from landscape_study.study.training.compiling.lowering import (
    CHEAP,
    Lowering,
    as_value,
    cast,
    joint_kind,
)
from landscape_study.study.training.compiling.pointwise import DEAR, POINTWISE
from landscape_study.study.training.compiling.values import (
    REAL,
    Computed,
    Index,
    NotCompilableError,
    Stored,
    Value,
    constant,
    count_of,
    kind_of,
    literal,
    variable,
)

aten = torch.ops.aten
Operation = Callable[..., Any]  # of a `Call` and the arguments
OPERATIONS: dict[object, Operation] = {}


class Call:
    """One node of the graph.

    Attributes:
        lowering: what its code is added to.
        kind: of the numbers that come out, in C.
        sizes: of what comes out.
    """

    def __init__(self, lowering: Lowering, node: Node) -> None:
        self.lowering = lowering
        shown = node.meta["val"]
        self.result = shown[0] if isinstance(shown, (tuple, list)) else shown

    @property
    def kind(self) -> str:  # noqa: D102
        return kind_of(self.result.dtype)

    @property
    def sizes(self) -> tuple[int, ...]:  # noqa: D102
        return tuple(self.result.shape)


def value_of(lowering: Lowering, node: Node, *args: Any, **kwargs: Any) -> Any:
    """What a node gives, of the values of its arguments.

    Raises:
        NotCompilableError: there is no code for it.
    """
    target: Any = node.target
    if target is operator.getitem:
        return args[0][args[1]]
    if target in POINTWISE:
        return _pointwise(Call(lowering, node), target, args)
    if target in OPERATIONS:
        return OPERATIONS[target](Call(lowering, node), *args, **kwargs)
    if getattr(target, "is_view", False):
        return _view(Call(lowering, node), target, *args, **kwargs)
    raise NotCompilableError(f"the operation {target}")


def _pointwise(call: Call, target: Any, operands: Sequence[Any]) -> Value:
    operation = POINTWISE[target]
    kinds: list[str] | None = None
    if operation.joint:
        kinds = [joint_kind(operands)] * len(operands)
    elif target is aten.where.self:
        kinds = ["bool", call.kind, call.kind]
    return call.lowering.each(
        operation.expression, call.kind, call.sizes, operands, kinds, operation.cost
    )


def _view(call: Call, target: Any, value: Value, *args: Any, **kwargs: Any) -> Any:
    shown = target(torch.empty(value.sizes, device="meta"), *args, **kwargs)
    if isinstance(shown, torch.Tensor):
        return call.lowering.view(value, lambda t: target(t, *args, **kwargs))

    def part(number: int) -> Value:
        return call.lowering.view(value, lambda t: target(t, *args, **kwargs)[number])

    return [part(number) for number in range(len(shown))]


def lowers(*targets: object) -> Callable[[Operation], Operation]:
    """Let a function do these operations."""

    def noted(function: Operation) -> Operation:
        OPERATIONS.update(dict.fromkeys(targets, function))
        return function

    return noted


# ---- arithmetic with factors and bounds ---------------------------------------------------------


@lowers(aten.add.Tensor, aten.add.Scalar)
def _add(call: Call, one: Any, other: Any, alpha: float = 1) -> Value:
    form = "{0} + {1}" if alpha == 1 else f"{{0}} + {literal(alpha, call.kind)} * {{1}}"
    return call.lowering.each(form, call.kind, call.sizes, [one, other])


@lowers(aten.sub.Tensor, aten.sub.Scalar)
def _sub(call: Call, one: Any, other: Any, alpha: float = 1) -> Value:
    form = "{0} - {1}" if alpha == 1 else f"{{0}} - {literal(alpha, call.kind)} * {{1}}"
    return call.lowering.each(form, call.kind, call.sizes, [one, other])


@lowers(aten.rsub.Scalar, aten.rsub.Tensor)
def _rsub(call: Call, one: Any, other: Any, alpha: float = 1) -> Value:
    return _sub(call, other, one, alpha)


@lowers(aten.addcmul.default)
def _addcmul(call: Call, start: Any, one: Any, other: Any, value: float = 1) -> Value:
    form = (
        f"{{0}} + {literal(value, call.kind)} * {{1}} * {{2}}" if value != 1 else "{0} + {1} * {2}"
    )
    return call.lowering.each(form, call.kind, call.sizes, [start, one, other], cost=2)


@lowers(aten.addcdiv.default)
def _addcdiv(call: Call, start: Any, one: Any, other: Any, value: float = 1) -> Value:
    form = f"{{0}} + {literal(value, call.kind)} * {{1}} / {{2}}"
    return call.lowering.each(form, call.kind, call.sizes, [start, one, other], cost=3)


@lowers(aten.pow.Tensor_Scalar)
def _pow(call: Call, base: Value, exponent: float) -> Value:
    known = {
        2: ("{0} * {0}", 1),
        0.5: ("root({0})", 4),
        -1: ("1 / {0}", 2),
        3: ("{0} * {0} * {0}", 2),
    }
    form, cost = known.get(exponent, (f"pow_({{0}}, {literal(exponent, call.kind)})", DEAR))
    return call.lowering.each(form, call.kind, call.sizes, [base], cost=cost)


@lowers(aten.clamp.default, aten.clamp.Tensor)
def _clamp(call: Call, value: Any, low: Any = None, high: Any = None) -> Any:
    for bound, form in ((low, "larger({0}, {1})"), (high, "smaller({0}, {1})")):
        if bound is not None:
            value = call.lowering.each(form, call.kind, call.sizes, [value, bound])
    return value


@lowers(aten.div.Tensor_mode, aten.div.Scalar_mode)
def _div(call: Call, one: Any, other: Any, *, rounding_mode: str | None = None) -> Value:
    forms = {None: "{0} / {1}", "floor": "quotient({0}, {1})", "trunc": "std::trunc({0} / {1})"}
    if rounding_mode == "trunc" and call.kind not in REAL:
        forms["trunc"] = "{0} / {1}"  # as C has it
    return call.lowering.each(forms[rounding_mode], call.kind, call.sizes, [one, other], cost=2)


@lowers(aten.remainder.Tensor, aten.remainder.Scalar)
def _remainder(call: Call, one: Any, other: Any) -> Value:
    form = "{0} - {1} * quotient({0}, {1})"
    return call.lowering.each(form, call.kind, call.sizes, [one, other], cost=3)


# ---- the same numbers, and numbers from nowhere -------------------------------------------------


@lowers(
    aten._to_copy.default,
    aten.clone.default,
    aten.lift_fresh_copy.default,
    aten.detach.default,
    aten.alias.default,
    aten.contiguous.default,
)
def _same(call: Call, value: Value, **_: Any) -> Value:
    return cast(value, call.kind)


@lowers(aten.copy.default)
def _copy(call: Call, old: Value, new: Any, non_blocking: bool = False) -> Value:
    return call.lowering.spread(cast(as_value(new, call.kind), call.kind), call.sizes)


@lowers(aten.full.default, aten.full_like.default, aten.scalar_tensor.default, aten.fill.Scalar)
def _full(call: Call, *args: Any, **_: Any) -> Value:
    return constant(call.kind, call.sizes, literal(args[-1], call.kind))


@lowers(
    aten.empty.memory_format,
    aten.empty_like.default,
    aten.zeros.default,
    aten.zeros_like.default,
    aten.new_zeros.default,
    aten.new_empty.default,
    aten.empty_strided.default,
    aten.new_empty_strided.default,
)
def _zeros(call: Call, *_: Any, **__: Any) -> Value:
    return constant(call.kind, call.sizes, literal(0, call.kind))


@lowers(aten.ones.default, aten.ones_like.default, aten.new_ones.default)
def _ones(call: Call, *_: Any, **__: Any) -> Value:
    return constant(call.kind, call.sizes, literal(1, call.kind))


@lowers(aten.arange.start_step)
def _arange(call: Call, start: float, end: float, step: float = 1, **_: Any) -> Value:
    def element(body: Body, index: Sequence[Index]) -> str:
        number = body.number(index[0])
        form = f"{literal(start, call.kind)} + {literal(step, call.kind)} * ({call.kind}){number}"
        return body.let(call.kind, form)

    return Computed(call.kind, call.sizes, element, 2, (0,))


# ---- many numbers to one ------------------------------------------------------------------------


def _all(value: Value, dims: Any) -> list[int]:
    """The dimensions that are meant; none named is all."""
    if isinstance(dims, int):
        return [dims]
    return [*dims] if dims else [*range(len(value.sizes))]


def _collecting(how: str) -> Operation:
    def collecting(
        call: Call, value: Value, dims: Any = None, keepdim: bool = False, **_: Any
    ) -> Value:
        return call.lowering.collected(how, value, _all(value, dims), call.kind, keep=keepdim)

    return collecting


_sum = _collecting("sum")
OPERATIONS |= {
    aten.sum.dim_IntList: _sum,
    aten.sum.default: _sum,
    aten.prod.default: _collecting("prod"),
    aten.prod.dim_int: _collecting("prod"),
    aten.amax.default: _collecting("amax"),
    aten.amin.default: _collecting("amin"),
    aten.max.default: _collecting("amax"),
    aten.min.default: _collecting("amin"),
}


@lowers(aten.mean.dim, aten.mean.default)
def _mean(call: Call, value: Value, dims: Any = None, keepdim: bool = False, **_: Any) -> Value:
    total = _sum(call, value, dims, keepdim)
    count = count_of(value.sizes) // max(1, count_of(total.sizes))
    return call.lowering.each("{0} / {1}", call.kind, call.sizes, [total, count])


@lowers(aten.var.correction)
def _var(
    call: Call, value: Value, dims: Any = None, *, correction: float = 1, keepdim: bool = False
) -> Value:
    return _var_mean(call, value, dims, correction=correction, keepdim=keepdim)[0]


@lowers(aten.var_mean.correction)
def _var_mean(
    call: Call, value: Value, dims: Any = None, *, correction: float = 1, keepdim: bool = False
) -> tuple[Value, Value]:
    """In two passes."""
    lowering, meant = call.lowering, _all(value, dims)
    value = lowering.stored(value)
    total = lowering.collected("sum", value, meant, call.kind, keep=True)
    count = count_of(value.sizes) // max(1, count_of(total.sizes))
    mean = lowering.each("{0} / {1}", call.kind, total.sizes, [total, count])
    squares = lowering.each(
        "({0} - {1}) * ({0} - {1})", call.kind, value.sizes, [value, lowering.stored(mean)]
    )
    around = lowering.collected("sum", squares, meant, call.kind, keep=True)
    rest = 1.0 if correction is None else correction
    variance = lowering.each("{0} / {1}", call.kind, total.sizes, [around, max(0.0, count - rest)])
    gone = sorted({d % len(value.sizes) for d in meant}, reverse=True) if value.sizes else []
    found = [lowering.stored(one) for one in (variance, mean)]
    if keepdim:
        return found[0], found[1]
    left = [lowering.view(one, lambda t: t.squeeze(gone)) for one in found]
    return left[0], left[1]


def _truth(how: str) -> Operation:
    def truth(call: Call, value: Value, dims: Any = None, keepdim: bool = False) -> Value:
        whether = cast(value, "bool")
        return call.lowering.collected(how, whether, _all(value, dims), "bool", keep=keepdim)

    return truth


OPERATIONS |= {
    getattr(getattr(aten, how), overload): _truth(how)
    for how in ("any", "all")
    for overload in ("default", "dim", "dims")
}


def _first(
    lowering: Lowering, value: Value, dim: int | None, *, keepdim: bool, how: str
) -> tuple[Value, Value]:
    """The extreme number along a dimension, and the number of its first place."""
    if dim is None:
        value, dim, keepdim = lowering.view(value, lambda t: t.reshape(-1)), 0, False
    value = lowering.stored(value)
    dim %= len(value.sizes)
    extreme = lowering.collected(how, value, [dim], value.kind, keep=True)
    size = value.sizes[dim]

    def number(body: Body, index: Sequence[Index]) -> str:
        return body.number(index[dim])

    places = Computed("int64_t", value.sizes, number, 1, value.order)
    at = lowering.each(
        f"({{0}} == {{1}} || {{0}} != {{0}} ? {{2}} : {size})",
        "int64_t",
        value.sizes,
        [value, extreme, places],
        [value.kind, value.kind, "int64_t"],
        2,
    )
    first = lowering.collected("amin", at, [dim], "int64_t", keep=keepdim)
    left = extreme if keepdim else lowering.view(extreme, lambda t: t.squeeze(dim))
    return left, first


@lowers(aten.argmax.default)
def _argmax(call: Call, value: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    return _first(call.lowering, value, dim, keepdim=keepdim, how="amax")[1]


@lowers(aten.argmin.default)
def _argmin(call: Call, value: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    return _first(call.lowering, value, dim, keepdim=keepdim, how="amin")[1]


@lowers(aten.max.dim)
def _max(call: Call, value: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    return _first(call.lowering, value, dim, keepdim=keepdim, how="amax")


@lowers(aten.min.dim)
def _min(call: Call, value: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    return _first(call.lowering, value, dim, keepdim=keepdim, how="amin")


# ---- products of matrices -----------------------------------------------------------------------


@lowers(aten.mm.default, aten.bmm.default)
def _mm(call: Call, a: Value, b: Value) -> Value:
    return call.lowering.matrix_product(a, b)


@lowers(aten.addmm.default)
def _addmm(
    call: Call, bias: Value, a: Value, b: Value, *, beta: float = 1, alpha: float = 1
) -> Value:
    if beta == alpha == 1 and len(bias.sizes) == 1:
        return call.lowering.matrix_product(a, b, bias)
    product = call.lowering.matrix_product(a, b)
    form = f"{literal(beta, call.kind)} * {{0}} + {literal(alpha, call.kind)} * {{1}}"
    return call.lowering.each(form, call.kind, call.sizes, [bias, product], cost=2)


# ---- numbers from and to elsewhere --------------------------------------------------------------


def _row(body: Body, numbers: Value, index: Sequence[Index], rows: int) -> Index:
    """Which of so many rows a value names at an index."""
    name = cast(numbers, "int64_t").at(body, index)
    return variable(body.let("int64_t", f"row_of({name}, {rows})"))


def _aligned(index: Sequence[Index], value: Value) -> list[Index]:
    """The index of a value that is repeated along what it lacks."""
    own = index[len(index) - len(value.sizes) :]
    return [one if size > 1 else Index() for one, size in zip(own, value.sizes, strict=True)]


@lowers(aten.gather.default)
def _gather(
    call: Call, value: Value, dim: int, numbers: Value, sparse_grad: bool = False
) -> Value:
    dim %= len(value.sizes)

    def element(body: Body, index: Sequence[Index]) -> str:
        there = [*index]
        there[dim] = _row(body, numbers, index, value.sizes[dim])
        return value.at(body, there)

    return Computed(call.kind, call.sizes, element, value.cost + 2, tuple(range(len(call.sizes))))


@lowers(aten.embedding.default)
def _embedding(call: Call, weight: Value, numbers: Value, *_: Any, **__: Any) -> Value:
    return _index(call, weight, [numbers])


@lowers(aten.index_select.default)
def _index_select(call: Call, value: Value, dim: int, numbers: Value) -> Value:
    return _index(call, value, [None] * (dim % len(value.sizes)) + [numbers])


@lowers(aten.index.Tensor)
def _index(call: Call, value: Value, numbers: Sequence[Value | None]) -> Value:
    value = call.lowering.stored(value) if value.cost > CHEAP else value
    first, width = _indexed(value, numbers)
    named = [*numbers, *[None] * (len(value.sizes) - len(numbers))]

    def element(body: Body, index: Sequence[Index]) -> str:
        own, rest = index[first : first + width], [*index[:first], *index[first + width :]]
        there = []
        for one, rows in zip(named, value.sizes, strict=True):
            there.append(rest.pop(0) if one is None else _row(body, one, _aligned(own, one), rows))
        return value.at(body, there)

    return Computed(call.kind, call.sizes, element, 2, tuple(range(len(call.sizes))))


def _indexed(value: Value, numbers: Sequence[Value | None]) -> tuple[int, int]:
    """Where the dimensions of the numbers stand in what comes out, and how many they are.

    Raises:
        NotCompilableError: the numbers are masks, or stand apart.
    """
    given = [d for d, one in enumerate(numbers) if one is not None]
    if any(one is not None and one.kind not in ("int64_t", "int32_t") for one in numbers):
        raise NotCompilableError("an index by a mask")
    if given != [*range(given[0], given[-1] + 1)]:
        raise NotCompilableError("indices that stand apart")
    return given[0], max(len(one.sizes) for one in numbers if one is not None)


@lowers(aten.index_put.default)
def _index_put(
    call: Call, value: Value, numbers: Sequence[Value | None], new: Value, accumulate: bool = False
) -> Value:
    target = call.lowering.copied(value)
    first, width = _indexed(value, numbers)
    named = [*numbers, *[None] * (len(value.sizes) - len(numbers))]
    shared = torch.broadcast_shapes(*(one.sizes for one in numbers if one is not None))
    others = [size for size, one in zip(value.sizes, named, strict=True) if one is None]
    sizes = (*others[:first], *shared, *others[first:])
    new = call.lowering.stored(call.lowering.spread(cast(new, call.kind), sizes))

    def where(body: Body, index: Sequence[Index]) -> list[Index]:
        own, rest = index[first : first + width], [*index[:first], *index[first + width :]]
        return [
            rest.pop(0) if one is None else _row(body, one, _aligned(own, one), rows)
            for one, rows in zip(named, value.sizes, strict=True)
        ]

    free = len(sizes) - first - width  # dimensions after the numbers, each place of them once
    call.lowering.scatter(new, target, where, add=accumulate, apart=free > 0)
    return target


@lowers(aten.scatter.value, aten.scatter.src)
def _scatter(call: Call, value: Value, dim: int, numbers: Value, new: Any) -> Value:
    return _scattered(call, value, dim, numbers, new, add=False)


@lowers(aten.scatter_add.default)
def _scatter_add(call: Call, value: Value, dim: int, numbers: Value, new: Any) -> Value:
    return _scattered(call, value, dim, numbers, new, add=True)


def _scattered(
    call: Call, value: Value, dim: int, numbers: Value, new: Any, *, add: bool
) -> Value:
    lowering, dim = call.lowering, dim % len(value.sizes)
    target, source = lowering.copied(value), as_value(new, call.kind)
    if source.sizes:
        source = lowering.view(source, lambda t: t[tuple(slice(size) for size in numbers.sizes)])
    source = lowering.spread(cast(source, call.kind), numbers.sizes)

    def where(body: Body, index: Sequence[Index]) -> list[Index]:
        there = [*index]
        there[dim] = _row(body, numbers, index, value.sizes[dim])
        return there

    lowering.scatter(source, target, where, add=add, apart=dim < len(numbers.sizes) - 1)
    return target


@lowers(aten.cat.default)
def _cat(call: Call, parts: Sequence[Value], dim: int = 0) -> Value:
    lowering, first = call.lowering, 0
    target = lowering.new(call.kind, call.sizes)
    for part in parts:
        if count_of(part.sizes):
            own = _narrowed(lowering, target, dim, first, part.sizes[dim])
            lowering.store(cast(part, call.kind), own)
            first += part.sizes[dim]
    return target


def _narrowed(lowering: Lowering, target: Stored, dim: int, first: int, size: int) -> Stored:
    own = lowering.view(target, lambda t: t.narrow(dim, first, size))
    assert isinstance(own, Stored)
    return own


@lowers(aten.constant_pad_nd.default)
def _pad(call: Call, value: Value, pad: Sequence[int], number: float = 0) -> Value:
    lowering, ends = call.lowering, list(zip(pad[::2], pad[1::2], strict=True))

    def cut(tensor: torch.Tensor) -> torch.Tensor:
        for back, (before, after) in enumerate(ends, 1):
            size = tensor.shape[-back] + min(0, before) + min(0, after)
            tensor = tensor.narrow(-back, max(0, -before), size)
        return tensor

    value = lowering.view(value, cut)
    if call.kind in REAL and number == 0 and all(pad[back] <= 0 for back in (0, 1)):
        return _padded(call, value, [max(0, before) for before, _ in ends])
    order = value.order
    target = lowering.new(call.kind, call.sizes, order)
    lowering.store(constant(call.kind, call.sizes, literal(number, call.kind)), target, order)

    def inside(tensor: torch.Tensor) -> torch.Tensor:
        for back, (before, _) in enumerate(ends, 1):
            tensor = tensor.narrow(-back, max(0, before), value.sizes[-back])
        return tensor

    own = lowering.view(target, inside)
    assert isinstance(own, Stored)
    lowering.store(value, own, order)
    return target


def _padded(call: Call, value: Value, before: Sequence[int]) -> Value:
    """With zeros where it is read, a whole row at a time: so nothing is written to be read again.

    Args:
        before: how much stands before the value, of the last dimension first.
    """
    there = call.lowering.in_usual_order(value)
    starts = [0] * (len(there.sizes) - len(before)) + [*reversed(before)]
    wider = [d for d, size in enumerate(call.sizes) if size > there.sizes[d]]

    def element(body: Body, index: Sequence[Index]) -> str:
        place, inside = [*index], []
        for d in wider:
            row = body.number(index[d] + -starts[d])
            inside.append(body.let("bool", f"({row} >= 0 && {row} < {there.sizes[d]})"))
            place[d] = variable(body.let("int64_t", f"({inside[-1]} ? {row} : 0)"))
        found = there.at(body, place)
        every = body.let("bool", " && ".join(inside) or "true")
        return body.let(call.kind, f"kept_where({every}, {found})") if inside else found

    return Computed(call.kind, call.sizes, element, 1, tuple(range(len(call.sizes))))


@lowers(aten.slice_scatter.default)
def _slice_scatter(
    call: Call,
    value: Value,
    new: Value,
    dim: int = 0,
    start: Any = None,
    end: Any = None,
    step: int = 1,
) -> Value:
    return _written_over(call, value, new, lambda t: aten.slice.Tensor(t, dim, start, end, step))


@lowers(aten.select_scatter.default)
def _select_scatter(call: Call, value: Value, new: Value, dim: int, number: int) -> Value:
    return _written_over(call, value, new, lambda t: t.select(dim, number))


def _written_over(call: Call, value: Value, new: Value, part: Any) -> Value:
    target = call.lowering.copied(value)
    own = call.lowering.view(target, part)
    assert isinstance(own, Stored)
    call.lowering.store(cast(new, call.kind), own)
    return target


@lowers(aten.flip.default)
def _flip(call: Call, value: Value, dims: Sequence[int]) -> Value:
    turned = {d % len(value.sizes) for d in dims}

    def element(body: Body, index: Sequence[Index]) -> str:
        return value.at(
            body,
            [
                one * -1 + (value.sizes[d] - 1) if d in turned else one
                for d, one in enumerate(index)
            ],
        )

    return Computed(value.kind, value.sizes, element, value.cost, tuple(range(len(value.sizes))))
