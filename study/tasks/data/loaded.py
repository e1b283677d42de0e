"""Examples that come in batches: a loader's, begun anew from a seed in each epoch.

Letters: B examples.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from copy import copy
from functools import partial
from itertools import islice, zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from landscape_study.study.errors import DataError, TaskError
from landscape_study.study.tasks.data.examples import Batch, Epoch, even_slices, read_together
from landscape_study.study.tasks.data.form import (
    Columns,
    Form,
    FormError,
    pair_of,
    raised,
    require_examples,
    tensor_of,
)
from landscape_study.study.tasks.data.tensors import Place, placed, same_values
from landscape_study.study.tasks.randomness import LOADING, Stream

STILL = 0  # seed of tests, and of what is looked at
TWICE = 3  # batches that are read twice, to see whether they are the same
END = object()  # of a loader
ANEW = "give a loader that begins anew each time, or a function of a seed that gives one"
UNSEEDED = (
    "draw from torch, numpy.random or random, whose seeds the tool sets, not from a generator of "
    "its own; leave persistent_workers out; or give a function of a seed that gives a loader"
)

Tell = Callable[[str], None]


class Loaded:
    """Examples of a loader. See `Examples`.

    Args:
        given: the user's: an iterable of batches, or a function of a seed that gives one.
        columns: of its batches.
        label: what messages call it.
        classes: C, where targets are class numbers.
        tell: called with a word where they have to be counted.

    Raises:
        TaskError: it is empty, can be gone through only once, or is not the same each time.
        DataError: a batch cannot be read, or is none.
    """

    def __init__(
        self, given: Any, columns: Columns, label: str, classes: int | None, tell: Tell
    ) -> None:
        self.given, self.columns, self.label = given, columns, label
        self.place: Place | None = None
        self.form: Form | None = None  # of the first batch
        self.classes = classes
        self.reading = 0.0
        self.some = list(islice(self._read(STILL), TWICE))
        if not self.some:
            raise TaskError(f"{label} is an empty loader; expected some batches")
        self._require_repeated()
        self.count, self.batches, self.own_batch = self._length(tell)

    def to(self, device: str | torch.device, dtype: torch.dtype) -> Loaded:
        """The same, whose batches lie on `device`, floating-point numbers as `dtype`."""
        placed = copy(self)
        placed.place = device, dtype
        return placed

    def steps(self, size: int) -> int:  # noqa: D102
        return self.batches

    def shuffled(self, epoch: Epoch, size: int, first: int = 0) -> Iterator[Batch]:  # noqa: D102
        batches = read_together(self._whole(epoch.seed, f"epoch {epoch.number + 1}, "))
        for i, batch in enumerate(batches):
            if i < first:
                epoch.on_skip()
            else:
                yield placed(batch, self.place)

    def in_order(self, most: int) -> Iterator[Batch]:  # noqa: D102
        for inputs, targets in read_together(self._whole(STILL, "a test, ")):
            for some in even_slices(len(targets), most):
                yield placed((inputs[some], targets[some]), self.place)

    def sample(self, count: int) -> Batch:
        """So many of the first."""
        if count > sum(len(targets) for _, targets in self.some) < self.count:
            self.some = list(self._enough(count))
        inputs, targets = _joined(self.some)
        return inputs[:count].clone(), targets[:count].clone()

    def identifying(self) -> dict[str, Tensor]:  # noqa: D102
        inputs, targets = _joined(self.some[:TWICE])
        numbers = torch.tensor([self.count, self.batches])
        return {"inputs": inputs, "targets": targets, "count": numbers}

    def _enough(self, count: int) -> Iterator[Batch]:
        """The first batches, until there are so many examples."""
        for batch in self._read(STILL):
            yield batch
            count -= len(batch[1])
            if count <= 0:
                return

    def _whole(self, seed: int, when: str) -> Iterator[Batch]:
        """An epoch or a test, which has as many batches and examples as every other."""
        batches = examples = 0
        for batch in self._read(seed, when):
            batches, examples = batches + 1, examples + len(batch[1])
            if batches > self.batches:
                break
            yield batch
        if (batches, examples) != (self.batches, self.count):
            more = batches > self.batches
            found = "more batches" if more else f"{examples} examples in {batches} batches"
            raise DataError(
                f"{self.label}, {when}the end: {found}; expected {self.count} in {self.batches}, "
                f"as in every epoch: {ANEW}"
            )

    def _read(self, seed: int, when: str = "") -> Iterator[Batch]:
        """The batches from a seed, from random numbers of their own."""
        stream, number = Stream(seed, LOADING), 1
        batches = self._called(stream, lambda: iter(_begun(self.given, seed)), f"{when}the start")
        while True:
            where = f"{when}batch {number}"
            given = self._called(stream, lambda: next(batches, END), where)
            if given is END:
                return
            yield self._batch(given, where)
            number += 1

    def _called(self, stream: Stream, call: Callable[[], Any], where: str) -> Any:
        """What the user's code gives, and what it raises with where that was."""
        try:
            with stream.entered():
                return call()
        except (Exception, SystemExit) as e:
            raise DataError(f"{self.label}, {where}: {raised(e)}") from e

    def _batch(self, given: object, where: str) -> Batch:
        """A copy: the user may hold what was given, and fill it anew."""
        try:
            inputs, targets = pair_of(given, self.columns, dim=1)
            batch = tensor_of(inputs, "inputs"), tensor_of(targets, "targets")
            require_examples(batch)
            self.form = self.form or Form.of(batch, self.classes)
            self.form.require(batch)
        except FormError as e:
            raise DataError(f"{self.label}, {where}: {e}") from None
        return batch[0].clone(), batch[1].clone()

    def _require_repeated(self) -> None:
        """Check that the first batches come again from the same seed, and how fast they do."""
        again, moments = [], []
        for batch in islice(self._read(STILL, "begun again, "), TWICE):
            again.append(batch)
            moments.append(time.perf_counter())
        if not again:
            raise TaskError(
                f"{self.label} gave nothing when it was begun again: it can be gone through only "
                f"once; {ANEW}"
            )
        for number, (once, twice) in enumerate(zip_longest(self.some, again), 1):
            if once is None or twice is None or not all(map(same_values, once, twice)):
                raise TaskError(
                    f"{self.label}: batch {number} is not the same when it is read twice under "
                    f"the same seed: {UNSEEDED}"
                )
        if again[1:]:  # the first one takes what it takes to begin
            later = sum(len(targets) for _, targets in again[1:])
            self.reading = (moments[-1] - moments[0]) / later

    def _length(self, tell: Tell) -> tuple[int, int, int]:
        """Examples and batches of an epoch, and examples of a batch: by its word, or counted."""
        begin = partial(_begun, self.given, STILL)
        loader = self._called(Stream(STILL, LOADING), begin, "the start")
        known = _said_length(loader, self.some)
        if known is not None:
            return known
        tell(f"{self.label}: counting its examples once, since it does not say how many there are")
        began = time.perf_counter()
        sizes = [len(targets) for _, targets in self._read(STILL, "counted, ")]
        self.reading = (time.perf_counter() - began) / sum(sizes)
        tell(f"{self.label}: {sum(sizes):,} examples in {len(sizes):,} batches")
        own = getattr(loader, "batch_size", None)
        return sum(sizes), len(sizes), own if isinstance(own, int) else max(sizes)


def _begun(given: Any, seed: int) -> Any:
    """The user's loader, all that decides its order set from a seed."""
    loader = given if isinstance(given, Iterable) else given(seed)
    batching = getattr(loader, "batch_sampler", None)
    parts = (
        loader,
        batching,
        *(getattr(loader, "sampler", None), getattr(batching, "sampler", None)),
        getattr(loader, "dataset", None),
    )
    for part in parts:
        generator = getattr(part, "generator", None)
        if isinstance(generator, torch.Generator):
            generator.manual_seed(seed)
        set_epoch = getattr(part, "set_epoch", None)
        if callable(set_epoch):
            set_epoch(seed)
    return loader


def _said_length(loader: Any, some: Sequence[Batch]) -> tuple[int, int, int] | None:
    """What a DataLoader of a data set with a length says, if its first batches are as it says."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return None
    size = loader.batch_size
    if size is None or not isinstance(loader.sampler, Sized):
        return None
    batches, count = len(loader), len(loader.sampler)
    count = batches * size if loader.drop_last else count
    said = [min(size, count - i * size) for i in range(len(some))]
    return (count, batches, size) if said == [len(targets) for _, targets in some] else None


def _joined(batches: Sequence[Batch]) -> Batch:
    inputs, targets = zip(*batches, strict=True)
    return torch.cat(inputs), torch.cat(targets)
