"""Checkpoints: the state of a chunk in the middle of its training, on disk.

They are for chunks that train for long: what was killed goes on from the last one, and gives bit
for bit what it would have given without. They hold tensors and numbers only and are read with
`weights_only=True`, so that a file from elsewhere can do no harm.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

FORMAT = 2  # of the states: one of another format is of no use
EVERY = 180.0  # seconds of training between two of them
ABANDONED = 3600.0  # seconds after which nobody goes on writing one
FREE_SHARE = 0.1  # of the disk's free space that one may take

State = dict[str, Any]


@dataclass
class Checkpoint:
    """The checkpoint of one chunk.

    Attributes:
        path: the file; its folder is made when it is first written.
        key: what must be the same for the state to fit: cells, engine, versions, …
        every: seconds between two.
    """

    path: Path
    key: str
    every: float = EVERY
    _written: float = field(default_factory=time.monotonic)

    def keep(self, state: Callable[[], State]) -> None:
        """Write the state if the last one is old enough; a disk that is full is no reason to stop.

        The file is there whole or not at all, whenever the process or the machine dies.
        """
        if time.monotonic() - self._written < self.every:
            return
        kept = {"key": self.key, **state()}
        try:
            self._write(kept)
        except (OSError, RuntimeError) as e:  # PyTorch's word for a disk that is full
            why = getattr(e, "strerror", None) or str(e).splitlines()[0]
            self.report(f"cannot be written ({why}): training goes on without")
        self._written = time.monotonic()

    def _write(self, state: State) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            if _bytes(state) > FREE_SHARE * shutil.disk_usage(self.path.parent).free:
                raise OSError(f"it would take more than {FREE_SHARE:.0%} of the free space")
            with unfinished.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self.path)
        finally:
            unfinished.unlink(missing_ok=True)

    def recall(self) -> State | None:
        """The state as it was written last; None if there is none that is whole and fits."""
        if not self.path.exists():
            return None
        try:
            state: State = torch.load(self.path, map_location="cpu", weights_only=True)
            key = state["key"]
        except Exception as e:  # a damaged file raises whatever the damage leads to
            self.report(f"damaged ({type(e).__name__}): the chunk starts from the beginning")
            return None
        if key != self.key:
            self.report("of another chunk, engine or version: the chunk starts from the beginning")
            return None
        return state

    def remove(self) -> None:
        """There is no more use for it."""
        self.path.unlink(missing_ok=True)

    def report(self, what: str) -> None:
        """Tell the user, beside the progress."""
        print(f"checkpoint {self.path}: {what}", file=sys.stderr)


def _bytes(value: Any) -> int:
    """Of all tensors in nested lists and dicts."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, list) else 0


def checkpoint_path(folder: Path, chunk_id: int) -> Path:
    """Where the state of a chunk is kept."""
    return folder / f"chunk-{chunk_id}.pt"


def remove_all_but(folder: Path, chunk_ids: Collection[int]) -> None:
    """Remove the checkpoints of other chunks than these, and what was never written to its end."""
    kept = {checkpoint_path(folder, chunk_id) for chunk_id in chunk_ids}
    unfinished = (p for p in folder.glob("chunk-*.tmp") if time.time() - _written(p) > ABANDONED)
    for path in (*(set(folder.glob("chunk-*.pt")) - kept), *unfinished):
        path.unlink(missing_ok=True)


def _written(path: Path) -> float:
    """When, in seconds since 1970; now, for what is gone already."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
