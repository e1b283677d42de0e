"""Own formulas against PyTorch's, in float64: what comes out, and every gradient.

Letters: K cells, B batch, C channels, O channels of the output.
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional

from landscape_study.study.training.engines import formulas
from landscape_study.study.training.engines.formulas import OwnFormulas, batch_norm, convolution

pytestmark = pytest.mark.arithmetic

CELLS, BATCH, CHANNELS, OUTPUTS = 2, 3, 2, 4
CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d}


def doubles(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def with_gradients(
    function: Callable[..., Tensor],
    tensors: Sequence[Tensor],
    in_dims: Sequence[int | None] | None,
    *,
    own: bool,
) -> list[Tensor]:
    """What the function gives for the tensors, and the gradients of all of them.

    Under vmap where `in_dims` say so; by our formulas, or by PyTorch's.
    """
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    called = function if in_dims is None else vmap(function, in_dims=tuple(in_dims))
    with OwnFormulas() if own else nullcontext():
        outputs = called(*leaves)
        upstream = doubles(*outputs.shape, seed=1)
        gradients = torch.autograd.grad((outputs.sin() * upstream).sum(), leaves)
    return [outputs.detach(), *gradients]


def assert_alike(
    function: Callable[..., Tensor],
    tensors: Sequence[Tensor],
    in_dims: Sequence[int | None] | None = None,
) -> None:
    """Ours against PyTorch's own, to 1e-12."""
    pairs = zip(
        with_gradients(function, tensors, in_dims, own=True),
        with_gradients(function, tensors, in_dims, own=False),
        strict=True,
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


# ---- convolutions -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """Of a convolution: sizes of its inputs and kernel, and how the kernel moves over them."""

    inputs: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: int | tuple[int, ...]
    padding: int | tuple[int, ...]

    def function(self, *, bias: bool) -> Callable[..., Tensor]:
        """Of inputs, weight and perhaps bias."""
        called = CONVOLUTIONS[len(self.inputs)]

        def convolve(*tensors: Tensor) -> Tensor:
            inputs, weight, *more = tensors
            return called(inputs, weight, more[0] if bias else None, self.stride, self.padding)

        return convolve

    def tensors(self, *, shared: bool, stacked: bool, bias: bool) -> list[Tensor]:
        """Inputs, weights and perhaps biases, those of each cell where they are stacked."""
        cells = (CELLS,) if stacked else ()
        of_inputs = () if shared else cells
        found = [
            doubles(*of_inputs, BATCH, CHANNELS, *self.inputs),
            doubles(*cells, OUTPUTS, CHANNELS, *self.kernel),
        ]
        return [*found, doubles(*cells, OUTPUTS)] if bias else found


SHAPES = {
    "1D": Shape((9,), (3,), 1, 0),
    "1D, as the tasks have it": Shape((9,), (5,), 2, 1),
    "1D, beyond the inputs": Shape((2,), (4,), (1,), (3,)),
    "1D, one tap": Shape((5,), (1,), 1, 0),
    "1D, one position": Shape((3,), (3,), 1, 0),
    "2D": Shape((5, 5), (3, 3), 1, 1),
    "2D, strides leave a rest": Shape((6, 6), (3, 3), 2, 0),
    "2D, steps over the kernel": Shape((7, 7), (2, 2), 3, 0),
    "2D, no square": Shape((4, 7), (2, 3), (1, 2), (0, 2)),
    "2D, one tap, as a shortcut": Shape((4, 4), (1, 1), 2, 0),
    "1D, sees padding only": Shape((1,), (1,), 2, 1),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
class TestConvolution:
    def test_alone(self, shape: Shape, bias: bool):
        tensors = shape.tensors(shared=True, stacked=False, bias=bias)
        assert_alike(shape.function(bias=bias), tensors)

    def test_of_many_cells_on_the_same_inputs(self, shape: Shape, bias: bool):
        tensors = shape.tensors(shared=True, stacked=True, bias=bias)
        assert_alike(shape.function(bias=bias), tensors, (None, 0, 0)[: len(tensors)])

    def test_of_many_cells_on_their_own_inputs(self, shape: Shape, bias: bool):
        tensors = shape.tensors(shared=False, stacked=True, bias=bias)
        assert_alike(shape.function(bias=bias), tensors, (0, 0, 0)[: len(tensors)])


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Anything that leaves at least one output position."""
    n = draw(st.integers(1, 2))
    sizes = st.tuples(*[st.integers(1, 6)] * n)
    kernel, padding = draw(sizes), draw(st.tuples(*[st.integers(0, 3)] * n))
    inputs = tuple(
        max(size, k - 2 * p) for size, k, p in zip(draw(sizes), kernel, padding, strict=True)
    )
    return Shape(inputs, kernel, draw(st.tuples(*[st.integers(1, 4)] * n)), padding)


@given(shape=shapes(), shared=st.booleans())
def test_convolutions_of_any_shape(shape: Shape, shared: bool):
    tensors = shape.tensors(shared=shared, stacked=True, bias=False)
    assert_alike(shape.function(bias=False), tensors, (None if shared else 0, 0))


def test_cells_may_lie_along_any_dimension():
    inputs, weight = doubles(BATCH, CELLS, CHANNELS, 9), doubles(OUTPUTS, CHANNELS, 3, CELLS)
    assert_alike(functional.conv1d, (inputs, weight), (1, 3))


def test_weights_that_all_cells_share():
    inputs, weight = doubles(CELLS, BATCH, CHANNELS, 9), doubles(OUTPUTS, CHANNELS, 3)
    assert_alike(functional.conv1d, (inputs, weight), (0, None))


def test_inputs_that_ask_for_no_gradient_cost_none(monkeypatch: pytest.MonkeyPatch):
    """The first layer's: its columns are never summed."""

    def summed(*arguments: object) -> None:
        raise AssertionError("summed in vain")

    monkeypatch.setattr(formulas.Summed, "apply", summed)
    inputs, weight = doubles(BATCH, CHANNELS, 9), doubles(CELLS, OUTPUTS, CHANNELS, 3)
    weight.requires_grad_()
    with OwnFormulas():
        outputs = vmap(functional.conv1d, in_dims=(None, 0))(inputs, weight)
    (found,) = torch.autograd.grad(outputs.sum(), weight)
    expected = inputs.unfold(2, 3, 1).sum(dim=(0, 2))  # [C, T]
    torch.testing.assert_close(found, expected.expand_as(found), rtol=1e-12, atol=1e-12)


def test_the_batch_lies_last_in_memory():
    with OwnFormulas():
        outputs = functional.conv2d(
            doubles(BATCH, CHANNELS, 5, 5), doubles(OUTPUTS, CHANNELS, 3, 3)
        )
    assert outputs.shape == (BATCH, OUTPUTS, 3, 3)
    assert outputs.movedim(0, -1).is_contiguous()


@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_a_layer_of_a_network_goes_by_it_too(mode: str, monkeypatch: pytest.MonkeyPatch):
    called = []
    monkeypatch.setitem(
        formulas.OWN,
        torch.conv2d,
        lambda *arguments: called.append(arguments) or convolution(*arguments),
    )
    layer = nn.Conv2d(CHANNELS, OUTPUTS, 3, padding=1, padding_mode=mode).double()
    inputs = doubles(BATCH, CHANNELS, 5, 5)
    expected = layer(inputs)
    assert called == []
    with OwnFormulas():
        torch.testing.assert_close(layer(inputs), expected, rtol=1e-12, atol=1e-12)
    assert len(called) == 1


DECLINED = {
    "groups": ((BATCH, 4, 9), {"groups": 2}),
    "dilation": ((BATCH, 2, 9), {"dilation": 2}),
    "padding in words": ((BATCH, 2, 9), {"padding": "same"}),
    "no batch": ((2, 9), {}),
}


@pytest.mark.parametrize(("inputs", "options"), DECLINED.values(), ids=DECLINED)
def test_what_convolutions_decline_is_done_by_pytorch(inputs: tuple[int, ...], options: dict):
    tensors = doubles(*inputs), doubles(OUTPUTS, 2, 3)
    assert convolution(*tensors, **options) is NotImplemented
    with OwnFormulas():
        found = functional.conv1d(*tensors, **options)
    assert torch.equal(found, functional.conv1d(*tensors, **options))


def test_under_autocast_it_rounds_as_pytorch_does():
    tensors = doubles(BATCH, CHANNELS, 5, 5).float(), doubles(OUTPUTS, CHANNELS, 3, 3).float()
    with torch.autocast("cpu", torch.bfloat16):
        expected = functional.conv2d(*tensors)
        with OwnFormulas():
            found = functional.conv2d(*tensors)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, rtol=2**-7, atol=2**-7)


# ---- batch norm ---------------------------------------------------------------------------------


def normed(
    inputs: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    *,
    training: bool,
    affine: bool = True,
) -> Tensor:
    """Batch norm with another momentum and ε than usual."""
    parameters = (weight, bias) if affine else (None, None)
    return functional.batch_norm(inputs, mean, variance, *parameters, training, 0.3, 1e-3)


def normed_step(
    positions: tuple[int, ...], *, stacked: bool, own: bool, **options: bool
) -> list[Tensor]:
    """Outputs, gradients, and the running statistics after it."""
    cells = (CELLS,) if stacked else ()
    mean, variance, weight, bias = (doubles(*cells, CHANNELS, seed=seed) for seed in range(3, 7))
    variance = variance.square() + 0.1
    leaves = [doubles(*cells, BATCH, CHANNELS, *positions), weight, bias]
    leaves = [leaf.requires_grad_() for leaf in leaves]

    def function(inputs: Tensor, weight: Tensor, bias: Tensor, *statistics: Tensor) -> Tensor:
        outputs = normed(inputs, *statistics, weight, bias, **options)
        return outputs + 0 * (weight.sum() + bias.sum())  # so that each has a gradient

    with OwnFormulas() if own else nullcontext():
        outputs = (vmap(function) if stacked else function)(*leaves, mean, variance)
        upstream = doubles(*outputs.shape, seed=1)
        gradients = torch.autograd.grad((outputs * upstream).sum(), leaves)
    return [outputs.detach(), *gradients, mean, variance]


@pytest.mark.parametrize("positions", [(5,), (4, 3)], ids=["1D", "2D"])
@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "test"])
@pytest.mark.parametrize("stacked", [True, False], ids=["cells", "alone"])
def test_batch_norm_with_its_running_statistics(
    positions: tuple[int, ...], affine: bool, training: bool, stacked: bool
):
    ours, theirs = (
        normed_step(positions, stacked=stacked, own=own, training=training, affine=affine)
        for own in (True, False)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_running_statistics_of_all_cells_move_at_once():
    """Without vmap's warning, an error here, that it does an operation cell by cell."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normed_step((5,), stacked=True, own=True, training=True, affine=True)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_without_running_statistics_always_takes_the_batchs(training: bool):
    def function(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return normed(inputs, None, None, weight, bias, training=True)

    tensors = (
        doubles(CELLS, BATCH, CHANNELS, 5),
        doubles(CELLS, CHANNELS),
        doubles(CELLS, CHANNELS),
    )
    assert_alike(function, tensors, (0, 0, 0))
    found = batch_norm(tensors[0][0], None, None, training=training)
    torch.testing.assert_close(
        found, functional.batch_norm(tensors[0][0], None, None, training=True)
    )


def test_batch_norm_of_inputs_that_all_cells_share():
    def function(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return normed(inputs, None, None, weight, bias, training=True)

    tensors = doubles(BATCH, CHANNELS, 5), doubles(CELLS, CHANNELS), doubles(CELLS, CHANNELS)
    assert_alike(function, tensors, (None, 0, 0))


def test_batch_norm_of_single_values_is_left_to_pytorch():
    inputs, mean, variance = doubles(BATCH, CHANNELS), doubles(CHANNELS), torch.ones(CHANNELS)
    assert batch_norm(inputs, mean, variance, training=True) is NotImplemented
    with OwnFormulas():
        found = functional.batch_norm(inputs, None, None, training=True)
    assert torch.equal(found, functional.batch_norm(inputs, None, None, training=True))


def test_one_value_a_channel_is_refused_as_pytorch_refuses_it():
    for statistics in ((None, None), (torch.zeros(CHANNELS), torch.ones(CHANNELS))):
        with OwnFormulas(), pytest.raises(ValueError, match="Expected more than 1 value"):
            functional.batch_norm(torch.ones(1, CHANNELS, 1), *statistics, training=True)


def test_outside_of_it_everything_is_pytorchs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formulas, "OWN", {})
    inputs, weight = doubles(BATCH, CHANNELS, 5, 5), doubles(OUTPUTS, CHANNELS, 3, 3)
    expected = functional.conv2d(inputs, weight)
    with OwnFormulas():
        assert torch.equal(functional.conv2d(inputs, weight), expected)
