"""Own formulas for layers that PyTorch's kernels do slowly for many small networks at once.

Letters: B batch, C channels, O channels of the output, S positions (…: one or more dimensions),
T taps of a convolution's kernel.

Under vmap a convolution becomes a grouped one, which no library does well. Here it is one matrix
product a cell, [O, C·T] @ [C·T, S·B], and what it gives lies in memory as [O, S, B]: with the
batch last, taps are gathered and results are summed in runs of B values, whatever the stride, and
batch norm reduces over contiguous rows. The tensors that the network sees have their usual shapes.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Sizes = tuple[int, ...]


class OwnFormulas(TorchFunctionMode):
    """Within it, convolutions and batch norms over positions go by this file's formulas."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Ours where there is one for these arguments, else PyTorch's."""
        own = OWN.get(func)
        found = own(*args, **(kwargs or {})) if own else NotImplemented
        return func(*args, **(kwargs or {})) if found is NotImplemented else found


def convolution(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """As torch.nn.functional.conv1d and conv2d: [B, C, …] by [O, C, …] to [B, O, …].

    Not for groups, dilation or padding in words.
    """
    n = weight.ndim - 2
    if isinstance(padding, str) or groups != 1 or _each(dilation, n) != (1,) * n:
        return NotImplemented
    if inputs.ndim != n + 2:  # a single example
        return NotImplemented
    inputs, weight = _cast(inputs), _cast(weight)
    geometry = Geometry(tuple(inputs.shape[2:]), weight.shape[2:], stride, padding)
    columns = Columns.apply(inputs, geometry)
    product = Product.apply(weight.flatten(1), columns)
    outputs = product.view(len(weight), *geometry.outputs, len(inputs)).movedim(-1, 0)
    return outputs if bias is None else outputs + bias.view(-1, *(1,) * n)


def batch_norm(
    inputs: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """As torch.nn.functional.batch_norm on [B, C, …]; not on [B, C], which PyTorch does well."""
    count = _positions(inputs)
    if inputs.ndim < 3 or count == 1:  # PyTorch knows when to refuse a single value
        return NotImplemented
    shape = (-1, *(1,) * (inputs.ndim - 2))
    if training or running_mean is None or running_var is None:
        outputs, mean, variance = Normalized.apply(inputs, eps)
        if running_mean is not None and running_var is not None:
            unbiased = momentum * count / (count - 1)
            with torch.no_grad():  # not by lerp_, which vmap does cell by cell (torch 2.13)
                running_mean.mul_(1 - momentum).add_(mean.view(-1), alpha=momentum)
                running_var.mul_(1 - momentum).add_(variance.view(-1), alpha=unbiased)
    else:
        scale = (running_var + eps).rsqrt()
        outputs = (inputs - running_mean.view(shape)) * scale.view(shape)
    if weight is not None:
        outputs = outputs * weight.view(shape)
    return outputs if bias is None else outputs + bias.view(shape)


OWN: dict[Any, Callable[..., Tensor]] = {
    torch.conv1d: convolution,
    torch.conv2d: convolution,
    functional.batch_norm: batch_norm,
}


class Geometry:
    """Where the taps of a convolution lie: sizes of the inputs, the kernel and the outputs."""

    def __init__(
        self,
        inputs: Sizes,
        kernel: Sequence[int],
        stride: int | Sequence[int],
        padding: int | Sequence[int],
    ) -> None:
        n = len(inputs)
        self.inputs, self.kernel = inputs, tuple(kernel)
        self.stride, self.padding = _each(stride, n), _each(padding, n)
        self.outputs = tuple(
            (size + 2 * p - k) // s + 1
            for size, k, s, p in zip(
                self.inputs, self.kernel, self.stride, self.padding, strict=True
            )
        )

    @property
    def taps(self) -> int:
        """T."""
        return math.prod(self.kernel)

    def sources(self) -> np.ndarray:
        """Which of T·S column rows each input position is summed from, [most of them, positions].

        Positions with fewer are filled up with T·S, the number of a row of zeros.
        """
        return _sources(self.inputs, self.kernel, self.stride, self.padding, self.outputs)


@functools.cache
def _sources(
    inputs: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, outputs: Sizes
) -> np.ndarray:
    rows: list[list[int]] = []
    count = math.prod(outputs)
    for position in itertools.product(*map(range, inputs)):
        found = []
        for tap, offset in enumerate(itertools.product(*map(range, kernel))):
            steps = [
                divmod(x + p - o, s)
                for x, p, o, s in zip(position, padding, offset, stride, strict=True)
            ]
            inside = all(0 <= q < size for (q, _), size in zip(steps, outputs, strict=True))
            if inside and not any(rest for _, rest in steps):
                place = np.ravel_multi_index([q for q, _ in steps], outputs)
                found.append(tap * count + int(place))
        rows.append(found)
    most = max(map(len, rows)) or 1  # strides may step over all inputs
    return np.array([row + [math.prod(kernel) * count] * (most - len(row)) for row in rows]).T


class Columns(Function):
    """[B, C, …] to [C·T, S·B]: what each tap of the kernel sees at each output position."""

    @staticmethod
    def forward(inputs: Tensor, geometry: Geometry) -> Tensor:
        """By unfolding the padded inputs, [C, …, B]."""
        n = len(geometry.kernel)
        padding = [0, 0, *(p for size in reversed(geometry.padding) for p in (size, size))]
        windows = functional.pad(inputs.movedim(0, -1), padding)
        for i in range(n):
            windows = windows.unfold(1 + i, geometry.kernel[i], geometry.stride[i])
        taps, positions = range(2 + n, 2 + 2 * n), range(1, 2 + n)  # the batch stays last
        return windows.permute(0, *taps, *positions).reshape(inputs.shape[1] * geometry.taps, -1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Geometry], output: Tensor) -> None:
        """Only sizes are needed."""
        ctx.shape, ctx.geometry = inputs[0].shape, inputs[1]

    @staticmethod
    def vmap(info: Any, in_dims: Any, inputs: Tensor, geometry: Geometry) -> tuple[Tensor, Any]:
        """Channels are independent, so cells are more channels."""
        if in_dims[0] is None:
            return Columns.apply(inputs, geometry), None
        stacked = inputs.movedim(in_dims[0], 1)  # [B, K, C, …]
        cells = stacked.shape[1]
        columns = Columns.apply(stacked.flatten(1, 2), geometry)
        return columns.view(cells, -1, columns.shape[-1]), 0

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Each input's gradient is the sum over the columns it stands in."""
        return Summed.apply(gradient, ctx.shape, ctx.geometry), None


class Summed(Function):
    """The transpose of `Columns`: [C·T, S·B] to [B, C, …]."""

    @staticmethod
    def forward(columns: Tensor, shape: Sizes, geometry: Geometry) -> Tensor:
        """Gathers runs of B values: a few for each position, and never two writes to one place."""
        batch, channels = shape[:2]
        rows = functional.pad(columns.view(channels, -1, batch), [0, 0, 0, 1])
        sources = [torch.tensor(s, device=columns.device) for s in geometry.sources()]
        total = rows[:, sources[0]]
        for source in sources[1:]:
            total = total + rows[:, source]
        return total.view(channels, *geometry.inputs, batch).movedim(-1, 0)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        """Nobody differentiates twice."""

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, columns: Tensor, shape: Sizes, geometry: Geometry
    ) -> tuple[Tensor, int]:
        """Cells are more channels."""
        stacked = columns.movedim(in_dims[0], 0)
        cells, (batch, channels) = len(stacked), shape[:2]
        summed = Summed.apply(stacked.flatten(0, 1), (batch, cells * channels), geometry)
        return summed.view(batch, cells, channels, *geometry.inputs), 1


class Product(Function):
    """Weights [O, R] times columns [R, N]; the inputs' part of the gradient only where wanted."""

    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, columns: Tensor) -> Tensor:
        """The product, [O, N]."""
        return weight @ columns

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Both factors are needed."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        """The gradients of both factors."""
        weight, columns = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1]
        return gradient @ columns.t(), weight.t() @ gradient if wanted else None


class Normalized(Function):
    """[B, C, …] less each channel's mean and over its deviation; and mean and variance."""

    generate_vmap_rule = True

    @staticmethod
    def forward(inputs: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        """In two passes: torch.var_mean is many times slower on a CPU (torch 2.13)."""
        inputs = inputs.to(torch.promote_types(inputs.dtype, torch.float32))  # under autocast
        dims, count = _all_but_channels(inputs), _positions(inputs)
        mean = inputs.sum(dims, keepdim=True) / count
        centred = inputs - mean
        variance = (centred * centred).sum(dims, keepdim=True) / count
        return centred * (variance + eps).rsqrt(), mean, variance

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, float], output: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        """The result itself is needed, and the deviation."""
        normal, mean, variance = output
        ctx.eps = inputs[1]
        ctx.save_for_backward(normal, variance)
        ctx.mark_non_differentiable(mean, variance)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None]:
        """(g − mean g − x̂·mean(g·x̂)) / deviation."""
        normal, variance = ctx.saved_tensors
        gradient = gradient.to(normal.dtype)
        dims, count = _all_but_channels(gradient), _positions(gradient)
        mean = gradient.sum(dims, keepdim=True) / count
        along = (gradient * normal).sum(dims, keepdim=True) / count
        return (gradient - mean - normal * along) * (variance + ctx.eps).rsqrt(), None


def _cast(tensor: Tensor) -> Tensor:
    """As autocast would have it for a matrix product; our own functions must see to it."""
    kind = tensor.device.type
    enabled = torch.is_autocast_enabled(kind)
    return tensor.to(torch.get_autocast_dtype(kind)) if enabled else tensor


def _all_but_channels(inputs: Tensor) -> list[int]:
    return [dim for dim in range(inputs.ndim) if dim != 1]


def _positions(inputs: Tensor) -> int:
    """Values of each channel."""
    return inputs.numel() // inputs.shape[1]


def _each(value: int | Sequence[int], n: int) -> Sizes:
    """One number for each of `n` dimensions."""
    sizes = (value,) * n if isinstance(value, int) else tuple(value)
    return sizes * n if len(sizes) == 1 else sizes
