"""A script of your own, with JAX: Adam with L2 or with decoupled weight decay, on digits.

    landscape run examples/scripts/jax-digits.toml

The panel's name for its optimizer is an option like the others: `--optimizer {pair}`.
"""

import argparse
import json
from functools import partial

import jax
import jax.numpy as jnp
from sklearn.datasets import load_digits

BATCH, HIDDEN = 50, 32


def outputs(weights, inputs):
    """Logits [B, 10]."""
    first, bias, second, offset = weights
    return jnp.tanh(inputs @ first + bias) @ second + offset


def loss(weights, inputs, targets):
    """Mean cross-entropy, nats."""
    shares = jax.nn.log_softmax(outputs(weights, inputs))
    return -jnp.mean(jnp.take_along_axis(shares, targets[:, None], 1))


@partial(jax.jit, static_argnames="coupled")
def train_epoch(state, inputs, targets, key, alpha, lambda_, *, coupled):
    """One pass over the examples: `coupled` adds λθ to the gradient, else θ loses αλθ."""
    order = jax.random.permutation(key, len(inputs))
    batches = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)

    def step(state, batch):
        weights, mean, square, t = state
        t = t + 1
        gradient = jax.grad(loss)(weights, inputs[batch], targets[batch])
        if coupled:
            gradient = jax.tree.map(lambda g, w: g + lambda_ * w, gradient, weights)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, gradient)

        def moved(weight, m, v):
            update = (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
            return weight - alpha * (update + (0 if coupled else lambda_ * weight))

        return (jax.tree.map(moved, weights, mean, square), mean, square, t), None

    return jax.lax.scan(step, state, batches)[0]


def main() -> None:
    """Train once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--wd", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--optimizer", choices=["adam", "adamw"], default="adamw")
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args()

    inputs, targets = map(jnp.asarray, load_digits(return_X_y=True))
    inputs = inputs / 16
    half = len(inputs) // 2
    key = jax.random.key(options.seed)
    first, second, *orders = jax.random.split(key, 2 + options.epochs)
    weights = (
        jax.random.normal(first, (64, HIDDEN)) / 8,
        jnp.zeros(HIDDEN),
        jax.random.normal(second, (HIDDEN, 10)) / HIDDEN**0.5,
        jnp.zeros(10),
    )
    nothing = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, nothing, nothing, 0)
    for epoch, order in enumerate(orders, start=1):
        state = train_epoch(
            state,
            inputs[:half],
            targets[:half],
            order,
            options.lr,
            options.wd,
            coupled=options.optimizer == "adam",
        )
        found = loss(state[0], inputs[half:], targets[half:])
        right = jnp.argmax(outputs(state[0], inputs[half:]), 1) == targets[half:]
        record = {
            "epoch": epoch,
            "test_loss": float(found),
            "test_error": 100 * (1 - float(right.mean())),
        }
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
