"""Examples of a data set whose items are had by their number: fetched batch by batch.

The batches of an epoch are those that tensors in memory would give. What fetching an item draws at
random depends on the epoch and the batch alone: so it is the same whoever fetches it, how many
processes do, and where a training that was interrupted goes on.

Letters: B examples.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from landscape_study.study.errors import DataError, TaskError, first_line
from landscape_study.study.tasks.data.examples import (
    Batch,
    Epoch,
    even_slices,
    read_together,
    spread,
    whole_steps,
)
from landscape_study.study.tasks.data.form import (
    PADDING,
    Columns,
    Form,
    FormError,
    pair_of,
    raised,
    tensor_of,
)
from landscape_study.study.tasks.data.tensors import Place, placed, same_values
from landscape_study.study.tasks.randomness import derived_seed, seeded

STILL = 0  # seed of what is fetched for tests and to look at
TWICE = 8  # items that are fetched twice, to see whether they are the same
KNOWN_BY = 64  # items that a data set is known by

Key = tuple[int, Sequence[int]]  # the seed of a batch, and its items
T = TypeVar("T")


class Indexed:
    """Examples of a data set that has a length. See `Examples`.

    Args:
        data_set: the user's: items by number, one by one or, by `__getitems__`, several at once.
        columns: of its items.
        label: what messages call it.
        classes: C, where targets are class numbers.
        workers: processes that fetch items ahead.

    Raises:
        TaskError: it is empty, or its items are not the same each time.
        DataError: an item cannot be fetched, or is none.
    """

    own_batch: int | None = None

    def __init__(
        self, data_set: Any, columns: Columns, label: str, classes: int | None, workers: int
    ) -> None:
        self.fetcher = _Fetcher(data_set, columns)
        self.label, self.workers = label, workers
        self.place: Place | None = None
        self.form: Form | None = None
        self.count = len(data_set)
        if self.count == 0:
            raise TaskError(f"{label} is an empty data set; expected some examples")
        once, began = self.sample(TWICE), time.perf_counter()
        again = self.sample(TWICE)
        self.reading = (time.perf_counter() - began) / len(again[1]) / max(1, workers)
        if not all(map(same_values, once, again)):
            raise TaskError(
                f"{label}: items are not the same when fetched twice under the same seed: draw "
                "from torch, numpy.random or random, whose seeds the tool sets, not from a "
                "generator of its own"
            )
        self.form = Form.of(once, classes)
        self.form.require(once)

    def to(self, device: str | torch.device, dtype: torch.dtype) -> Indexed:
        """The same, whose batches lie on `device`, floating-point numbers as `dtype`."""
        placed = copy(self)
        placed.place = device, dtype
        return placed

    def steps(self, size: int) -> int:  # noqa: D102
        return whole_steps(self.count, size)

    def shuffled(self, epoch: Epoch, size: int, first: int = 0) -> Iterator[Batch]:  # noqa: D102
        parts = torch.randperm(self.count, generator=epoch.order).split(size)
        yield from self._fetched(parts, epoch.seed, f"epoch {epoch.number + 1}, ", first)

    def in_order(self, most: int) -> Iterator[Batch]:  # noqa: D102
        parts = [torch.arange(some.start, some.stop) for some in even_slices(self.count, most)]
        yield from self._fetched(parts, STILL, "a test, ")

    def sample(self, count: int) -> Batch:  # noqa: D102
        indices = spread(count, self.count).tolist()
        return self._checked(self.fetcher[STILL, indices], "some items")

    def identifying(self) -> dict[str, Tensor]:  # noqa: D102
        inputs, targets = self.sample(KNOWN_BY)
        return {"inputs": inputs, "targets": targets, "count": torch.tensor(self.count)}

    def _fetched(
        self, parts: Sequence[Tensor], seed: int, when: str, first: int = 0
    ) -> Iterator[Batch]:
        """The batches of these items from the `first` on."""
        for batch in read_together(self._read(parts, seed, when, first)):
            yield placed(batch, self.place)

    def _read(self, parts: Sequence[Tensor], seed: int, when: str, first: int) -> Iterator[Batch]:
        """The same as they are stored, fetched ahead where there are workers."""
        keys = _Keys(parts, seed, first)
        loader = DataLoader(
            self.fetcher,
            sampler=keys,
            batch_size=None,
            num_workers=self.workers,
            collate_fn=_as_it_is,
            generator=torch.Generator(),  # else it draws from the training's
        )
        batches: Iterator[Batch | _Failure] | None = None
        for i in keys.left:
            where = f"{when}batch {i + 1}"
            try:
                batches = batches or iter(loader)
                found = next(batches)
            except Exception as e:  # a worker that died, or cannot be
                raise DataError(f"{self.label}, {where}: {raised(e)}") from e
            yield self._checked(found, where)

    def _checked(self, found: Batch | _Failure, where: str) -> Batch:
        if isinstance(found, _Failure):
            raise DataError(f"{self.label}, {where}: {found.what}") from found.cause
        if self.form is not None:
            try:
                self.form.require(found)
            except FormError as e:
                raise DataError(f"{self.label}, {where}: {e}") from None
        return found


@dataclass(frozen=True)
class _Failure:
    """A batch that could not be fetched.

    Attributes:
        what: was raised, or wrong, for a message.
        cause: what was raised, unless in another process.
    """

    what: str
    cause: BaseException | None = None


class _Keys(Sampler[Key]):
    """The keys of these batches from the `first` on, each made when it is asked for."""

    def __init__(self, parts: Sequence[Tensor], seed: int, first: int) -> None:
        self.parts, self.seed = parts, seed
        self.left = range(first, len(parts))

    def __len__(self) -> int:
        return len(self.left)

    def __iter__(self) -> Iterator[Key]:
        for i in self.left:
            yield derived_seed(self.seed, i), self.parts[i].tolist()


class _Fetcher(Dataset[Batch | _Failure]):
    """Batches of a data set by their keys, whatever process asks."""

    def __init__(self, data_set: Any, columns: Columns) -> None:
        self.data_set, self.columns = data_set, columns

    def __getitem__(self, key: Key) -> Batch | _Failure:
        seed, indices = key
        with seeded(seed):
            try:
                items = [self._pair(item) for item in self._items(indices)]
            except FormError as e:
                return _Failure(f"an item: {e}")
            except (Exception, SystemExit) as e:  # whatever the user's code raises
                here = get_worker_info() is None
                return _Failure(raised(e), e if here else None)
        try:
            inputs, targets = (torch.stack(side) for side in zip(*items, strict=True))
        except RuntimeError as e:
            return _Failure(f"its items make no batch ({first_line(e)}); {PADDING}")
        return inputs, targets

    def _items(self, indices: Sequence[int]) -> Sequence[object]:
        """As torch's DataLoader fetches them."""
        several = getattr(self.data_set, "__getitems__", None)
        found = several(list(indices)) if several else [self.data_set[i] for i in indices]
        if len(found) != len(indices):
            raise FormError(f"{len(found)} of them; expected {len(indices)}, one for each number")
        return found

    def _pair(self, item: object) -> tuple[Tensor, Tensor]:
        inputs, targets = pair_of(item, self.columns)
        return tensor_of(inputs, "inputs"), tensor_of(targets, "targets")


def _as_it_is(batch: T) -> T:
    return batch
