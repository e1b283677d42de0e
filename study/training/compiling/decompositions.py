"""Operations of ATen taken apart into others: by PyTorch's own formulas, and by ours for pooling.

Letters: N examples, C channels, … positions, T places of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.nn import functional

from landscape_study.study.training.compiling.values import NotCompilableError

aten = torch.ops.aten

# Beyond PyTorch's list of what its compilers take apart.
ALSO = (
    aten._log_softmax,
    aten._log_softmax_backward_data,
    aten._softmax,
    aten._softmax_backward_data,
    aten.elu,
    aten.gelu,
    aten.gelu_backward,
    aten.hardtanh,
    aten.leaky_relu,
    aten.linalg_vector_norm,
    aten.native_batch_norm,
    aten.native_batch_norm_backward,
    aten.native_group_norm,
    aten.native_layer_norm,
    aten.repeat,
)


def table() -> dict[Any, Callable[..., Any]]:
    """All of them, by operation; not what draws random numbers, since others would come of it."""
    found = {**core_aten_decompositions(), **get_decompositions([*ALSO]), **OWN}
    drawing = torch.Tag.nondeterministic_seeded
    return {one: formula for one, formula in found.items() if drawing not in one.tags}


def max_pool(
    inputs: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """The largest of each window, and where it stands among the positions of its channel."""
    if ceil_mode or set(dilation) != {1}:
        raise NotCompilableError("pooling of windows with gaps, or beyond the edge")
    pads = _pair(padding)
    padded = functional.pad(inputs, _around(pads), value=-torch.inf)
    windows = _windows(padded, kernel, stride).flatten(-2)
    largest, place = windows.max(dim=-1)
    rows, columns = (
        torch.arange(n) * s - p
        for n, s, p in zip(largest.shape[-2:], _strides(kernel, stride), pads, strict=True)
    )
    width = _pair(kernel)[1]
    row = rows[:, None] + place.div(width, rounding_mode="floor")
    column = columns + place.remainder(width)
    return largest, row * inputs.shape[-1] + column


def max_pool_backward(
    gradient: Tensor,
    inputs: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    places: Tensor,
) -> Tensor:
    """Each input that was the largest of a window has the gradient of that."""
    zeros = torch.zeros_like(inputs).flatten(-2)
    return zeros.scatter_add(-1, places.flatten(-2), gradient.flatten(-2)).view(inputs.shape)


def avg_pool(
    inputs: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window."""
    padded = functional.pad(inputs, _around(_pair(padding)))
    share = _shares(
        inputs, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
    return _windows(padded, kernel, stride).sum((-2, -1)) * share


def avg_pool_backward(
    gradient: Tensor,
    inputs: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    """Each input has its share of the gradients of the windows that it stands in."""
    share = _shares(
        inputs, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
    spread, pads = gradient * share, _pair(padding)
    padded = functional.pad(torch.zeros_like(inputs), _around(pads))
    (down, right), (high, wide) = _strides(kernel, stride), _pair(kernel)
    rows, columns = gradient.shape[-2:]
    for i in range(high):
        for j in range(wide):
            there = padded[..., i : i + down * rows : down, j : j + right * columns : right]
            there.add_(spread)
    rows, columns = inputs.shape[-2:]
    return padded.narrow(-2, pads[0], rows).narrow(-1, pads[1], columns).clone()


def _shares(
    inputs: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor | float:
    """What each input of a window counts for in its mean."""
    if ceil_mode:
        raise NotCompilableError("pooling of windows beyond the edge")
    high, wide = _pair(kernel)
    if divisor_override or count_include_pad or not any(padding):
        return 1 / (divisor_override or high * wide)
    ones = functional.pad(inputs.new_ones(inputs.shape[-2:]), _around(_pair(padding)))
    return 1 / _windows(ones, kernel, stride).sum((-2, -1))


def _windows(padded: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """[…, rows, columns] to […, windows down, windows right, high, wide]."""
    (high, wide), (down, right) = _pair(kernel), _strides(kernel, stride)
    return padded.unfold(-2, high, down).unfold(-2, wide, right)


def _pair(sizes: Sequence[int]) -> tuple[int, int]:
    return (sizes[0], sizes[-1])


def _strides(kernel: Sequence[int], stride: Sequence[int]) -> tuple[int, int]:
    return _pair(stride or kernel)


def _around(pads: tuple[int, int]) -> list[int]:
    return [pads[1], pads[1], pads[0], pads[0]]


OWN: dict[Any, Callable[..., Any]] = {
    aten.max_pool2d_with_indices.default: max_pool,
    aten.max_pool2d_with_indices_backward.default: max_pool_backward,
    aten.avg_pool2d.default: avg_pool,
    aten.avg_pool2d_backward.default: avg_pool_backward,
}
