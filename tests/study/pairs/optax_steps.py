"""What Optax's optimizers do at given gradients: `python -m tests.study.pairs.optax_steps`.

A program of its own, since JAX has threads, and tests fork. It prints, by name, what θ loses in
all steps, and what Muon's matrices [inputs, outputs] lose in the first one, in float64.
"""

from __future__ import annotations

import json

import jax
import numpy as np
import optax

from tests.study.pairs.given_gradients import ALPHA, BETA1, BETA2, EPS, GRADIENTS, MATRICES

BETAS = {"b1": BETA1, "b2": BETA2}
OPTIMIZERS = {
    "amsgrad": optax.amsgrad(ALPHA, **BETAS, eps=EPS),
    "rmsprop": optax.rmsprop(ALPHA, decay=BETA2, eps=EPS),
    "rmsprop as torch": optax.rmsprop(ALPHA, decay=BETA2, eps=EPS, eps_in_sqrt=False),
    "adagrad": optax.adagrad(ALPHA, eps=EPS),
    "nadam": optax.nadam(ALPHA, **BETAS, eps=EPS),
    "radam": optax.radam(ALPHA, **BETAS, eps=EPS),
    "sgd": optax.sgd(ALPHA, momentum=BETA1),
    "nesterov": optax.sgd(ALPHA, momentum=BETA1, nesterov=True),
    "adam": optax.adam(ALPHA, **BETAS, eps=EPS),
    "lion": optax.lion(ALPHA, **BETAS, weight_decay=0.0),
}


def lost(optimizer: optax.GradientTransformation, gradients: np.ndarray) -> list:
    """By θ, which begins with 0."""
    theta = jax.numpy.zeros(gradients.shape[1:])
    state = optimizer.init(theta)
    for g in gradients:
        change, state = optimizer.update(jax.numpy.asarray(g), state, theta)
        theta = optax.apply_updates(theta, change)
    return (-np.asarray(theta)).tolist()


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    muon = optax.contrib.muon(ALPHA, beta=BETA1, weight_decay=0.0)
    found = {name: lost(optimizer, GRADIENTS) for name, optimizer in OPTIMIZERS.items()}
    found |= {f"muon {g.shape}": lost(muon, g[None]) for g in MATRICES}
    print(json.dumps(found))
