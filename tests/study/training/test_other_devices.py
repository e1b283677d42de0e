"""Training elsewhere than on the CPU: nothing of a step, a test or a checkpoint is left behind.

Without a GPU: PyTorch's device "meta" has tensors without numbers, which refuse others' company.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Axis, Grid, Panel
from landscape_study.study.training.course import Training, begun
from landscape_study.study.training.engines.base import Engine
from tests.study.chunks import CELLS
from tests.study.conftest import CLASSES
from tests.study.networks import NETWORKS, deep_mlp
from tests.study.references import SOME

pytestmark = pytest.mark.slow

AWAY = "meta"
ENGINES = ("referee", "vmap", "captured")
AXIS = Axis(values=(0.1,))


def cpu(tensor: Tensor) -> Tensor:
    """Numbers from there: zeros."""
    return torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else tensor


@pytest.fixture(autouse=True)
def _away() -> Iterator[None]:
    """What the device "meta" lacks: numbers that can be read, and autocast."""
    with (
        mock.patch.object(Tensor, "cpu", cpu),
        mock.patch.object(Engine, "autocast", return_value=nullcontext()),
        mock.patch.object(torch, "is_autocast_enabled", return_value=False),
    ):
        yield


def trained(task, engine: str, pair: str = "adamw", **options) -> Training:
    """An epoch of training, a test, and a restart from a checkpoint."""
    normalized = "unscheduled" not in pair
    panel = Panel(pair=pair, epochs=2, normalized=normalized, grid=Grid(alpha=AXIS, lambda_=AXIS))
    cells = CELLS[:1] if engine == "referee" else CELLS
    training = begun(
        *(task, task.data().to(AWAY, torch.float32), panel, cells),
        seed=0,
        batch_size=5,
        options=Options(**options),
        device=AWAY,
        engine=engine,
    )
    for _ in training.steps_of_epoch(together=True):
        training.restore(training.state())
    training.test()
    return training


def tensors_of(value: object) -> list[Tensor]:
    """All tensors in a state."""
    if isinstance(value, Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value
    return [t for one in inner for t in tensors_of(one)] if isinstance(value, dict | list) else []


@pytest.mark.some(8)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", list(NETWORKS))
def test_networks(name: str, engine: str, make_task):
    network, kind = NETWORKS[name]
    training = trained(make_task(network, kind), engine)
    named = training.engine.parameters() | training.engine.buffers()
    assert {tensor.device.type for tensor in named.values()} == {AWAY}
    kept = tensors_of(training.state())
    assert len(kept) > 5
    assert {tensor.device.type for tensor in kept} == {"cpu"}


@pytest.mark.some(9)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("pair", SOME)
def test_pairs_with_all_options(pair: str, engine: str, make_task):
    options = {"clip_norm": 1.0, "decay_1d": False, "accumulate": 2}
    trained(make_task(deep_mlp), engine, pair, **options)


@pytest.mark.parametrize("engine", ENGINES)
def test_augmented_and_normalized(engine: str, make_task):
    def augment(inputs: Tensor, generator: torch.Generator) -> Tensor:
        flipped = torch.rand(len(inputs), generator=generator) < 0.5
        return torch.where(flipped.to(inputs.device)[:, None], -inputs, inputs)

    task = make_task(NETWORKS["MLP"][0], augment=augment, normalize=lambda inputs: inputs / 2)
    trained(task, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_stays_behind_is_noticed(engine: str, make_task):
    class Behind(nn.Linear):
        def __init__(self) -> None:
            super().__init__(6, CLASSES)
            self.shift = torch.ones(CLASSES)  # no buffer: nobody moves it

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + self.shift

    with pytest.raises(RuntimeError, match="device"):
        trained(make_task(Behind), engine)
