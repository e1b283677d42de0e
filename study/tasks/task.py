"""What a task is: data, network, loss, batch size.

Letters: B examples, C classes; an example's shape is the task's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from study.errors import LandscapeError, TaskError

T = TypeVar("T")
CHECKED = 32  # examples of a batch that are enough to see whether a task is right


@dataclass(frozen=True)
class Data:
    """Inputs [B, …] and class numbers [B] (int64, 0 to C − 1) to train on and to test on."""

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor

    def to(self, device: str | torch.device, dtype: torch.dtype) -> Data:
        """The data on `device`, floating-point inputs as `dtype`."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)

        return Data(*(move(getattr(self, field.name)) for field in fields(self)))


class TaskProtocol(Protocol):
    """What any object must offer to be trained; `Task` is the ready-made one."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def classes(self) -> int:
        """C."""
        ...

    @property
    def batch_size(self) -> int:
        """Default batch size."""
        ...

    @property
    def epochs(self) -> int:
        """Default budget."""
        ...

    def network(self) -> nn.Module:
        """A freshly initialized network; random numbers come from torch's generator."""
        ...

    def data(self) -> Data:
        """The tensors; the same ones at every call."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Scalar loss of outputs [B, C] against targets [B], the mean over the batch."""
        ...

    def normalize(self, inputs: Tensor) -> Tensor:
        """A batch [B, …] as it is stored, in the form the network takes.

        Neither random nor in place: test examples are normalized anew after each epoch.
        """
        ...

    def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """A normalized training batch [B, …], augmented with randomness from `generator` only.

        `generator` is on the CPU, whatever the device of `inputs`.
        """
        ...


def as_stored(inputs: Tensor) -> Tensor:
    """The inputs as they are."""
    return inputs


def no_augmentation(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """The inputs as they are."""
    return inputs


@dataclass(frozen=True)
class Task:
    """A task put together from plain functions; see `TaskProtocol` for what each must do."""

    name: str
    network: Callable[[], nn.Module]
    data: Callable[[], Data]
    classes: int
    batch_size: int
    epochs: int  # default budget
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy
    normalize: Callable[[Tensor], Tensor] = as_stored
    augment: Callable[[Tensor, torch.Generator], Tensor] = no_augmentation


def normalized(task: TaskProtocol, inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """A stored batch as the network takes it, floating-point values as `dtype`."""
    inputs = task.normalize(inputs)
    return inputs.to(dtype) if inputs.is_floating_point() else inputs


def chance_error(task: TaskProtocol, guesses: int = 1) -> float:
    """Test error of guessing so many classes, in percent: what diverged cells are given."""
    return 100 * (1 - guesses / task.classes)


def require_task(task: object, name: str) -> None:
    """Check that `task` has all that a task must have.

    Raises:
        TaskError: naming what is missing.
    """
    numbers, functions = ("classes", "batch_size", "epochs"), ("network", "data", "loss")
    wanted = ("name", *numbers, *functions, "normalize", "augment")
    missing = [attribute for attribute in wanted if not hasattr(task, attribute)]
    if missing:
        raise TaskError(
            f"task '{name}': {type(task).__name__} object is no task, it lacks "
            f"{', '.join(missing)}: build it with study.tasks.task.Task"
        )


@torch.random.fork_rng(devices=[])  # what is tried here leaves the caller's generator alone
def check_task(task: TaskProtocol, batch_size: int) -> Data:
    """Load the data and try one batch, so that a wrong task fails before anything is trained.

    Returns:
        The data, on the CPU as the task gives it.

    Raises:
        TaskError: wrong types, shapes, labels or outputs, with what was expected.
    """
    data = _attempt(task, "data()", task.data)
    _check_data(task, data)
    network = _attempt(task, "network()", task.network)
    if not isinstance(network, nn.Module):
        raise TaskError(_wrong(task, "network()", type(network).__name__, "a torch.nn.Module"))
    if not any(p.requires_grad for p in network.parameters()):
        raise TaskError(_wrong(task, "network()", "nothing to train", "some parameters"))
    network = network.float()
    full, last = min(batch_size, len(data.train_inputs)), len(data.train_inputs) % batch_size
    sizes = (min(size, CHECKED) for size in (full, last or full))
    for size in dict.fromkeys(sizes):  # the last partial batch is kept
        inputs, targets = _augmented(task, data.train_inputs[:size]), data.train_targets[:size]
        label = f"the network on a batch of {size}"
        outputs = _attempt(task, label, partial(network, inputs))
        if not isinstance(outputs, Tensor) or outputs.shape != (size, task.classes):
            expected = f"outputs of shape [{size}, {task.classes}] (batch, classes)"
            raise TaskError(_wrong(task, label, _shape(outputs), expected))
        loss = _attempt(task, "loss()", partial(task.loss, outputs, targets))
        if not isinstance(loss, Tensor) or loss.shape != ():
            raise TaskError(_wrong(task, "loss()", _shape(loss), "a scalar, the batch's mean"))
    return data


def _augmented(task: TaskProtocol, inputs: Tensor) -> Tensor:
    """A training batch as the network would get it, in single precision."""
    expected = f"a tensor of {len(inputs)} examples, as many as went in"
    stored = inputs.clone()
    batch = _attempt(task, "normalize()", partial(task.normalize, stored))
    if not isinstance(batch, Tensor) or len(batch) != len(inputs):
        raise TaskError(_wrong(task, "normalize()", _shape(batch), expected))
    if not torch.allclose(stored, inputs, rtol=0, atol=0, equal_nan=True):
        found = "a batch that it changed in place"
        raise TaskError(_wrong(task, "normalize()", found, "a new tensor: the data are kept"))
    batch = batch.float() if batch.is_floating_point() else batch
    augmented = _attempt(task, "augment()", partial(task.augment, batch, torch.Generator()))
    if not isinstance(augmented, Tensor) or len(augmented) != len(inputs):
        raise TaskError(_wrong(task, "augment()", _shape(augmented), expected))
    return augmented


def _check_data(task: TaskProtocol, data: Data) -> None:
    if not isinstance(data, Data):
        raise TaskError(_wrong(task, "data()", type(data).__name__, "a study.tasks.task.Data"))
    for field in fields(data):
        value = getattr(data, field.name)
        if not isinstance(value, Tensor):
            label = f"data(): {field.name}"
            raise TaskError(_wrong(task, label, type(value).__name__, "a torch.Tensor"))
    for part in ("train", "test"):
        inputs, targets = getattr(data, f"{part}_inputs"), getattr(data, f"{part}_targets")
        label = f"data(): {part}_targets"
        if targets.dtype != torch.int64 or targets.ndim != 1:
            found = f"{targets.dtype} of shape {list(targets.shape)}"
            raise TaskError(_wrong(task, label, found, "class numbers: int64 of shape [B]"))
        if len(inputs) != len(targets) or len(targets) == 0:
            found = f"{len(inputs)} inputs and {len(targets)} targets"
            raise TaskError(_wrong(task, label, found, "as many inputs as targets, and some"))
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= task.classes:
            found, expected = f"classes {low} to {high}", f"classes 0 to {task.classes - 1}"
            raise TaskError(_wrong(task, label, found, expected))
    if data.train_inputs.shape[1:] != data.test_inputs.shape[1:]:
        found = f"{_shape(data.train_inputs)} to train on, {_shape(data.test_inputs)} to test on"
        raise TaskError(_wrong(task, "data()", found, "examples of one shape"))


def _attempt(task: TaskProtocol, label: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except LandscapeError:
        raise  # it says itself what is wrong: data that are not there
    except Exception as e:  # whatever the user's code raises
        raise TaskError(f"task '{task.name}': {label} failed: {type(e).__name__}: {e}") from e


def _wrong(task: TaskProtocol, label: str, found: str, expected: str) -> str:
    return f"task '{task.name}': {label} gave {found}; expected {expected}"


def _shape(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    return type(value).__name__


@torch.random.fork_rng(devices=[])
def fingerprint(task: TaskProtocol, data: Data) -> str:
    """A hash of the data, as stored and normalized, and of the network's names and shapes.

    Results are kept under it, so that a task whose data or network has changed since is
    noticed and not mixed with what was trained before.
    """
    digest = hashlib.sha256()
    tensors: dict[str, Tensor] = {field.name: getattr(data, field.name) for field in fields(data)}
    batch = data.train_inputs[:CHECKED]
    normal = task.normalize(batch)
    if normal is not batch:
        tensors["normalized"] = normal
    for name, tensor in tensors.items():
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    for key, value in task.network().state_dict().items():
        digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
    return digest.hexdigest()[:16]
