"""A cell's whole training in JAX, for `jax.vmap`: a scan over epochs of a scan over steps.

Tried on a CPU and kept, since it was faster: the batch as the last axis, so that products have
many columns; sums over it as products with ones, since XLA's own sums of rows are not vectorized;
batch norm's gradient written out; convolutions as strided slices and one product.

Letters: B batch, C channels (or features), O outputs, S positions (none for vectors), E epochs,
N steps of an epoch, T parts of the test set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

MOMENTUM, BETA1, BETA2, EPS = 0.9, 0.9, 0.999, 1e-8
NORM_EPS, NORM_MOMENTUM = 1e-5, 0.1  # torch's own of batch norm

Layers = list[tuple[Array, ...]]  # weight and, where there is one, bias of each
Statistics = list[tuple[Array, Array]]  # running mean and variance of each batch norm, [C]
Convolution = Callable[[Array, Array], Array]


def program(rule: str, convolution: str) -> Callable[..., tuple[Array, Array]]:
    """`train` of many cells at once: α, λ of `l2` and of `decoupled` as vectors."""
    train = make_training(rule, CONVOLUTIONS[convolution])
    return jax.jit(jax.vmap(train, in_axes=(None, None, 0, 0, 0, None, None)))


def make_training(rule: str, convolve: Convolution) -> Callable[..., tuple[Array, Array]]:
    """The training of one cell.

    Both placements of λ in one program: `l2` adds l2·θ to the gradient, `decoupled` takes
    η·decay·θ off the parameters, and one of the two is 0.
    """

    def step(alpha: Array, l2: Array, decay: Array, state: Any, batch: Any) -> Any:
        layers, statistics, m, v = state
        inputs, targets, eta, correction1, correction2 = batch

        def loss(layers: Layers) -> tuple[Array, tuple[Array, Statistics]]:
            outputs, new = forward(layers, statistics, inputs, convolve, training=True)
            total = cross_entropy(outputs, targets)
            return total / targets.sum(), (total, new)

        gradients, (total, statistics) = jax.grad(loss, has_aux=True)(layers)
        gradients = jax.tree.map(lambda g, p: g + l2 * p, gradients, layers)
        if rule == "sgd":
            m = jax.tree.map(lambda m, g: MOMENTUM * m + eta * alpha * g, m, gradients)
            layers = jax.tree.map(lambda p, m: p - m - eta * decay * p, layers, m)
            return (layers, statistics, m, v), total
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradients)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, gradients)
        rate = eta * alpha / correction1
        layers = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v / correction2) + EPS) - eta * decay * p,
            *(layers, m, v),
        )
        return (layers, statistics, m, v), total

    def train(
        layers: Layers,
        statistics: Statistics,
        alpha: Array,
        l2: Array,
        decay: Array,
        batches: tuple[Array, ...],  # [E, N, …] of each of `step`
        test: tuple[Array, Array],  # [T, …]: inputs and targets
    ) -> tuple[Array, Array]:
        """Sum of the train losses, and how many test examples were right, each [E]."""

        def epoch(state: Any, batches: tuple[Array, ...]) -> tuple[Any, tuple[Array, Array]]:
            state, losses = lax.scan(lambda s, b: step(alpha, l2, decay, s, b), state, batches)
            return state, (losses.sum(), count_right(state[0], state[1], test, convolve))

        zeros = jax.tree.map(jnp.zeros_like, layers)
        state = (layers, statistics, zeros, zeros if rule == "adam" else ())
        return lax.scan(epoch, state, batches)[1]

    return train


def forward(
    layers: Layers,
    statistics: Statistics,
    inputs: Array,  # [C, S, B]
    convolve: Convolution,
    *,
    training: bool,
) -> tuple[Array, Statistics]:
    """The outputs, [O, B], and the new running statistics."""
    h, new = inputs, []
    for i, layer in enumerate(layers[:-1]):
        h = convolve(h, *layer) if h.ndim > 2 else linear(h, *layer)
        if statistics:
            h, both = normalize(h, statistics[i], training)
            new.append(both)
        h = jnp.maximum(h, 0)
    return linear(h.mean(axis=tuple(range(1, h.ndim - 1))), *layers[-1]), new


def linear(h: Array, weight: Array, bias: Array) -> Array:
    """[C, B] to [O, B] by a weight [O, C]."""
    return weight @ h + bias[:, None]


def convolve_by_lax(h: Array, weight: Array) -> Array:
    """Three wide, of stride 2, by XLA's own convolution; weight [O, C, 3, …] as torch has it."""
    d = h.ndim - 2
    places = "HW"[:d]
    layouts = (f"C{places}N", f"OI{places}", f"C{places}N")
    return lax.conv_general_dilated(h, weight, (2,) * d, [(1, 1)] * d, dimension_numbers=layouts)


def convolve_by_slices(h: Array, weight: Array) -> Array:
    """The same as one product with a slice of the inputs for each place in the kernel."""
    d = h.ndim - 2
    lengths = [(n + 1) // 2 for n in h.shape[1:-1]]
    padded = jnp.pad(h, [(0, 0), *[(1, 1)] * d, (0, 0)])
    columns = jnp.concatenate(
        [
            padded[:, *(slice(o, o + 2 * n - 1, 2) for o, n in zip(at, lengths, strict=True))]
            for at in np.ndindex(*[3] * d)
        ]
    )
    flat = jnp.moveaxis(weight, 1, -1).reshape(len(weight), -1)
    return (flat @ columns.reshape(len(columns), -1)).reshape(-1, *columns.shape[1:])


CONVOLUTIONS = {"lax": convolve_by_lax, "slices": convolve_by_slices}


def normalize(
    h: Array, running: tuple[Array, Array], training: bool
) -> tuple[Array, tuple[Array, Array]]:
    """Batch norm without parameters of its own, and its running statistics as torch has them."""
    if not training:
        mean, variance = running
        return (h - _wide(mean, h)) * _wide(lax.rsqrt(variance + NORM_EPS), h), running
    h, mean, variance = batch_norm(h)
    unbiased = variance * (h[0].size / (h[0].size - 1))
    new = [(1 - NORM_MOMENTUM) * old for old in running]
    return h, (new[0] + NORM_MOMENTUM * mean, new[1] + NORM_MOMENTUM * unbiased)


@jax.custom_vjp
def batch_norm(h: Array) -> tuple[Array, Array, Array]:
    """H of mean 0 and variance 1, and what its mean and variance were, each [C]."""
    return _batch_norm(h)[0]


def _batch_norm(h: Array) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
    mean = _mean(h)
    variance = jnp.maximum(_mean(h * h) - mean * mean, 0)
    scale = lax.rsqrt(variance + NORM_EPS)
    normal = (h - _wide(mean, h)) * _wide(scale, h)
    return (normal, mean, variance), (normal, scale)


def _batch_norm_gradient(kept: tuple[Array, Array], gradients: tuple[Array, ...]) -> tuple[Array]:
    """That of h; nothing depends on the running statistics while training."""
    (normal, scale), g = kept, gradients[0]
    return ((g - _wide(_mean(g), g) - normal * _wide(_mean(g * normal), g)) * _wide(scale, g),)


batch_norm.defvjp(_batch_norm, _batch_norm_gradient)


def _mean(h: Array) -> Array:
    """Over all but channels, [C]."""
    return h.reshape(len(h), -1) @ jnp.ones(h[0].size) / h[0].size


def _wide(values: Array, h: Array) -> Array:
    """[C] as it fits to h, [C, S, B]."""
    return values.reshape(-1, *[1] * (h.ndim - 1))


def cross_entropy(outputs: Array, targets: Array) -> Array:
    """Summed over the batch; targets [O, B] of 0 and 1, all 0 where there is no example."""
    highest = lax.stop_gradient(outputs.max(axis=0))
    logarithms = jnp.log(jnp.exp(outputs - highest).sum(axis=0)) + highest
    return (targets.sum(axis=0) * logarithms - (targets * outputs).sum(axis=0)).sum()


def count_right(
    layers: Layers, statistics: Statistics, test: tuple[Array, Array], convolve: Convolution
) -> Array:
    """How many test examples are classified rightly; none of a cell that diverged."""

    def part(right: Array, examples: tuple[Array, Array]) -> tuple[Array, None]:
        inputs, targets = examples
        outputs, _ = forward(layers, statistics, inputs, convolve, training=False)
        hits = (targets * outputs).sum(axis=0) >= outputs.max(axis=0)
        return right + (hits * targets.sum(axis=0)).sum(), None

    return lax.scan(part, jnp.float32(0), test)[0]
