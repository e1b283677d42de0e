"""Chunks under test: their usual cells, and what they are held against.

Letters: K cells, P parameters.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landscape_study.study.pairs.options import Options
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.spec.study import Cell, Panel
from landscape_study.study.tasks.data.tensors import dense
from landscape_study.study.tasks.task import Task, metrics_of
from tests.study.references import PlainRun, plain_training

# A larger ε than usual: Adam makes less of the rounding of small gradients.
DOUBLE = Options(precision="float64", eps=1e-4)
CELLS = [Cell(0.05, 0.0), Cell(0.05, 0.1), Cell(0.02, 0.01), Cell(0.002, 0.3)]
BATCH = 5
FEW = 16  # steps of an epoch, below which it is the middle one that is measured


@dataclass(frozen=True)
class Trained:
    """What train_chunk gave, with the parameters and buffers that it ended with."""

    outcome: Outcome
    theta: Tensor  # [K, P]
    buffers: dict[str, Tensor]  # [K, …]


def assert_equals_plain_loop(
    trained: Trained,
    task: Task,
    panel: Panel,
    cells: Sequence[Cell] = CELLS,
    *,
    options: Options = DOUBLE,
    lambda_scale: Callable[[float], float] = lambda t: 1.0,
) -> None:
    """Parameters and buffers to 1e-12, curves (stored as float32) to their rounding."""
    data = task.data().to("cpu", torch.float64)
    settings = {"seed": 1, "batch_size": BATCH, "options": options, "lambda_scale": lambda_scale}
    for k, cell in enumerate(cells):
        plain = plain_training(task, data, panel, cell, **settings)  # type: ignore[arg-type]
        torch.testing.assert_close(trained.theta[k], plain.theta, rtol=0, atol=1e-12)
        for name, buffer in plain.network.named_buffers():
            torch.testing.assert_close(trained.buffers[name][k], dense(buffer), rtol=0, atol=1e-12)
        for metric in metrics_of(task):
            np.testing.assert_allclose(
                trained.outcome.curves[metric][k], plain.curves[metric], rtol=1e-7, atol=1e-12
            )
        steps = len(plain.steps[0])
        assert steps < FEW
        clips = not math.isinf(options.clip_norm)
        inside = plain_mechanism(plain, [steps // 2], clips=clips)
        assert trained.outcome.mechanism.keys() == inside.keys()
        for quantity, curve in inside.items():
            np.testing.assert_allclose(
                trained.outcome.mechanism[quantity][k], curve, rtol=1e-7, atol=1e-12
            )


def plain_mechanism(
    plain: PlainRun, measured: Sequence[int], *, clips: bool
) -> dict[str, np.ndarray]:
    """What happened inside of a plain loop, by quantity, [E], of these steps of each epoch."""
    some = [[steps[i] for i in measured] for steps in plain.steps]
    found = {
        "weight_norm": np.array(plain.weights),
        "gradient_norm": _root_mean_square([[step.gradient for step in steps] for steps in some]),
        "update_norm": _root_mean_square([[step.update for step in steps] for steps in some]),
    }
    shares = [[step.is_clipped for step in steps] for steps in plain.steps]
    return found | ({"clipped_share": np.mean(shares, axis=1)} if clips else {})


def _root_mean_square(norms: Sequence[Sequence[float]]) -> np.ndarray:
    return np.sqrt(np.mean(np.square(norms), axis=1))


def assert_same_outcome(a: Outcome, b: Outcome) -> None:
    """Equal to the bit, NaN included."""
    for one, other in ((a.curves, b.curves), (a.mechanism, b.mechanism)):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    np.testing.assert_array_equal(a.diverged_epoch, b.diverged_epoch)
