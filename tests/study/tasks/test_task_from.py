"""A task in a few lines, from a network and data sets as people have them."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from landscape_study import Data, Measure, Metric, Streams, task_from
from landscape_study.study.errors import DataError, TaskError
from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Axis, Cell, Grid, Panel
from landscape_study.study.tasks.refusals import check_task
from landscape_study.study.tasks.task import Task, load_data
from landscape_study.study.training.chunk import train_chunk
from tests.study.agreement.trials import tried

WORDS, LENGTH = 11, 6
BUDGET = {"classes": 2, "batch_size": 10, "epochs": 2}


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def arrays(count, seed):
    coins = np.random.default_rng(seed)
    x = coins.normal(size=(count, 4))
    return x, (x[:, 0] > x[:, 1]).astype(np.int64)


TRAIN, TEST = arrays(60, 0), arrays(30, 1)


def tensors(pair):
    return TensorDataset(torch.tensor(pair[0], dtype=torch.float32), torch.tensor(pair[1]))


class Items(Dataset):
    """A map-style data set of dicts, as Hugging Face's."""

    def __init__(self, pair):
        self.pair = pair

    def __len__(self):
        return len(self.pair[0])

    def __getitem__(self, i):
        return {"x": self.pair[0][i].astype(np.float32).tolist(), "label": int(self.pair[1][i])}


COLUMNS = {"inputs": "x", "targets": "label"}
GIVEN = {  # how the same examples may be given
    "arrays": lambda: task_from(network, TRAIN, TEST, **BUDGET),
    "tensor data sets": lambda: task_from(network, tensors(TRAIN), tensors(TEST), **BUDGET),
    "a pair": lambda: task_from(network, (tensors(TRAIN), tensors(TEST)), **BUDGET),
    "a dict": lambda: task_from(
        network, {"train": tensors(TRAIN), "test": tensors(TEST)}, **BUDGET
    ),
    "a dict with a validation set": lambda: task_from(
        network, {"train": TRAIN, "validation": TEST, "test": TRAIN}, **BUDGET
    ),
    "a function": lambda: task_from(network, lambda: (tensors(TRAIN), tensors(TEST)), **BUDGET),
    "data": lambda: task_from(
        network, lambda: Data(*tensors(TRAIN).tensors, *tensors(TEST).tensors), **BUDGET
    ),
    "items": lambda: task_from(network, Items(TRAIN), Items(TEST), **BUDGET, **COLUMNS),
    "a dict of items": lambda: task_from(
        network, lambda: {"train": Items(TRAIN), "valid": Items(TEST)}, **BUDGET, **COLUMNS
    ),
    "streams": lambda: task_from(
        network, Streams(Items(TRAIN), Items(TEST), "x", "label"), **BUDGET
    ),
    "one of each": lambda: task_from(
        network, tensors(TRAIN), DataLoader(tensors(TEST), batch_size=30), **BUDGET
    ),
}


def curves(task: Task, engine: str = "vmap"):
    """Of two cells after the task's budget."""
    grid = Grid(alpha=Axis(values=(0.1,)), lambda_=Axis(values=(0.0,)))
    panel = Panel(pair="adamw", epochs=task.epochs, grid=grid)
    cells, options = [Cell(0.1, 0.0), Cell(0.05, 0.01)], Options()
    data = check_task(task, [(task.batch_size, 1)])
    how = {"seed": 0, "batch_size": task.batch_size, "options": options, "engine": engine}
    return train_chunk(task, data, panel, cells, **how).curves


@pytest.mark.parametrize("name", GIVEN)
def test_however_they_are_given_the_same_examples_train_the_same(name):
    ours, wanted = curves(GIVEN[name]()), curves(GIVEN["arrays"]())
    assert ours.keys() == wanted.keys()
    for metric in wanted:
        np.testing.assert_allclose(ours[metric], wanted[metric], rtol=1e-5, atol=1e-5)


def test_what_lies_in_memory_is_held_there():
    for name in ("arrays", "tensor data sets", "a pair", "a dict"):
        assert isinstance(load_data(GIVEN[name]()), Data)
    assert load_data(GIVEN["arrays"]()).train_inputs.dtype == torch.float32


def test_a_function_is_called_when_the_data_are_needed():
    called = []
    task = task_from(network, lambda: called.append(1) or (TRAIN, TEST), **BUDGET)
    assert not called
    load_data(task)
    assert called == [1]


def test_a_task_is_called_as_its_network():
    class Net(nn.Module):
        pass

    sets = {"train": TRAIN, "test": TEST}
    assert task_from(Net, sets, **BUDGET).name == "net"
    assert task_from(network, sets, **BUDGET).name == "network"
    assert task_from(network(), sets, **BUDGET).name == "sequential"
    assert task_from(partial(network), sets, **BUDGET).name == "network"
    assert task_from(lambda: network(), sets, **BUDGET).name == "task"
    assert task_from(network, sets, name="mine", **BUDGET).name == "mine"


def test_a_network_that_is_there_is_copied_for_each_training():
    mine = network()
    task = task_from(mine, TRAIN, TEST, **BUDGET)
    first, second = task.network(), task.network()
    assert first is not second
    assert torch.equal(first[0].weight, mine[0].weight)
    before = mine[0].weight.detach().clone()
    curves(task)
    assert torch.equal(mine[0].weight, before)


class Encoder(nn.Module):
    """Takes ids and a mask by their names, and gives several things, as Hugging Face's models."""

    def __init__(self, kind=SimpleNamespace):
        super().__init__()
        self.words = nn.Embedding(WORDS, 8)
        self.head = nn.Linear(8, 2)
        self.kind = kind

    def forward(self, input_ids, attention_mask):
        seen = attention_mask.unsqueeze(-1).to(self.words.weight)
        mean = (self.words(input_ids) * seen).sum(1) / seen.sum(1)
        return self.kind(logits=self.head(mean), hidden=mean)


class Sentences(Dataset):
    """Padded sequences of whole numbers, with a mask."""

    def __init__(self, count, seed):
        coins = np.random.default_rng(seed)
        self.ids = coins.integers(1, WORDS, size=(count, LENGTH))
        self.lengths = coins.integers(2, LENGTH + 1, size=count)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        mask = (np.arange(LENGTH) < self.lengths[i]).astype(np.int64)
        ids = self.ids[i] * mask
        return {
            "input_ids": ids.tolist(),
            "attention_mask": mask.tolist(),
            "label": int(ids.sum() > 6 * self.lengths[i]),
        }


def sentences(kind=SimpleNamespace, **changes):
    how = {
        "inputs": ["input_ids", "attention_mask"],
        "targets": "label",
        "output": "logits",
        **BUDGET,
        **changes,
    }
    return task_from(lambda: Encoder(kind), Sentences(60, 0), Sentences(30, 1), **how)


@pytest.mark.parametrize("kind", [SimpleNamespace, dict])
def test_inputs_and_outputs_by_name(kind):
    task = sentences(kind)
    sample, _ = load_sides(task)
    assert sample[0].shape == (5, 2, LENGTH)
    ids, mask = sample[0].unbind(1)
    direct = task.network()
    with torch.no_grad():
        expected = direct.network(input_ids=ids, attention_mask=mask)
        logits = expected["logits"] if kind is dict else expected.logits
        assert torch.equal(direct(sample[0]), logits)


def load_sides(task):
    data = check_task(task, [(task.batch_size, 1)])
    return data.train.sample(5), data.test.sample(5)


@pytest.mark.slow
def test_a_hugging_face_pair_is_trained_together():
    found = tried(sentences(), "vmap", "captured")
    assert {finding.why_not for finding in found.values()} == {None}
    assert curves(sentences())["test_error"][0, -1] < 50


def test_a_loader_of_batches_with_several_columns():
    loaders = [DataLoader(Sentences(n, s), batch_size=10, collate_fn=stacked) for n, s in SIZES]
    task = task_from(
        Encoder,
        *loaders,
        inputs=["input_ids", "attention_mask"],
        targets="label",
        output="logits",
        **BUDGET,
    )
    wanted, ours = curves(sentences()), curves(task)
    assert ours.keys() == wanted.keys()
    (inputs, _), _ = load_sides(task)
    assert inputs.shape == (5, 2, LENGTH)


SIZES = ((60, 0), (30, 1))


def stacked(items):
    return {name: torch.tensor([item[name] for item in items]) for name in items[0]}


BAD = {
    "two arrays": (
        lambda: task_from(network, *TRAIN, **BUDGET),
        "a ndarray where a data set",
    ),
    "more inputs than targets": (
        lambda: task_from(network, (TRAIN[0], TRAIN[1][:50]), TEST, **BUDGET),
        "task_from: train has 60 inputs and 50 targets; expected as many",
    ),
    "lists": (
        lambda: task_from(network, TRAIN, tuple(one.tolist() for one in TEST), **BUDGET),
        r"test is a pair of list and list; expected inputs .* numpy.asarray\(x\)",
    ),
    "tables": (
        lambda: task_from(network, (pd.DataFrame(TRAIN[0]), pd.Series(TRAIN[1])), TEST, **BUDGET),
        "train is a pair of DataFrame and Series; expected inputs",
    ),
    "one set": (
        lambda: task_from(network, tensors(TRAIN), **BUDGET),
        "task_from: TensorDataset where the data sets should be; expected a pair of data sets",
    ),
    "no test set": (
        lambda: task_from(network, {"train": TRAIN, "dev": TEST}, **BUDGET),
        "a dict of 'train', 'dev'; expected 'train', and 'test' or 'validation'",
    ),
    "no columns": (
        lambda: task_from(network, Items(TRAIN), Items(TEST), **BUDGET),
        "name the column of the inputs",
    ),
    "columns of two shapes": (
        lambda: sentences(inputs=["input_ids", "label"]),
        r"columns 'input_ids' of shape \[6\] \(int64\) and 'label' of shape \[\] \(int64\)",
    ),
    "a column that is not there": (
        lambda: sentences(inputs=["input_ids", "mask"]),
        "expected a column 'mask'",
    ),
    "an output that is not there": (
        lambda: sentences(output="scores"),
        "no attribute 'scores'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_task_is_told(name):
    make, message = BAD[name]
    with pytest.raises((TaskError, DataError), match=message):
        check_task(make(), [(10, 1)])


def test_a_network_that_is_none_is_told():
    with pytest.raises(TypeError, match="network is dict: give a module"):
        task_from({}, TRAIN, TEST, **BUDGET)


def test_a_measure_without_its_tuple_is_told():
    one = Measure(Metric("mae", "error"), lambda outputs, targets: (outputs - targets).sum())
    with pytest.raises(TypeError, match="task_from: metrics is a Measure: give a tuple"):
        task_from(network, TRAIN, TEST, **BUDGET, metrics=one)


@pytest.mark.parametrize("column", [{"inputs": "x"}, {"targets": "label"}])
def test_one_column_without_the_other_is_told(column):
    with pytest.raises(TypeError, match="task_from: inputs and targets name two columns"):
        task_from(network, Items(TRAIN), Items(TEST), **column, **BUDGET)
