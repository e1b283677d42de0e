"""Data that stream: whatever is wrong with them is told in one message, with a remedy."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from landscape_study import Data, Streams
from landscape_study.study.errors import DataError, LandscapeError, TaskError
from landscape_study.study.tasks.data.examples import Epoch
from landscape_study.study.tasks.data.form import raised
from landscape_study.study.tasks.data.indexed import Indexed
from landscape_study.study.tasks.refusals import check_task
from landscape_study.study.tasks.task import Task, fingerprint, load_data
from tests.study.chunks import BATCH, CELLS
from tests.study.networks import mlp
from tests.study.streams import Batched, Rows, RowStream, batches, data_sets, loaders, sides

COLUMNS = {"inputs": "pixels", "targets": "label"}
TRAIN, TEST = sides()


def with_train(train: Any, **more: Any) -> Callable[[], Streams]:
    """Data that are wrong where they are trained on."""
    test = Rows(*TEST) if "inputs" in more else data_sets()[1]
    return lambda: Streams(train, test, **more)


class Items(Dataset[Any]):
    """A data set of these items, which are made when they are fetched."""

    def __init__(self, make: Callable[[int], Any], count: int = 23) -> None:
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Any:
        return self.make(i)


class Nameless(Dataset[Any]):
    """A data set that does not say how long it is."""

    def __getitem__(self, i: int) -> Any:
        return TRAIN[0][i], TRAIN[1][i]


class Single(IterableDataset[Any]):
    """A stream of single examples, as torch's streams are."""

    def __iter__(self) -> Iterator[Any]:
        return iter(zip(*TRAIN, strict=True))


class Counting(Batched):
    """A loader that goes on where it was, from one epoch to the next."""

    def __iter__(self) -> Iterator[Any]:
        self.held = [*self.held[1:], self.held[0]]
        return iter(self.held)


class Once(Batched):
    """A loader that is spent, and does not say so."""

    def __iter__(self) -> Iterator[Any]:
        held, self.held = self.held, []
        return iter(held)


class Unseeded(Batched):
    """A loader of a generator that nobody knows of."""

    def __init__(self, held: Any) -> None:
        super().__init__(held)
        self.dice = np.random.default_rng(0)

    def __iter__(self) -> Iterator[Any]:
        return iter([self.held[i] for i in self.dice.permutation(len(self.held))])


GOING = iter(batches(TRAIN))
DICE = np.random.default_rng(0)


def vector(i: int) -> Tensor:
    return TRAIN[0][i]


def changed(number: int, change: Callable[[Tensor, Tensor], Any]) -> Batched:
    """A loader whose batch of this number, from 1, is another."""
    held: list[Any] = batches(TRAIN)
    held[number - 1] = change(*held[number - 1])
    return Batched(held)


FROM_ONCE = "a loader that begins anew each time, or a function of a seed that gives one"
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    # of both kinds
    "no data": (lambda: 3, "data() gave int; expected a landscape_study.Data, whose tensors lie"),
    "three data sets": (lambda: (1, 2, 3), "data() gave tuple; expected a landscape_study.Data"),
    "a dict of data sets": (
        lambda: {"train": Rows(*TRAIN), "test": Rows(*TEST)},
        'data() gave a dict; name what to train on and to test on: Streams(found["train"], ',
    ),
    "a tensor": (
        with_train(TRAIN[0]),
        "data(): train gave a tensor of shape [23, 6]; expected a data set with a length, an "
        "iterable of batches, or a function of a seed that gives one; two tensors make a torch",
    ),
    "two tensors": (
        with_train(TRAIN),
        "data(): train gave a tuple of length 2 of Tensor; expected a data set with a length",
    ),
    "a number": (with_train(3), "data(): train gave a int; expected a data set with a length"),
    "no length": (with_train(Nameless()), "data(): train gave a Nameless; expected a data set wi"),
    "a generator": (
        lambda: Streams((b for b in batches(TRAIN)), data_sets()[1]),
        f"data(): train gave a generator, whose end comes once; give {FROM_ONCE}",
    ),
    "a class": (with_train(Nameless), "data(): train gave the class Nameless; expected a data s"),
    "a function of nothing": (
        with_train(lambda: batches(TRAIN)),
        "data(): train gave a function that takes no seed; expected a data set with a length",
    ),
    # data sets
    "an empty data set": (with_train([]), "data(): train is an empty data set; expected some exa"),
    "items of one part": (
        with_train(Items(vector)),
        "train, some items: an item: a tensor of shape [6]; expected a pair: inputs and targets",
    ),
    "items of three": (
        with_train(Items(lambda i: (vector(i), 0, 1.0))),
        "an item: a tuple of length 3 of Tensor; expected a pair: inputs and targets; or a dict",
    ),
    "columns without names": (
        with_train(Rows(*TRAIN)),
        "train, some items: an item: a dict of 'id', 'pixels', 'label'; name the column of the "
        'inputs and that of the targets: Streams(…, inputs="…", targets="…")',
    ),
    "a column that is not there": (
        with_train(Rows(*TRAIN), inputs="pixel", targets="label"),
        "a dict of 'id', 'pixels', 'label'; expected a column 'pixel'",
    ),
    "names without columns": (
        with_train(data_sets()[0], **COLUMNS),
        "an item: a tuple of length 2 of Tensor; expected a dict with the columns pixels and lab",
    ),
    "text": (
        with_train(Rows(*TRAIN), inputs="id", targets="label"),
        "an item: inputs that are a str; expected a tensor, an array or numbers",
    ),
    "sequences of different lengths": (
        with_train(Items(lambda i: (torch.ones(i + 1), 0))),
        "train, some items: its items make no batch (stack expects each tensor to be equal size, "
        "but got [1] at entry 0 and [4] at entry 1); give all the same shape: pad sequences to ",
    ),
    "ragged lists": (
        with_train(Items(lambda i: ([[1.0], [2.0, 3.0]], 0))),
        "inputs that are a list of length 2 of list (expected sequence of length 1 at dim 1 (got",
    ),
    "an item that raises": (
        with_train(Items(lambda i: {}[i])),
        "train, some items: KeyError: 0",
    ),
    "items of a generator without a seed": (
        with_train(Items(lambda i: (vector(i) + float(DICE.normal()), 0))),
        "train: items are not the same when fetched twice under the same seed: draw from torch, ",
    ),
    "an item lacks": (
        with_train(type("Few", (Rows,), {"__getitems__": lambda self, i: []})(*TRAIN)),
        "an item: 0 of them; expected 8, one for each number",
    ),
    # loaders
    "an empty loader": (with_train(Batched([])), "train is an empty loader; expected some batche"),
    "gone through once": (
        with_train(Once(batches(TRAIN))),
        "train gave nothing when it was begun again: it can be gone through only once; give a lo",
    ),
    "one iterator for all": (
        with_train(lambda seed: GOING),
        "train: batch 1 is not the same when it is read twice under the same seed",
    ),
    "goes on where it was": (
        with_train(Counting(batches(TRAIN))),
        "train: batch 1 is not the same when it is read twice under the same seed: draw from tor",
    ),
    "its own generator": (
        with_train(Unseeded(batches(TRAIN))),
        "train: batch 1 is not the same when it is read twice under the same seed",
    ),
    "a test that shuffles": (
        lambda: Streams(data_sets()[0], Unseeded(batches(TEST))),
        "data(): test: batch 1 is not the same when it is read twice under the same seed: draw ",
    ),
    "single examples": (
        with_train(Single()),
        "train, batch 1: a single example; expected inputs [B, …] and targets [B, …]; of single "
        "examples make batches by a torch.utils.data.DataLoader with a batch_size, or by .batch()",
    ),
    "a batch that is no pair": (
        with_train(changed(2, lambda x, y: x)),
        "train, batch 2: a tensor of shape [5, 6]; expected a pair: inputs and targets",
    ),
    "lists of text": (
        with_train(Batched([(["a", "b"], [0, 1])])),
        "train, batch 1: inputs that are a list of length 2 of str (too many dimensions 'str')",
    ),
    "columns of batches without names": (
        with_train(RowStream(*TRAIN)),
        "train, batch 1: a dict of 'pixels', 'label'; name the column of the inputs",
    ),
    "lists of tensors": (
        with_train(Batched([(list(xs), ys) for xs, ys in batches(TRAIN)])),
        "inputs that are a list of length 5 of Tensor; expected a tensor, an array or numbers, as "
        "transform=ToTensor() makes of images, and .with_format('torch') of Hugging Face's data",
    ),
    "fewer targets": (
        with_train(changed(1, lambda x, y: (x, y[1:]))),
        "train, batch 1: 5 inputs and 4 targets; expected as many inputs as targets, and some",
    ),
    "another shape": (
        with_train(changed(4, lambda x, y: (x[:, 1:], y))),
        "train, counted, batch 4: inputs of shape [5] (float32) an example; expected shape [6] ("
        "float32), as at first: give all the same shape: pad sequences to one length",
    ),
    "another type": (
        with_train(changed(3, lambda x, y: (x.double(), y))),
        "train, batch 3: inputs of shape [6] (float64) an example; expected shape [6] (float32)",
    ),
    "a class that there is not": (
        with_train(changed(5, lambda x, y: (x, y + 7))),
        "train, counted, batch 5: classes 8 to 9; expected 0 to 2",
    ),
    "raises in the middle": (
        with_train(lambda seed: (1 / (i < 4) and b for i, b in enumerate(batches(TRAIN)))),
        "train, counted, batch 5: ZeroDivisionError: division by zero",
    ),
    "raises at the start": (
        with_train(lambda seed: batches(TRAIN)[99]),
        "train, the start: IndexError: ",
    ),
    "raises in a worker": (
        with_train(DataLoader(Items(lambda i: {}[i]), batch_size=5)),
        "train, batch 1: KeyError: 0",
    ),
    "other examples to test on": (
        lambda: Streams(data_sets()[0], TensorDataset(TEST[0][:, :4], TEST[1])),
        "data() gave a tensor of shape [23, 6] to train on, a tensor of shape [17, 4] to test on",
    ),
    "no class numbers": (
        with_train(TensorDataset(TRAIN[0], TRAIN[1].float())),
        "data(): train_targets gave torch.float32 of shape [23]; expected class numbers: int64",
    ),
}


@pytest.mark.parametrize(("data", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_before_anything_is_trained(data, message, make_task):
    with pytest.raises(LandscapeError, match=re.escape(message)) as caught:
        check_task(make_task(mlp, data=data), [(BATCH, 1)])
    told = str(caught.value)
    assert told.startswith("task 'tiny': data()")
    assert "\n" not in told


@pytest.mark.slow
def test_what_a_process_of_a_loader_raises_is_told_in_a_line(make_task):
    """Torch's own words are the traceback there."""
    loader = DataLoader(Items(lambda i: {}[i]), batch_size=5, num_workers=1)
    with pytest.raises(DataError) as caught:
        load_data(make_task(mlp, data=with_train(loader)))
    assert str(caught.value) == "task 'tiny': data(): train, batch 1: KeyError: 0"
    streams = Streams(Items(lambda i: {}[i] if i == 1 else (vector(i), 1)), [], workers=1)
    examples = Indexed(streams.train, None, "train", None, workers=1)
    with pytest.raises(DataError, match=r"train, epoch 1, batch \d: KeyError: 1$"):
        list(examples.shuffled(Epoch(0, 1, torch.Generator()), BATCH))


@pytest.mark.long
@pytest.mark.slow
def test_processes_that_outlive_an_epoch_are_refused(make_task):
    """Torch seeds them once, and its order of an epoch depends on those before."""
    options = {"num_workers": 1, "persistent_workers": True}
    with pytest.raises(TaskError, match=r"batch 1 is not the same .* leave persistent_workers ou"):
        load_data(make_task(mlp, data=lambda: loaders(**options)))


def test_processes_that_a_cluster_forbids_are_told_with_a_remedy():
    told = raised(AssertionError("daemonic processes are not allowed to have children"))
    assert told.endswith("where DASK_DISTRIBUTED__WORKER__DAEMON=False was set for them")


def test_columns_are_named_both_or_none():
    with pytest.raises(ValueError, match="inputs and targets name two columns: give both or none"):
        Streams([], [], inputs="pixels")
    with pytest.raises(ValueError, match="workers = -1: give 0 or more"):
        Streams([], [], workers=-1)


def test_data_that_are_no_function_are_told_when_the_task_is_made():
    with pytest.raises(TypeError, match=r"task 'mine': data is a tuple, no function: write data="):
        Task("mine", mlp, data_sets(), batch_size=5, epochs=1)  # type: ignore[arg-type]


# In the middle of a training


class Later(Batched):
    """A loader that is another from its n-th pass on."""

    def __init__(self, held: Any, then: Callable[[], Any], passes: int) -> None:
        super().__init__(held)
        self.then, self.passes = then, passes

    def __iter__(self) -> Iterator[Any]:
        self.passes -= 1
        return iter(self.held) if self.passes >= 0 else iter(self.then())


LOOKED_AT = 3  # passes: read, again, counted


def raising() -> Iterator[Any]:
    yield from batches(TRAIN)[:2]
    raise OSError("the disk is gone")


LATER: dict[str, tuple[Callable[[], Any], str]] = {
    "ends early": (
        lambda: batches(TRAIN)[:3],
        "train, epoch 2, the end: 15 examples in 3 batches; expected 23 in 5, as in every epoch: "
        f"give {FROM_ONCE}",
    ),
    "is empty": (lambda: [], "train, epoch 2, the end: 0 examples in 0 batches; expected 23 in 5"),
    "goes on": (
        lambda: itertools.cycle(batches(TRAIN)),
        "train, epoch 2, the end: more batches; expected 23 in 5",
    ),
    "gives other numbers": (
        lambda: changed(5, lambda x, y: (x[1:], y[1:])),
        "train, epoch 2, the end: 22 examples in 5 batches; expected 23 in 5",
    ),
    "gives other shapes": (
        lambda: changed(4, lambda x, y: (x[:, :2], y)),
        "train, epoch 2, batch 4: inputs of shape [2] (float32) an example; expected shape [6]",
    ),
    "raises": (raising, "train, epoch 2, batch 3: OSError: the disk is gone"),
}


@pytest.mark.parametrize(("then", "message"), LATER.values(), ids=LATER)
def test_a_loader_that_changes_its_mind_ends_the_training(
    then, message, make_task, make_panel, train
):
    loader = Later(batches(TRAIN), then, LOOKED_AT + 1)
    task = make_task(mlp, data=with_train(loader))
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        train(task, make_panel("sgd"), CELLS[:1], engine="referee")
    if "OSError" in message:
        assert isinstance(caught.value.__cause__, OSError)


def test_a_test_that_changes_its_mind_ends_the_training(make_task, make_panel, train):
    loader = Later(batches(TEST), lambda: batches(TEST)[1:], LOOKED_AT + 1)
    task = make_task(mlp, data=lambda: Streams(data_sets()[0], loader))
    message = "test, a test, the end: 12 examples in 3 batches; expected 17 in 4"
    with pytest.raises(DataError, match=message):
        train(task, make_panel("sgd"), CELLS[:1], engine="referee")


def test_items_that_are_wrong_later_are_told_with_their_batch(make_task, make_panel, train):
    """Only some items are looked at before: the last of eight is the last of all."""
    broken = {
        "KeyError: 'lost'": lambda i: {"found": vector(i)}["lost"],
        "its items make no batch (stack expects": lambda i: torch.ones(7),
        "an item: inputs that are a NoneType; expected a tensor": lambda i: None,
    }
    for message, make in broken.items():
        items = Items(lambda i, make=make: (make(i) if i == 1 else vector(i), 1))
        task = make_task(mlp, data=with_train(items))
        with pytest.raises(DataError, match=rf"train, epoch 1, batch \d: {re.escape(message)}"):
            train(task, make_panel("sgd"), CELLS[:1], engine="referee")


# What they are known by


def test_streams_are_known_by_some_examples_and_their_number(make_task):
    def known(data: Callable[[], Any]) -> str:
        task = make_task(mlp, data=data)
        return fingerprint(task, load_data(task))

    assert known(data_sets) == known(data_sets)
    assert known(loaders) == known(loaders)
    kinds = (
        data_sets,
        loaders,
        with_train(TensorDataset(*(t[:-1] for t in TRAIN))),
        with_train(TensorDataset(TRAIN[0] + 1, TRAIN[1])),
        with_train(Batched(batches(TRAIN))),
        with_train(Batched(batches(TRAIN)[:4])),
    )
    found = [known(data) for data in kinds]
    assert len(set(found)) == len(found)


def test_tensors_are_known_as_they_were(make_task):
    """So that studies of former versions go on; written down from one of them."""
    data = Data(*(torch.arange(12.0).view(4, 3), torch.arange(4)) * 2)
    task = Task("mine", lambda: torch.nn.Linear(3, 4), lambda: data, 4, 2, 1)
    assert fingerprint(task, data) == "5fd59c1f00e77a83"
