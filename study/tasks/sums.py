"""Trying what a task measures: each a scalar, finite, and a sum over examples; the loss a mean.

Letters: B examples.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from landscape_study.study.errors import TaskError
from landscape_study.study.tasks.attempts import attempt, shape_of, wrong
from landscape_study.study.tasks.measures import Measure
from landscape_study.study.tasks.randomness import seeded
from landscape_study.study.tasks.task import TaskProtocol

ROUNDING = 1e3  # units of rounding, relative to the parts of a sum, that are no difference
REMEDY = (
    "the sum over the examples, as (outputs - targets).abs().mean(dim=1).sum(): the tests' slices "
    "are added up; what is no mean over examples, as R² or the root of a mean, is not recorded"
)


def require_mean(task: TaskProtocol, outputs: Tensor, targets: Tensor) -> None:
    """Check that the loss is no sum over the B examples, and holds each output to its own target.

    What is neither a mean nor one of these passes: it may weigh examples, or compare them.

    Raises:
        TaskError: it is a sum, or holds each output against each target.
    """
    try:
        with seeded(0):
            mistake = _mistake(task, outputs, targets)
    except Exception:  # it need not take single examples, or targets of other shapes
        return
    if mistake is not None:
        raise TaskError(wrong(task, "loss()", *mistake))


def _mistake(task: TaskProtocol, outputs: Tensor, targets: Tensor) -> tuple[str, str] | None:
    """What the loss is in the place of a mean, and what was expected; None if nothing is known."""
    whole = _lost(task, outputs, targets)
    examples = zip(outputs.split(1), targets.split(1), strict=True)
    mean = torch.stack([_lost(task, *one) for one in examples]).mean()
    if _is_close(whole, mean, outputs):
        return None
    if _is_close(whole, len(outputs) * mean, outputs):
        return f"the sum over {len(outputs)} examples", "their mean, however many there are"
    if outputs.shape == targets.shape or outputs.numel() != targets.numel():
        return None
    if not _is_close(_lost(task, outputs, targets.reshape(outputs.shape)), mean, outputs):
        return None
    shapes = f"outputs {list(outputs.shape)} and targets {list(targets.shape)}"
    return (
        f"a number in which each output is held against each target, of {shapes}",
        "targets of the shape of the outputs, as targets[:, None] makes [B, 1] of [B]",
    )


def _lost(task: TaskProtocol, outputs: Tensor, targets: Tensor) -> Tensor:
    return task.loss(outputs.clone(), targets.clone()).double()


def _is_close(one: Tensor, other: Tensor, outputs: Tensor) -> bool:
    """But for rounding."""
    return bool((one - other).abs() <= ROUNDING * _unit(outputs) * other.abs())


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
    if bool((whole - totals.sum()).abs() > ROUNDING * _unit(outputs) * totals.abs().sum()):
        found = f"{float(whole):.6g} for {len(outputs)} examples, but {float(totals.sum()):.6g} "
        raise TaskError(wrong(task, _label(measure), found + "for their pairs, added up", REMEDY))


def _scalar(task: TaskProtocol, measure: Measure, outputs: Tensor, targets: Tensor) -> Tensor:
    label = f"{_label(measure)} of outputs {list(outputs.shape)}, targets {list(targets.shape)}"
    found = attempt(task, label, partial(measure.total, outputs.clone(), targets.clone()))
    if not isinstance(found, Tensor) or found.shape != () or found.is_complex():
        raise TaskError(wrong(task, label, shape_of(found), f"a scalar tensor: {REMEDY}"))
    return found


def _unit(outputs: Tensor) -> float:
    """Of rounding."""
    return torch.finfo(outputs.dtype).eps if outputs.is_floating_point() else 0.0


def _label(measure: Measure) -> str:
    return f"metric '{measure.name}'"
