"""Trying what a task measures: each a scalar, finite, and a sum over examples.

Letters: B examples.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from landscape_study.study.errors import TaskError
from landscape_study.study.tasks.attempts import attempt, shape_of, wrong
from landscape_study.study.tasks.measures import Measure
from landscape_study.study.tasks.task import TaskProtocol

ROUNDING = 1e4  # units of rounding, relative to the parts of a sum, that are no difference
REMEDY = (
    "the sum over the examples, as (outputs - targets).abs().mean(dim=1).sum(): the tests' slices "
    "are added up; what is no mean over examples, as R² or the root of a mean, is not recorded"
)


def require_sums(
    task: TaskProtocol, measures: tuple[Measure, ...], outputs: Tensor, targets: Tensor
) -> None:
    """Check what measures give for outputs [B, …] and targets [B, …], whole and in halves.

    Raises:
        TaskError: no finite scalar, or no sum.
    """
    for measure in measures:
        whole = _scalar(task, measure, outputs, targets)
        if not whole.isfinite():
            expected = "a finite number for the outputs of an untrained network"
            raise TaskError(wrong(task, _label(measure), f"{float(whole)}", expected))
        _require_sum(task, measure, outputs, targets)
        # Untrained networks may never hit; what is 0 everywhere looks like a sum.
        if outputs.shape == targets.shape:
            _require_sum(task, measure, targets.to(outputs.dtype), targets, made_up=True)


def _require_sum(
    task: TaskProtocol, measure: Measure, outputs: Tensor, targets: Tensor, made_up: bool = False
) -> None:
    """Whether the total is that of two halves.

    Args:
        made_up: the outputs are not the network's: a function need not take them.
    """
    half = len(outputs) // 2
    if half == 0:
        return
    parts = [slice(None), slice(None, half), slice(half, None)]
    try:
        whole, *halves = (
            _scalar(task, measure, outputs[some], targets[some]).double() for some in parts
        )
    except TaskError:
        if made_up:
            return
        raise
    total = halves[0] + halves[1]
    unit = torch.finfo(outputs.dtype).eps if outputs.is_floating_point() else 0.0
    allowed = ROUNDING * unit * (whole.abs() + halves[0].abs() + halves[1].abs())
    if bool((whole - total).abs() > allowed):
        found = f"{float(whole):.6g} for {len(outputs)} examples, but {float(halves[0]):.6g} and "
        found += f"{float(halves[1]):.6g} for their halves"
        raise TaskError(wrong(task, _label(measure), found, REMEDY))


def _scalar(task: TaskProtocol, measure: Measure, outputs: Tensor, targets: Tensor) -> Tensor:
    label = f"{_label(measure)} of outputs {list(outputs.shape)}, targets {list(targets.shape)}"
    found = attempt(task, label, partial(measure.total, outputs.clone(), targets.clone()))
    if not isinstance(found, Tensor) or found.shape != () or found.is_complex():
        raise TaskError(wrong(task, label, shape_of(found), f"a scalar tensor: {REMEDY}"))
    return found


def _label(measure: Measure) -> str:
    return f"metric '{measure.name}'"
