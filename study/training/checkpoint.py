"""Checkpoints: the state of a chunk in the middle of its training, on disk.

They are for chunks that train for long: what was killed goes on from the last one, and gives bit
for bit what it would have given without. A file says first what it is, then the digest of all that
follows, then whose state it holds, then the state: a file with any byte changed is no checkpoint.
They hold tensors and numbers only and are read with `weights_only=True`, so that a file from
elsewhere can do no harm.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch

from landscape_study.study.errors import first_line
from landscape_study.study.spec.study import Cell

FORMAT = 4  # of files and states: one of another format is of no use
MAGIC = b"landscape checkpoint\n"
DIGEST = hashlib.sha256().digest_size  # bytes
EVERY = 180.0  # seconds of training between two of them
ABANDONED = 3600.0  # seconds after which nobody goes on writing one
FREE_SHARE = 0.1  # of the disk's free space that one may take
HEADER = 1 << 20  # bytes of the longest line that says whose state it is

State = dict[str, Any]
Place = tuple[str, str, int, Cell]  # study, panel, seed, cell


class DamagedError(Exception):
    """A file that is no checkpoint, or no longer the one that was written."""


@dataclass(frozen=True)
class Group:
    """Cells of a panel and seed, in the order in which they are trained."""

    study: str = ""
    panel: str = ""
    seed: int = 0
    cells: tuple[Cell, ...] = ()

    def places(self) -> set[Place]:
        """The cells, as told apart from those of other panels and studies."""
        return {(self.study, self.panel, self.seed, cell) for cell in self.cells}

    def positions(self, part: Group) -> list[int] | None:
        """Where the cells of `part` are among these; None if not all of them are."""
        if part.cells == self.cells and part.places() == self.places():
            return list(range(len(self.cells)))
        held = part.places() <= self.places()
        return [self.cells.index(cell) for cell in part.cells] if held else None


@dataclass(frozen=True)
class Label:
    """Whose state a file holds: of which cells, and what else must be the same for it to fit."""

    key: str
    group: Group

    def positions(self, other: Label) -> list[int] | None:
        """Where the cells of `other` are in this one's state; None if that does not fit."""
        return self.group.positions(other.group) if self.key == other.key else None


@dataclass(frozen=True)
class Recalled:
    """A state that was kept, of the cells that are asked for and perhaps of others.

    Attributes:
        positions: where the cells that are asked for are among those of the state.
        cells: how many the state has.
    """

    state: State
    positions: list[int]
    cells: int


@dataclass
class Checkpoint:
    """The checkpoint of one chunk.

    Attributes:
        path: of the file; its folder is made when it is first written.
        key: what must be the same for the state to fit, beside the cells: engine, versions, …
        every: seconds between two.
        group: the cells.
        on_written: called with how far the training is, in epochs of a cell, when one is on disk.
    """

    path: Path
    key: str
    every: float = EVERY
    group: Group = Group()
    on_written: Callable[[float], None] = lambda epochs: None
    _written: float = field(default_factory=time.monotonic)
    _source: Path | None = None  # where the state was that was recalled

    @property
    def label(self) -> Label:
        """Whose state it is."""
        return Label(self.key, self.group)

    def keep(self, state: Callable[[], State], epochs: float = 0.0) -> None:
        """Write the state if the last one is old enough; a disk that is full is no reason to stop.

        The file is there whole or not at all, whenever the process or the machine dies.
        """
        if time.monotonic() - self._written < self.every:
            return
        try:
            self._write(state())
        except (OSError, RuntimeError) as e:  # PyTorch's word for a disk that is full
            why = getattr(e, "strerror", None) or first_line(e)
            self.report(f"cannot be written ({why}): training goes on without")
        else:
            self.on_written(epochs)
        self._written = time.monotonic()

    def _write(self, state: State) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            if _bytes(state) > FREE_SHARE * shutil.disk_usage(self.path.parent).free:
                raise OSError(f"it would take more than {FREE_SHARE:.0%} of the free space")
            with unfinished.open("wb") as file:
                file.write(MAGIC + bytes(DIGEST))  # the digest's place
                content = _Digesting(file)
                content.write(json.dumps(asdict(self.label)).encode() + b"\n")
                torch.save(state, content)  # type: ignore[arg-type]  # it needs no more than this
                file.seek(len(MAGIC))
                file.write(content.digest.digest())
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self.path)
        finally:
            unfinished.unlink(missing_ok=True)

    def recall(self) -> Recalled | None:
        """The state as it was written last; None if there is none that is whole and fits.

        Where the chunk has none of its own, that of the chunk which it was split from will do.
        """
        try:
            path = self.path if self.path.exists() else self._of_the_whole()
        except OSError as e:
            self.report(f"cannot be read ({e.strerror}): the chunk starts from the beginning")
            return None
        return None if path is None else self._read(path)

    def _of_the_whole(self) -> Path | None:
        """The file of the chunk which this one was split from."""
        for path in sorted(self.path.parent.glob("chunk-*.pt")):
            with suppress(DamagedError):  # it is somebody else's, who will say so
                if label_of(path).positions(self.label) is not None:
                    return path
        return None

    def _read(self, path: Path) -> Recalled | None:
        try:
            label, state = _content(path)
        except DamagedError as e:
            self.report(f"damaged ({e}): the chunk starts from the beginning")
            return None
        positions = label.positions(self.label)
        if positions is None:
            self.report("of another chunk, engine or version: the chunk starts from the beginning")
            return None
        self._source = path
        return Recalled(state, positions, len(label.group.cells))

    def refuse(self, why: str) -> None:
        """Say that the state is not what its key promises, and forget it."""
        self.report(f"it does not fit ({why}): the chunk starts from the beginning")
        with suppress(OSError):
            (self._source or self.path).unlink(missing_ok=True)

    def remove(self) -> None:
        """There is no more use for it."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def report(self, what: str) -> None:
        """Tell the user, beside the progress."""
        print(f"checkpoint {self.path}: {what}", file=sys.stderr)


class _Digesting:
    """Writes to a file, and digests what it writes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def label_of(path: Path) -> Label:
    """Whose state a file says that it holds; only `_content` proves it.

    Raises:
        DamagedError: it does not say so.
    """
    try:
        if not path.is_file():
            raise DamagedError("no file")  # a pipe would be waited for
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise DamagedError("no checkpoint of this version")
            file.seek(DIGEST, os.SEEK_CUR)
            return _label(file.readline(HEADER))
    except OSError as e:
        raise DamagedError(e.strerror or type(e).__name__) from e


def _label(line: bytes) -> Label:
    try:
        facts = json.loads(line)
        group = facts["group"]
        cells = tuple(map(_cell, group["cells"]))
        return Label(facts["key"], Group(**group | {"cells": cells}))
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise DamagedError("it does not say whose state it is") from e


def _cell(facts: dict[str, Any]) -> Cell:
    """A cell as it was written."""
    own = tuple((str(name), float(value)) for name, value in facts.get("own", ()))
    return Cell(**facts | {"own": own})


def _content(path: Path) -> tuple[Label, State]:
    """Whose state it is, and the state, both as they were written.

    Raises:
        DamagedError: they are not.
    """
    try:
        if not path.is_file():
            raise DamagedError("no file")
        file = path.read_bytes()
    except OSError as e:
        raise DamagedError(e.strerror or type(e).__name__) from e
    magic, digest, content = _parts(memoryview(file))
    if magic != MAGIC:
        raise DamagedError("no checkpoint of this version")
    if hashlib.sha256(content).digest() != digest:
        raise DamagedError("its content is not what was written")
    stream = io.BytesIO(content)
    label = _label(stream.readline(HEADER))
    try:
        return label, torch.load(io.BytesIO(stream.read()), map_location="cpu", weights_only=True)
    except Exception as e:  # whatever a file leads to that somebody made with its digest
        raise DamagedError(type(e).__name__) from e


def _parts(file: memoryview) -> tuple[memoryview, memoryview, memoryview]:
    """What it is, the digest, and what is digested."""
    begin = len(MAGIC) + DIGEST
    return file[: len(MAGIC)], file[len(MAGIC) : begin], file[begin:]


def _bytes(value: Any) -> int:
    """Of all tensors in nested lists and dicts."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, list) else 0


def checkpoint_path(folder: Path, chunk_id: int, cells: int) -> Path:
    """Where the state of a chunk is kept.

    What is split, and keeps the number of the whole, does not write over what that had.
    """
    return folder / f"chunk-{chunk_id}-{cells}.pt"


def remove_settled(folder: Path, open_places: Collection[Place]) -> None:
    """Remove the checkpoints of which no cell is open, and what was never written to its end."""
    for path in _removable(folder, set(open_places)):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _removable(folder: Path, open_places: set[Place]) -> Iterator[Path]:
    for path in _files(folder, "chunk-*.pt"):
        try:
            if label_of(path).group.places() & open_places:
                continue
        except DamagedError:
            if open_places:  # whoever trains the chunk will say so
                continue
        yield path
    for path in _files(folder, "chunk-*.tmp"):
        if time.time() - _written(path) > ABANDONED:
            yield path


def _files(folder: Path, pattern: str) -> list[Path]:
    """Of a folder; none where it may not be looked into."""
    try:
        return list(folder.glob(pattern))
    except OSError:
        return []


def _written(path: Path) -> float:
    """When, in seconds since 1970; now, for what is gone already."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def fits(kept: object, own: object, free: Sequence[str] = ()) -> bool:
    """Whether a state that was kept has the form of one that a training has itself.

    Args:
        kept: of nested lists, dicts, tensors and numbers.
        own: likewise.
        free: keys of dicts under which anything may stand.
    """
    if isinstance(own, dict) and isinstance(kept, dict):
        return kept.keys() == own.keys() and all(
            fits(kept[key], own[key], free) for key in own if key not in free
        )
    if isinstance(own, list) and isinstance(kept, list):
        pairs = zip(kept, own, strict=False)
        return len(kept) == len(own) and all(fits(a, b, free) for a, b in pairs)
    if isinstance(own, torch.Tensor) and isinstance(kept, torch.Tensor):
        return kept.shape == own.shape and kept.dtype == own.dtype
    return type(kept) is type(own)
