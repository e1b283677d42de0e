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

ROUNDING = 1e3  # units of rounding, relative to the parts of a sum, that are no difference
REMEDY = (
    "the sum over the examples, as (outputs - targets).abs().mean(dim=1).sum(): the tests' slices "
    "are added up; what is no mean over examples, as R² or the root of a mean, is not recorded"
)


def require_sums(
    task: TaskProtocol, measures: tuple[Measure, ...], outputs: Tensor, targets: Tensor
) -> None:
    """Check what measures give for outputs [B, …] and targets [B, …], whole and in pairs.

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
    """Whether the total is that of pairs of examples, added up; one pair may be a triple.

    Args:
        made_up: the outputs are not the network's: a function need not take them.
    """
    pairs = max(1, len(outputs) // 2)
    parts = zip(outputs.tensor_split(pairs), targets.tensor_split(pairs), strict=True)
    try:
        whole = _scalar(task, measure, outputs, targets).double()
        totals = torch.stack([_scalar(task, measure, *part).double() for part in parts])
    except TaskError:
        if made_up:
            return
        raise
    unit = torch.finfo(outputs.dtype).eps if outputs.is_floating_point() else 0.0
    if bool((whole - totals.sum()).abs() > ROUNDING * unit * totals.abs().sum()):
        found = f"{float(whole):.6g} for {len(outputs)} examples, but {float(totals.sum()):.6g} "
        raise TaskError(wrong(task, _label(measure), found + "for their pairs, added up", REMEDY))


def _scalar(task: TaskProtocol, measure: Measure, outputs: Tensor, targets: Tensor) -> Tensor:
    label = f"{_label(measure)} of outputs {list(outputs.shape)}, targets {list(targets.shape)}"
    found = attempt(task, label, partial(measure.total, outputs.clone(), targets.clone()))
    if not isinstance(found, Tensor) or found.shape != () or found.is_complex():
        raise TaskError(wrong(task, label, shape_of(found), f"a scalar tensor: {REMEDY}"))
    return found


def _label(measure: Measure) -> str:
    return f"metric '{measure.name}'"
