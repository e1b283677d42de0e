"""Data that take seconds to make: made once, and kept for the processes that come after."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from landscape_study.study.environment.cache import cache_folder, is_proven, keep_whole
from landscape_study.study.tasks.data.tensors import Data

PARTS = tuple(field.name for field in fields(Data))


def kept(make: Callable[[], Data], packages: Sequence[str]) -> Data:
    """What `make` gives: made again where the file that it stands in, or a package, is another.

    Args:
        make: a function of a module.
        packages: whose versions decide what it gives.
    """
    source = Path(make.__code__.co_filename).read_bytes()
    facts = (make.__qualname__, source, *((name, version(name)) for name in packages))
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
    path = cache_folder() / f"{digest}.data.npz"
    if is_proven(path):
        with np.load(path) as arrays:
            return Data(*(torch.from_numpy(arrays[part]) for part in PARTS))
    data = make()
    with suppress(OSError):  # a full disk: it is made again next time
        _keep(path, data)
    return data


def _keep(path: Path, data: Data) -> None:
    file = io.BytesIO()
    np.savez(file, **{part: getattr(data, part).numpy() for part in PARTS})
    keep_whole(file.getvalue(), path)
