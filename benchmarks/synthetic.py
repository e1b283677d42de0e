"""The networks of the GPU benchmark: the tasks' own shapes, with data made up on the device."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import torch

from benchmarks.limit import step_flops
from landscape_study.study.pairs.options import Options
from landscape_study.study.planning.cost import Setting
from landscape_study.study.spec.grid import Axis, Grid
from landscape_study.study.spec.study import Panel, Study
from landscape_study.study.tasks import TASKS, load_task
from landscape_study.study.tasks.data.tensors import Data

CLASSES = 10
QUICK = 4  # examples of a batch; two batches are trained and two tested

ARITHMETIC = {
    "float32": Options(),
    "tf32": Options(tf32=True),
    "bf16": Options(bf16=True),
    "bf16, channels-last": Options(bf16=True, channels_last=True),
}


@dataclass(frozen=True)
class Synthetic:
    """A network, and examples of the shape and number that its task has."""

    name: str  # as in benchmarks.networks
    task: str
    shape: tuple[int, ...]  # of an example
    train: int  # examples
    test: int
    asked: float  # times more cells a second than one by one, as issue 5 has it
    cells: tuple[int, ...] = (16, 64, 256, 1024)  # of a chunk
    dtype: torch.dtype = torch.float32  # of the examples as they are stored

    @property
    def arithmetic(self) -> list[str]:
        """What of `ARITHMETIC` makes a difference here."""
        images = len(self.shape) == 3
        return [
            name for name, options in ARITHMETIC.items() if images or not options.channels_last
        ]

    def examples(self, *, quick: bool) -> tuple[int, int]:
        """How many there are to train and to test on."""
        return (2 * QUICK, 2 * QUICK) if quick else (self.train, self.test)

    def setting(
        self, device: str, arithmetic: str, *, quick: bool = False, steps: int | None = None
    ) -> Setting:
        """AdamW at the task's own budget and batch size; `quick` with tiny batches.

        Of the examples so many as an epoch of at most `steps` takes, and as large a part to test.
        """
        built_in = TASKS.get(self.task)  # whose data, if they come with a package, may be missing
        task = load_task(self.task if built_in is None else built_in.path)
        batch = QUICK if quick else task.batch_size
        train, test = self.examples(quick=quick)
        part = min(train, (steps or train) * batch)
        data = made_up(self.shape, self.dtype, part, max(1, test * part // train), device)
        task = dataclasses.replace(task, data=lambda: data)
        grid = Grid(alpha=Axis(values=(0.001,)), lambda_=Axis(values=(0.001,)))
        panel = Panel(pair="adamw", epochs=task.epochs, grid=grid)
        study = Study(
            name="gpu", task=self.task, panels=(panel,), options=ARITHMETIC[arithmetic]
        ).resolve(batch_size=batch, epochs=task.epochs)
        return Setting(study, task, data, device, threads=1)


@functools.cache
def made_up(
    shape: tuple[int, ...], dtype: torch.dtype, train: int, test: int, device: str
) -> Data:
    """Random examples with random targets: there is nothing to learn, and nothing diverges."""
    generator = torch.Generator(device).manual_seed(0)

    def examples(count: int) -> torch.Tensor:
        if dtype == torch.uint8:
            return torch.randint(
                256, (count, *shape), dtype=dtype, device=device, generator=generator
            )
        return torch.randn(count, *shape, dtype=dtype, device=device, generator=generator)

    def targets(count: int) -> torch.Tensor:
        return torch.randint(CLASSES, (count,), device=device, generator=generator)

    return Data(examples(train), targets(train), examples(test), targets(test))


def epoch_flops(setting: Setting) -> float:
    """Operations of one cell's epoch: training and the test after it."""
    training, evaluation = step_flops(setting.task, setting.batch_size)
    return -(-len(setting.data.train_targets) // setting.batch_size) * (training + evaluation)


SYNTHETIC = {
    network.name: network
    for network in (
        Synthetic("digits", "digits", (64,), 500, 1297, asked=30),
        Synthetic("mlp1d", "benchmarks.tasks:mlp1d", (40,), 4000, 1000, asked=30),
        Synthetic("mnist1d", "mnist1d", (1, 40), 4000, 1000, asked=10),
        Synthetic("mnist5k", "mnist5k", (1, 14, 14), 2000, 3000, asked=10),
        # Flips and crops of bytes included; a cell takes about a gigabyte.
        Synthetic(
            *("resnet26", "cifar10-2x32d", (3, 32, 32), 50_000, 10_000),
            **{"asked": 10, "cells": (4, 16, 64), "dtype": torch.uint8},
        ),
    )
}
