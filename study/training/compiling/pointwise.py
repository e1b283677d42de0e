"""What is done with each number alone: ATen's names and C's.

`{0}`, `{1}` … are the operands, in the kind of the result where not said otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

aten = torch.ops.aten


class Pointwise(NamedTuple):
    """One operation.

    Attributes:
        expression: of the operands.
        cost: about how many plain operations it takes.
        joint: whether the operands have a kind of their own in common, as those of comparisons.
    """

    expression: str
    cost: int = 1
    joint: bool = False


_COMPARED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_BITS = {"and": "&", "or": "|", "xor": "^"}
DEAR = 8  # what a function of the mathematical library costs

POINTWISE: dict[object, Pointwise] = {
    aten.neg.default: Pointwise("-{0}"),
    aten.abs.default: Pointwise("absolute({0})"),
    aten.sign.default: Pointwise("sign_of({0})"),
    aten.relu.default: Pointwise("({0} < 0 ? 0 : {0})"),  # NaN stays NaN
    aten.reciprocal.default: Pointwise("1 / {0}", 2),
    aten.square.default: Pointwise("{0} * {0}"),
    aten.sqrt.default: Pointwise("root({0})", 4),
    aten.rsqrt.default: Pointwise("1 / root({0})", 4),
    aten.exp.default: Pointwise("exp_({0})", DEAR),
    aten.expm1.default: Pointwise("std::expm1({0})", DEAR),
    aten.log.default: Pointwise("log_({0})", DEAR),
    aten.log2.default: Pointwise("std::log2({0})", DEAR),
    aten.log1p.default: Pointwise("std::log1p({0})", DEAR),
    aten.sin.default: Pointwise("sin_({0})", DEAR),
    aten.cos.default: Pointwise("cos_({0})", DEAR),
    aten.tanh.default: Pointwise("tanh_({0})", DEAR),
    aten.erf.default: Pointwise("erf_({0})", DEAR),
    aten.sigmoid.default: Pointwise("1 / (1 + exp_(-{0}))", DEAR),
    aten.floor.default: Pointwise("std::floor({0})"),
    aten.ceil.default: Pointwise("std::ceil({0})"),
    aten.round.default: Pointwise("std::nearbyint({0})"),
    aten.trunc.default: Pointwise("std::trunc({0})"),
    aten.isnan.default: Pointwise("({0} != {0})", joint=True),
    aten.isinf.default: Pointwise("(absolute({0}) == INFINITY)", joint=True),
    aten.logical_not.default: Pointwise("({0} == 0)", joint=True),
    aten.bitwise_not.default: Pointwise("inverse({0})"),
    aten.fmod.Tensor: Pointwise("rest({0}, {1})", 4),
    aten.fmod.Scalar: Pointwise("rest({0}, {1})", 4),
    aten.mul.Tensor: Pointwise("{0} * {1}"),
    aten.mul.Scalar: Pointwise("{0} * {1}"),
    aten.div.Tensor: Pointwise("{0} / {1}", 2),
    aten.div.Scalar: Pointwise("{0} / {1}", 2),
    aten.maximum.default: Pointwise("larger({0}, {1})"),
    aten.minimum.default: Pointwise("smaller({0}, {1})"),
    aten.pow.Tensor_Tensor: Pointwise("pow_({0}, {1})", DEAR),
    aten.pow.Scalar: Pointwise("pow_({0}, {1})", DEAR),
    aten.atan2.default: Pointwise("std::atan2({0}, {1})", DEAR),
    aten.where.self: Pointwise("({0} ? {1} : {2})"),
    aten.logical_and.default: Pointwise("({0} != 0) & ({1} != 0)", joint=True),
    aten.logical_or.default: Pointwise("({0} != 0) | ({1} != 0)", joint=True),
    aten.logical_xor.default: Pointwise("({0} != 0) != ({1} != 0)", joint=True),
}
for _name, _sign in _COMPARED.items():
    for _overload in ("Tensor", "Scalar"):
        _operation = getattr(getattr(aten, _name), _overload)
        POINTWISE[_operation] = Pointwise(f"({{0}} {_sign} {{1}})", joint=True)
for _name, _sign in _BITS.items():
    for _overload in ("Tensor", "Scalar"):
        POINTWISE[getattr(getattr(aten, f"bitwise_{_name}"), _overload)] = Pointwise(
            f"({{0}} {_sign} {{1}})"
        )
