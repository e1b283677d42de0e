"""What is read while it is trained on trains to what tensors in memory give, and holds no more.

Letters: K cells.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given as hypothetically
from hypothesis import settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from landscape_study import Streams
from landscape_study.study.pairs.options import Options
from landscape_study.study.tasks.data.examples import (
    READ_BYTES,
    READ_TOGETHER,
    Epoch,
    read_together,
)
from landscape_study.study.tasks.data.indexed import Indexed
from landscape_study.study.tasks.data.loaded import Loaded
from landscape_study.study.tasks.data.tensors import Held
from landscape_study.study.tasks.refusals import check_task
from landscape_study.study.tasks.task import Task, load_data
from tests.study.agreement.trials import why_not
from tests.study.chunks import BATCH, CELLS, DOUBLE, assert_same_outcome
from tests.study.conftest import TEST, TRAIN, tiny_data
from tests.study.networks import dropout_mlp, mlp
from tests.study.streams import (
    Batched,
    Noisy,
    Rows,
    RowStream,
    batches,
    data_sets,
    loaders,
    sides,
)
from tests.study.training.test_checkpoint import (
    InterruptionError,
    interrupt_at,
    make_checkpoint,
)
from tests.study.training.test_chunk import noise

pytestmark = pytest.mark.arithmetic

LONG = 300  # batches
COLUMNS = {"inputs": "pixels", "targets": "label"}


def rows() -> Streams:
    """Hugging Face's kind of data sets."""
    return Streams(*(Rows(*side) for side in sides()), **COLUMNS)


def row_streams() -> Streams:
    """Hugging Face's kind of streams."""
    return Streams(*(RowStream(*side) for side in sides()), **COLUMNS)


def noisy() -> Streams:
    return Streams(*(Noisy(*side) for side in sides()))


def shuffled_by(seed: int) -> DataLoader:
    """A function of a seed."""
    order = torch.Generator().manual_seed(seed)
    return DataLoader(data_sets()[0], batch_size=BATCH, shuffle=True, generator=order)


LOADERS: dict[str, Callable[[], Streams]] = {
    "DataLoader": loaders,
    "DataLoader of its own generator": lambda: loaders(generator=torch.Generator()),
    "stream with set_epoch": row_streams,
    "function of a seed": lambda: Streams(shuffled_by, data_sets()[1]),
}


def read(data: Any, epoch: int = 0, seed: int = 1, first: int = 0) -> list[list[float]]:
    """The first number of each example, in the batches of an epoch."""
    examples = load_data(data).train if isinstance(data, Task) else data.train
    this = Epoch(epoch, seed, torch.Generator().manual_seed(seed))
    return [inputs[:, 0].tolist() for inputs, _ in examples.shuffled(this, BATCH, first)]


# What it trains to


@pytest.mark.parametrize(
    "engine", ["vmap", pytest.param("captured", marks=pytest.mark.slow), "referee"]
)
def test_a_data_set_trains_to_the_bits_of_its_tensors(engine, make_task, make_panel, train):
    """Normalized, augmented, with dropout, in parts of batches, batches of any size."""
    task = make_task(dropout_mlp, augment=noise, normalize=lambda inputs: 2 * inputs)
    panel, how = make_panel("adamw", epochs=2), {"engine": engine, "batch_size": 7}
    how["options"] = DOUBLE.model_copy(update={"accumulate": 2})
    held = train(task, panel, **how)
    for data in (data_sets, rows)[: 2 if engine == "vmap" else 1]:
        streamed = train(replace(task, data=data), panel, **how)
        assert_same_outcome(streamed.outcome, held.outcome)
        assert torch.equal(streamed.theta, held.theta)


def test_bytes_stay_bytes_until_they_are_normalized(make_task, make_panel, train):
    inputs, targets = sides("image")[0]
    images = (50 * inputs + 120).clamp(0, 255).byte()
    pair = TensorDataset(images, targets)
    seen = []

    def normalize(inputs: torch.Tensor) -> torch.Tensor:
        seen.append(inputs.dtype)
        return inputs.flatten(1)[:, :6].float() / 255

    task = make_task(mlp, data=lambda: (pair, pair), normalize=normalize)
    train(task, make_panel("sgd", epochs=1))
    assert set(seen) == {torch.uint8}


@pytest.mark.parametrize("data", LOADERS.values(), ids=LOADERS)
def test_the_order_of_a_loader_is_the_seeds_and_the_epochs(data, make_task):
    task = make_task(mlp, data=data)
    found = read(task, 0, 1)
    assert found == read(task, 0, 1)
    everything = sorted(tiny_data("vector").train_inputs[:, 0].tolist())
    for batches_ in (found, read(task, 1, 2)):
        assert sorted(x for batch in batches_ for x in batch) == everything
    assert found != read(task, 1, 2)


@pytest.mark.parametrize("data", [*LOADERS.values(), noisy], ids=[*LOADERS, "noisy"])
def test_another_seed_trains_otherwise_and_the_same_seed_the_same(
    data, make_task, make_panel, train
):
    task, panel = make_task(mlp, data=data), make_panel("adamw", epochs=2)
    one, again, other = (train(task, panel, seed=seed) for seed in (1, 1, 2))
    assert_same_outcome(one.outcome, again.outcome)
    assert torch.equal(one.theta, again.theta)
    assert not torch.equal(one.theta, other.theta)


def test_a_loader_in_order_trains_as_a_plain_loop(make_task, make_panel, train):
    """By hand: SGD over the batches as they come, the losses weighed by their examples."""
    (train_pair, test_pair), panel = sides(), make_panel("sgd", "constant", epochs=2)
    data = partial(Streams, Batched(batches(train_pair)), Batched(batches(test_pair, 11)))
    task = make_task(partial(torch.nn.Linear, 6, 3), data=data)
    trained = train(task, panel, CELLS[:1])
    torch.manual_seed(1)
    network = torch.nn.Linear(6, 3).double()
    parameters, momentum = list(network.parameters()), DOUBLE.momentum
    rate, moments = CELLS[0].alpha, [torch.zeros_like(p) for p in network.parameters()]
    losses = []
    for _ in range(2):
        total = 0.0
        for inputs, targets in batches(train_pair):
            loss = task.loss(network(inputs.double()), targets)
            total += loss.item() * len(targets)
            for p, m, g in zip(
                parameters, moments, torch.autograd.grad(loss, parameters), strict=True
            ):
                m.mul_(momentum).add_(rate * g)
                p.data -= m
        losses.append(total / TRAIN)
    np.testing.assert_allclose(trained.outcome.curves["train_loss"][0], losses, rtol=1e-6)
    outputs = network(test_pair[0].double())
    error = 100 * (outputs.argmax(1) != test_pair[1]).double().mean().item()
    assert trained.outcome.curves["test_error"][0, -1] == pytest.approx(error)


def test_tests_are_means_over_examples_however_they_come(
    make_task, make_panel, train, monkeypatch
):
    """Batches of one size or of several, small or larger than what is tested at once."""
    monkeypatch.setattr("landscape_study.study.training.batches.TEST_SLICE", 5)
    panel, (_, test_pair) = make_panel("sgd"), sides()
    held = train(make_task(mlp), panel)
    x, y = test_pair
    uneven = [(x[:3], y[:3]), (x[3:], y[3:])]
    for test in (batches(test_pair, TEST), batches(test_pair, 2), uneven):
        data = partial(Streams, data_sets()[0], Batched(test))
        outcome = train(make_task(mlp, data=data), panel, batch_size=BATCH).outcome
        for metric, curve in held.outcome.curves.items():
            np.testing.assert_allclose(outcome.curves[metric], curve, rtol=1e-6)


def test_what_a_loader_draws_disturbs_no_random_numbers_of_the_training(
    make_task, make_panel, train
):
    train_pair, test_pair = sides()

    class Drawing(Batched):
        def __iter__(self):
            for batch in self.held:
                torch.rand(3), np.random.rand(), torch.randperm(4)
                yield batch

    found = [
        train(
            make_task(
                dropout_mlp,
                data=lambda kind=kind: Streams(
                    kind(batches(train_pair)), kind(batches(test_pair))
                ),
            ),
            make_panel("sgd"),
        )
        for kind in (Batched, Drawing)
    ]
    assert torch.equal(found[0].theta, found[1].theta)


@pytest.mark.slow
def test_workers_change_no_result(make_task, make_panel, train):
    """Not even what is drawn in fetching."""
    panel = make_panel("sgd", epochs=1)

    def trained(workers: int):
        streams = Streams(*(Noisy(*side) for side in sides()), workers=workers)
        return train(make_task(mlp, data=lambda: streams), panel, CELLS[:1]).theta

    assert torch.equal(trained(0), trained(2))


def test_batches_that_lie_in_rows_of_the_users_stay_as_they_are(make_task, make_panel, train):
    train_pair, test_pair = sides()
    data = partial(Streams, Batched(batches(train_pair)), Batched(batches(test_pair)))
    task = make_task(mlp, data=data, normalize=lambda inputs: inputs.mul_(2))
    train(task, make_panel("sgd", epochs=1), options=Options())
    assert torch.equal(train_pair[0], sides()[0][0])
    assert torch.equal(test_pair[0], sides()[1][0])


@hypothetically(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5), st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_however_many_there_are_a_data_set_gives_what_its_tensors_give(count, size, first, most):
    inputs, targets = torch.arange(count).float()[:, None], torch.arange(count)
    held = Held(inputs, targets)
    pairs = Indexed(TensorDataset(inputs, targets), None, "train", None, workers=0)
    loaded = Loaded(Batched(batches((inputs, targets), size)), None, "train", None, print)
    assert held.steps(size) == pairs.steps(size) == loaded.steps(size)
    orders = (torch.Generator().manual_seed(count) for _ in range(2))
    ours, theirs = (
        [pair[1].tolist() for pair in examples.shuffled(Epoch(0, 1, order), size, first)]
        for examples, order in zip((held, pairs), orders, strict=True)
    )
    assert ours == theirs
    for examples in (held, pairs, loaded):
        tested = [pair[1].tolist() for pair in examples.in_order(most)]
        assert [i for some in tested for i in some] == list(range(count))
        assert max(map(len, tested)) <= 1.5 * most + 1
        sample = examples.sample(most)[1].tolist()
        assert len(set(sample)) == min(most, count)


# Going on


RESUMED = LOADERS | {"data set": data_sets, "noisy items": noisy}


@pytest.mark.some(4)
@pytest.mark.parametrize("data", RESUMED.values(), ids=RESUMED)
@pytest.mark.parametrize("engine", ["vmap", "referee"])
def test_what_was_interrupted_goes_on_to_the_same_bits(
    data, engine, make_task, make_panel, train, tmp_path
):
    """In the second epoch, whose first batches are read again and not trained on."""
    task, panel = make_task(dropout_mlp, data=data), make_panel("adamw")
    how = {"engine": engine, "options": Options()}
    whole = train(task, panel, CELLS[:2], **how)
    kept = make_checkpoint(tmp_path, cells=CELLS[:2])
    with pytest.raises(InterruptionError):
        train(task, panel, CELLS[:2], **how, on_step=interrupt_at(10), checkpoint=kept)
    assert kept.path.exists()
    calls = []
    kept = make_checkpoint(tmp_path, cells=CELLS[:2])
    resumed = train(
        task, panel, CELLS[:2], **how, on_step=lambda: calls.append(1), checkpoint=kept
    )
    assert_same_outcome(resumed.outcome, whole.outcome)
    assert torch.equal(resumed.theta[-1], whole.theta[-1])
    assert calls


def test_each_batch_that_is_skipped_is_a_sign_of_life(make_task):
    data, skipped = load_data(make_task(mlp, data=loaders)), []
    this = Epoch(0, 1, torch.Generator(), lambda: skipped.append(1))
    assert len(list(data.train.shuffled(this, BATCH, 3))) == 2
    assert len(skipped) == 3


# How much is held and read


class Refilling:
    """A loader that fills one and the same tensors for each batch."""

    def __init__(self, side: tuple[torch.Tensor, torch.Tensor]) -> None:
        self.side = side

    def __iter__(self):
        held = [torch.empty_like(tensor[:BATCH]) for tensor in self.side]
        for batch in batches(self.side):
            pair = [own[: len(new)].copy_(new) for own, new in zip(held, batch, strict=True)]
            yield tuple(pair)


def test_a_loader_may_fill_its_batches_anew(make_task, make_panel, train):
    train_side, test_side = sides()
    last = {}
    for kind in (Refilling, lambda side: Batched(batches(side))):
        streams = Streams(kind(train_side), kind(test_side))
        task = make_task(mlp, data=lambda streams=streams: streams)
        last[kind] = train(task, make_panel("adamw", epochs=2), options=DOUBLE)
        data = load_data(task).train
        assert torch.equal(data.sample(9)[1], train_side[1][:9])
    one, other = last.values()
    assert_same_outcome(one.outcome, other.outcome)
    assert torch.equal(one.theta, other.theta)


@pytest.mark.parametrize(
    ("examples", "held"), [(1, READ_TOGETHER), (READ_BYTES // 40 + 1, 4), (READ_BYTES, 1)]
)
def test_small_batches_are_read_some_at_a_time(examples, held):
    """A few, or as many as take little memory: ten bytes an example, of inputs and targets."""
    asked = []

    def reading():
        for i in range(20):
            asked.append(i)
            yield torch.full((examples, 2), i, dtype=torch.int8), torch.zeros(examples).long()

    for i, (inputs, _) in enumerate(read_together(reading())):
        assert len(asked) == min(20, (i // held + 1) * held)
        assert inputs[0, 0] == i
    assert len(asked) == 20


def test_a_stream_larger_than_memory_is_never_held(make_task, make_panel, train):
    """Three hundred batches, of which a few live at a time."""
    living: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0

    class Endless:
        def __iter__(self):
            nonlocal most
            for i in range(LONG):
                inputs = torch.full((BATCH, 6), float(i)) + torch.eye(6)[:BATCH]
                living.add(inputs)
                most = max(most, len(living))
                yield inputs, torch.arange(BATCH) % 3

    task = make_task(mlp, data=lambda: Streams(Endless(), data_sets()[1]))
    data = check_task(task, [(BATCH, 1)])
    assert (data.train.count, data.train.steps(BATCH)) == (LONG * BATCH, LONG)
    train(task, make_panel("sgd", epochs=1), CELLS[:1])
    assert 0 < most <= 16  # of each data that are open some were looked at, twice


def test_all_cells_of_a_chunk_share_what_is_read(make_task, make_panel, train):
    train_rows, test_rows = (Rows(*side) for side in sides())
    task = make_task(mlp, data=lambda: Streams(train_rows, test_rows, **COLUMNS))
    counts = []
    for cells in (CELLS[:1], CELLS):
        train_rows.fetched.clear(), test_rows.fetched.clear()
        train(task, make_panel("sgd", epochs=2), cells)
        counts.append((len(train_rows.fetched), len(test_rows.fetched)))
    assert counts[0] == counts[1]
    looked_at = counts[0][0] - 2 * TRAIN
    assert 0 <= looked_at <= 16
    assert counts[0][1] - 2 * TEST == looked_at


def test_what_does_not_say_how_long_it_is_is_counted_once_and_told(make_task):
    told: list[str] = []
    task = make_task(mlp, data=row_streams)
    data = load_data(task, told.append)
    assert (data.train.count, data.train.steps(BATCH), data.train.own_batch) == (TRAIN, 5, BATCH)
    assert data.test.count == TEST
    assert told[:2] == [
        "task 'tiny': data(): train: counting its examples once, since it does not say how many "
        "there are",
        "task 'tiny': data(): train: 23 examples in 5 batches",
    ]


@pytest.mark.parametrize(
    ("options", "count", "steps"),
    [
        ({}, TRAIN, 5),
        ({"drop_last": True}, 20, 4),
        ({"batch_size": 100}, TRAIN, 1),
        ({"shuffle": False, "sampler": range(12)}, 12, 3),
    ],
    ids=["whole", "without the last", "one batch", "some"],
)
def test_a_dataloader_says_how_long_it_is(options, count, steps, make_task):
    told: list[str] = []
    data = load_data(make_task(mlp, data=lambda: loaders(**options)), told.append)
    assert (data.train.count, data.train.steps(1)) == (count, steps)
    assert data.train.own_batch == options.get("batch_size", BATCH)
    assert [line for line in told if "train" in line] == []
    assert sum(map(len, read(data))) == count


def test_a_function_that_gives_a_dataloader_is_not_counted(make_task):
    told: list[str] = []
    task = make_task(mlp, data=LOADERS["function of a seed"])
    data = load_data(task, told.append)
    assert (data.train.count, data.train.own_batch, told) == (TRAIN, BATCH, [])


def test_a_loader_whose_batches_are_not_what_it_says_is_counted(make_task):
    """Half of each batch is dropped as it is put together."""

    def halved(items):
        return torch.utils.data.default_collate(items[: (len(items) + 1) // 2])

    data = load_data(make_task(mlp, data=lambda: loaders(collate_fn=halved)))
    assert (data.train.count, data.train.steps(BATCH)) == (3 * 4 + 2, 5)


def test_the_trial_takes_a_few_examples_of_any_stream():
    """The engines are held against the referee on them, as on tensors."""
    task = Task("tiny", mlp, loaders, classes=3, batch_size=BATCH, epochs=2)
    assert why_not("vmap", task) is None
