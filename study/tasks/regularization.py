"""What studies may add to a task: smoothed labels in training, another dropout."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import partial

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from landscape_study.study.tasks.task import Task, TaskProtocol

Loss = Callable[[Tensor, Tensor], Tensor]


def training_loss(task: TaskProtocol, smoothing: float) -> Loss:
    """The loss that a step goes down; tests have the task's own.

    Args:
        task: whose loss is PyTorch's cross entropy, if anything is smoothed.
        smoothing: of labels, as torch.nn.functional.cross_entropy takes it.
    """
    if not smoothing:
        return task.loss
    if isinstance(task.loss, nn.CrossEntropyLoss):
        loss = copy(task.loss)
        loss.label_smoothing = smoothing
        return loss
    return partial(nn.functional.cross_entropy, label_smoothing=smoothing)


def is_cross_entropy(task: TaskProtocol) -> bool:
    """Whether a task's loss is PyTorch's cross entropy, so that labels can be smoothed."""
    return task.loss is nn.functional.cross_entropy or isinstance(task.loss, nn.CrossEntropyLoss)


def with_dropout(task: TaskProtocol, share: float | None) -> TaskProtocol:
    """The task with this dropout in all of its network's modules for it; None: as it has."""
    if share is None or not isinstance(task, Task):
        return task
    return replace(task, network=partial(_network, task.network, share))


def dropout_modules(network: nn.Module) -> list[nn.Module]:
    """The modules of a network whose dropout can be set."""
    return [module for module in network.modules() if isinstance(module, _DropoutNd)]


def _network(make: Callable[[], nn.Module], share: float) -> nn.Module:
    network = make()
    for module in dropout_modules(network):
        module.p = share  # type: ignore[assignment]
    return network
