"""Tasks that misbehave, for the tests of the driver and of bad input."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from examples.spirals import spirals
from torch import Tensor, nn

from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.data_folder import data_folder
from landscape_study.study.tasks.task import Task


class _Act(nn.Module):
    """The identity, that does something on the way in training."""

    def act(self, inputs: Tensor) -> None:
        """Do it."""

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.act(inputs)
        return inputs


class _Sleep(_Act):
    """Sleeps in each step; in a slot, as long as a file named by the environment is there."""

    def act(self, inputs: Tensor) -> None:
        time.sleep(0.05)
        held = os.environ.get("LANDSCAPE_TEST_HELD")
        while held and "landscape_study.cli" not in sys.modules:  # not while it is planned
            if not Path(held).exists():
                return
            time.sleep(0.02)


class _DieOnce(_Act):
    """Kills its worker the first time that a file named by the environment is not there."""

    number = signal.SIGKILL

    def act(self, inputs: Tensor) -> None:
        marker = Path(os.environ["LANDSCAPE_TEST_MARKER"])
        if os.getpid() != int(os.environ["LANDSCAPE_TEST_PARENT"]) and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), self.number)


class _DieAlways(_Act):
    def act(self, inputs: Tensor) -> None:
        if os.getpid() != int(os.environ["LANDSCAPE_TEST_PARENT"]):
            os.kill(os.getpid(), signal.SIGKILL)


class _HangOnce(_DieOnce):
    """Stops its worker likewise, as if it hung."""

    number = signal.SIGSTOP


class _DieOfInfinity(_Act):
    """Kills its worker when activations overflow; a branch that makes cells train one by one."""

    def act(self, inputs: Tensor) -> None:
        if not inputs.isfinite().all():
            os.kill(os.getpid(), signal.SIGKILL)


class _FailInWorker(_Act):
    def act(self, inputs: Tensor) -> None:
        if os.getpid() != int(os.environ["LANDSCAPE_TEST_PARENT"]):
            raise RuntimeError("a fault in the user's network")


class _Branch(_Act):
    """A branch that depends on the data: nothing for vmap."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs if inputs.mean() > -1e9 else -inputs


def _with(first: nn.Module):
    return lambda: nn.Sequential(nn.Linear(2, 8), first, nn.Tanh(), nn.Linear(8, 2))


def _twelve_classes() -> Data:
    """Told by the largest of the inputs' first 12 values."""
    inputs = torch.randn(60, 15, generator=torch.Generator().manual_seed(0))
    targets = inputs[:, :12].argmax(dim=1)
    return Data(inputs[:30], targets[:30], inputs[30:], targets[30:])


class _RefuseInfinity(_Act):
    """As a loss or network does that asserts finite numbers."""

    def act(self, inputs: Tensor) -> None:
        if not inputs.isfinite().all():
            raise ValueError("logits must be finite")


class _LeaveInWorker(_Act):
    """Ends the program, as `sys.exit(0)` does, where a worker trains it."""

    def act(self, inputs: Tensor) -> None:
        if os.getpid() != int(os.environ["LANDSCAPE_TEST_PARENT"]):
            raise SystemExit(0)


def _data_of_the_process() -> Data:
    """Other data in every process, as without a seed."""
    data = spirals.data()
    noise = torch.randn(data.train_inputs.shape, generator=_generator(os.getpid()))
    return replace(data, train_inputs=data.train_inputs + noise)


def _data_that_hang() -> Data:
    if os.getpid() != int(os.environ["LANDSCAPE_TEST_PARENT"]):
        time.sleep(1e5)
    return spirals.data()


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _data_of_the_folder() -> Data:
    if not (data_folder() / "marker").exists():
        raise FileNotFoundError("no marker")
    return spirals.data()


many_classes = Task("many-classes", lambda: nn.Linear(15, 12), _twelve_classes, 12, 5, 3)
slow = replace(spirals, name="slow", network=_with(_Sleep()))
dies_once = replace(spirals, name="dies-once", network=_with(_DieOnce()))
hangs_once = replace(spirals, name="hangs-once", network=_with(_HangOnce()))
dies_of_infinity = replace(
    spirals,
    name="dies-of-infinity",
    network=lambda: nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2), _DieOfInfinity()),
)
dies_always = replace(spirals, name="dies-always", network=_with(_DieAlways()))
fails = replace(spirals, name="fails", network=_with(_FailInWorker()))
refuses_infinity = replace(
    spirals,
    name="refuses-infinity",
    network=lambda: nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2), _RefuseInfinity()),
)
leaves = replace(spirals, name="leaves", network=_with(_LeaveInWorker()))
hangs_at_first = replace(spirals, name="hangs-at-first", data=_data_that_hang)
unseeded = replace(spirals, name="unseeded", data=_data_of_the_process)
branching = replace(spirals, name="branching", network=_with(_Branch()))
wrong_shape = replace(spirals, name="wrong-shape", network=lambda: nn.Linear(2, 5))
needs_data = replace(spirals, name="needs-data", data=_data_of_the_folder)
no_task = torch.zeros(3)
