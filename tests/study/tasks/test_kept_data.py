"""Data of built-in tasks that take seconds to make are made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from landscape_study.study.environment import cache
from landscape_study.study.tasks.builtin import kept_data, mnist1d, mnist5k
from landscape_study.study.tasks.builtin.kept_data import PARTS, kept
from landscape_study.study.tasks.data.tensors import Data

made: list[Data] = []


def make() -> Data:
    """Other numbers each time."""
    inputs, targets = torch.randn(5, 1, 3), torch.randint(10, (5,))
    made.append(Data(inputs, targets, inputs + 1, targets + 1))
    return made[-1]


def same(one: Data, other: Data) -> bool:
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in PARTS)


def test_they_are_made_once(own_cache: Path):
    first = kept(make, ())
    count = len(made)
    second = kept(make, ())
    assert len(made) == count
    assert same(first, second)
    assert second.train_targets.dtype == torch.int64
    second.train_inputs.zero_()  # is nobody else's
    assert same(first, kept(make, ()))


def test_they_are_made_again_with_another_version(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    first = kept(make, ("numpy",))
    monkeypatch.setattr(kept_data, "version", lambda name: "999")
    assert not same(first, kept(make, ("numpy",)))


def test_what_is_damaged_is_made_again(own_cache: Path):
    first = kept(make, ())
    (path,) = own_cache.glob("*.npz")
    path.write_bytes(path.read_bytes()[:-1])
    assert not same(first, kept(make, ()))


def test_a_full_disk_is_no_failure(own_cache: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, content: bytes) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(cache, "write_safely", full)
    assert same(kept(make, ()), made[-1])
    assert not list(own_cache.glob("*.npz"))


@pytest.mark.some(1)
@pytest.mark.slow
@pytest.mark.parametrize("source", [mnist1d._generated, mnist5k._read])
def test_what_is_kept_is_what_was_made(own_cache: Path, source: Callable[[], Data]):
    assert same(kept(source, ()), kept(source, ()))
