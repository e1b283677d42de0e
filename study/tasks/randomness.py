"""All random numbers that a task may draw: torch's, numpy's and Python's own.

A user's network, augmentation or data may ask any of them. Each purpose of each seed has streams
of its own, so that cells differ by α and λ alone, whoever trains them, and in whatever order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

State = dict[str, Any]
AUGMENTATION, DATA, LOADING = 2, 3, 4  # purposes; 0 is the order of examples, 1 augment()'s own


def derived_seed(seed: int, *purpose: int) -> int:
    """A seed for one purpose, or part of one, independent of the others'; below 2**63."""
    state = np.random.SeedSequence([seed, *purpose]).generate_state(1, np.uint64)
    return int(state[0] >> 1)


def library_seed(seed: int, *purpose: int) -> int:
    """The same, below 2**31: every library takes it."""
    return derived_seed(seed, *purpose) >> 32


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Within it all generators start from the seed; afterwards they are as they were before."""
    before = _held(device)
    try:
        seed_all(seed, device)
        yield
    finally:
        _put(before, device)


def seed_all(seed: int, device: str = "cpu") -> None:
    """Start all generators from the seed."""
    torch.default_generator.manual_seed(seed)
    if device.startswith("cuda"):
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def random_state(device: str = "cpu") -> State:
    """Where all generators are; tensors and numbers only, as a checkpoint keeps them."""
    return _written(_held(device))


def set_random_state(state: State, device: str = "cpu") -> None:
    """Put all generators back to where they were."""
    _put(_read(state), device)


def _held(device: str = "cpu") -> State:
    """Where all generators are, each in its library's own form."""
    state: State = {
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(),
        "python": random.getstate(),
    }
    if device.startswith("cuda"):
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _put(state: State, device: str = "cpu") -> None:
    """Put all generators to what was held."""
    torch.set_rng_state(state["torch"])
    np.random.set_state(state["numpy"])
    random.setstate(state["python"])
    if device.startswith("cuda"):
        torch.cuda.set_rng_state(state["cuda"], device)


def _written(held: State) -> State:
    _, key, *rest = held["numpy"]
    return held | {"numpy": [torch.from_numpy(np.asarray(key, np.int64)), *rest]}


def _read(state: State) -> State:
    key, *rest = state["numpy"]
    return state | {"numpy": ("MT19937", key.numpy().astype(np.uint32), *rest)}


class Stream:
    """The generators of one purpose, which go on where they were each time they are entered."""

    def __init__(self, seed: int, *purpose: int) -> None:
        with seeded(derived_seed(seed, *purpose)):
            self.held = _held()

    @property
    def state(self) -> State:
        """Where they are, as a checkpoint keeps it."""
        return _written(self.held)

    @state.setter
    def state(self, state: State) -> None:
        self.held = _read(state)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within it random numbers come from this stream."""
        outside = _held()
        _put(self.held)
        try:
            yield
        finally:
            self.held = _held()
            _put(outside)
