"""What a task is: data, network, loss, what is measured, batch size.

Letters: B examples, C classes; the shapes of an example and of its target are the task's own.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, SupportsIndex, TypeVar

import torch
from torch import Tensor, nn

from landscape_study.study.errors import TaskError
from landscape_study.study.own_code.source import source_digest
from landscape_study.study.records.identity import Identity
from landscape_study.study.spec.metric import LOSSES, METRICS, TEST_ERROR, Metric
from landscape_study.study.tasks import is_user_task
from landscape_study.study.tasks.data.examples import TaskData
from landscape_study.study.tasks.data.given_data import GivenData, opened
from landscape_study.study.tasks.data.tensors import in_precision, same_values
from landscape_study.study.tasks.measures import Measure, classification, require_measures
from landscape_study.study.tasks.randomness import DATA, derived_seed, seeded

F = TypeVar("F")
CHECKED = 32  # examples of a batch that are enough to see whether a task is right


class TaskProtocol(Protocol):
    """What any object must offer to be trained; `Task` is the ready-made one."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def classes(self) -> int | None:
        """C; None where examples are not classified."""
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
        """A new network at every call.

        Random numbers come from the generators of torch, numpy or Python that need no name:
        their seed decides the start weights.
        """
        ...

    def data(self) -> GivenData:
        """A `Data`, `Streams` or a pair of data sets; the same values at every call."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Scalar loss of outputs [B, …] against targets [B, …], the mean over the batch.

        Outputs of classification are the class scores, [B, C].
        """
        ...

    def normalize(self, inputs: Tensor) -> Tensor:
        """A batch [B, …] as it is stored, in the form the network takes.

        Not random: test examples are normalized anew after each epoch.
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
    """A task put together from plain functions; see `TaskProtocol` for what each must do.

    Attributes:
        data: gives tensors in memory as `Data`, or what is read while it is trained on as
            `Streams`; a pair (train, test) stands for `Streams(train, test)`.
        classes: C, where examples are classified: then test errors are recorded.
        epochs: default budget.
        metrics: what else is measured in tests. The first one is what a study is of that names
            none; without any that is the test error of classification, else the test loss.

    Raises:
        TypeError: without batch size or epochs, or with data that are no function.
    """

    name: str
    network: Callable[[], nn.Module]
    data: Callable[[], GivenData]
    classes: int | None = None
    batch_size: int = 0  # 0: none given
    epochs: int = 0
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy
    normalize: Callable[[Tensor], Tensor] = as_stored
    augment: Callable[[Tensor, torch.Generator], Tensor] = no_augmentation
    metrics: tuple[Measure, ...] = ()

    def __post_init__(self) -> None:
        lacking = [field for field in ("batch_size", "epochs") if not getattr(self, field)]
        if lacking:
            raise TypeError(f"task '{self.name}' lacks {' and '.join(lacking)}: give a number")
        if not callable(self.data):
            raise TypeError(
                f"task '{self.name}': data is a {type(self.data).__name__}, no function: write "
                "data=lambda: …, so that each worker makes its own"
            )


def own_copy(task: TaskProtocol, device: str, dtype: torch.dtype) -> TaskProtocol:
    """The task as one training has it for itself: loss and augmentation may keep state.

    Losses and metrics that are modules lie on `device`, what is single precision as `dtype`. Tasks
    of another class than `Task` are shared as they are: their methods keep no state.
    """
    if not isinstance(task, Task):
        return task
    own = replace(
        task,
        loss=_copied(task.loss),
        normalize=_copied(task.normalize),
        augment=_copied(task.augment),
        metrics=tuple(replace(one, total=_copied(one.total)) for one in task.metrics),
    )
    for function in (own.loss, *(measure.total for measure in own.metrics)):
        if isinstance(function, nn.Module):
            function._apply(lambda tensor: widened(tensor, dtype).to(device))
    return own


def _copied(function: F) -> F:
    """A copy of what may keep state; itself, where it cannot be copied: a lock, an open file."""
    try:
        return deepcopy(function)
    except Exception:  # objects refuse in their own ways
        return function


def memory_of(tensor: Tensor) -> int:
    """Where its values lie; 0 if it has none, or they lie in several places, as of sparse ones."""
    if tensor.layout != torch.strided or not tensor.numel():
        return 0
    return tensor.untyped_storage().data_ptr()


def load_data(task: TaskProtocol, tell: Callable[[str], None] = lambda message: None) -> TaskData:
    """The task's data; what it draws at random is the same in every process.

    Args:
        tell: called with a word when they have to be counted.

    Raises:
        TaskError: they are no data, or come otherwise each time.
        DataError: they cannot be read.
    """
    with seeded(derived_seed(0, DATA)):
        given = task.data()
    return opened(given, task.name, task.classes, tell)


def widened(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Single precision as `dtype`; whatever has another precision was given it on purpose."""
    single = tensor.dtype in (torch.float32, torch.complex64)
    return in_precision(tensor, dtype) if single else tensor


def as_precise(network: nn.Module, device: str, dtype: torch.dtype) -> nn.Module:
    """The network on `device`, what is of single precision as `dtype`."""
    return network._apply(lambda tensor: widened(tensor, dtype).to(device))


def normalized(task: TaskProtocol, inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of a stored batch as the network takes it, floating-point values as `dtype`."""
    return in_precision(task.normalize(inputs), dtype)


def measures_of(task: TaskProtocol) -> tuple[Measure, ...]:
    """What is measured of the task's cells in tests, in the order in which it is recorded."""
    loss = Measure(METRICS["test_loss"], partial(_total_loss, task))
    errors = () if task.classes is None else classification(task.classes)
    return (loss, *errors, *_own_metrics(task))


def _own_metrics(task: object) -> tuple[Measure, ...]:
    """Of the user's own; objects of another class than `Task` need have none."""
    return tuple(getattr(task, "metrics", ()))


def _total_loss(task: TaskProtocol, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss of each of the B examples, where it is their mean."""
    return task.loss(outputs, targets) * len(targets)


def metrics_of(task: TaskProtocol) -> dict[str, Metric]:
    """What is recorded of the task's cells, by name."""
    measured = {measure.name: measure.metric for measure in measures_of(task)}
    return {"train_loss": METRICS["train_loss"]} | measured


def main_metric(task: TaskProtocol) -> Metric:
    """What a study of the task is of that names no metric."""
    for measure in _own_metrics(task):
        return measure.metric
    return METRICS["test_loss"] if task.classes is None else TEST_ERROR


def require_task(task: object, name: str) -> None:
    """Check that `task` has all that a task must have.

    Raises:
        TaskError: naming what is missing, or wrong with its numbers or metrics.
    """
    numbers, functions = ("classes", "batch_size", "epochs"), ("network", "data", "loss")
    wanted = ("name", *numbers, *functions, "normalize", "augment")
    missing = [attribute for attribute in wanted if not hasattr(task, attribute)]
    if missing:
        raise TaskError(
            f"task '{name}': {type(task).__name__} object is no task, it lacks "
            f"{', '.join(missing)}: build it with landscape_study.Task; or mark a function that "
            "trains one cell with @landscape_study.objective"
        )
    for number in ("batch_size", "epochs"):
        value = getattr(task, number)
        if not _is_count(value):
            raise TaskError(f"task '{name}': {number} = {value!r}; expected a number from 1 on")
    classes = getattr(task, "classes")  # noqa: B009
    if classes is not None and not _is_count(classes):
        raise TaskError(
            f"task '{name}': classes = {classes!r}; expected how many there are, or None where "
            "examples are not classified"
        )
    errors = () if classes is None else classification(classes)
    taken = {*LOSSES, *(measure.name for measure in errors)}
    require_measures(getattr(task, "metrics", ()), taken, f"task '{name}'")


def _is_count(value: object) -> bool:
    """Whether it is a whole number from 1 on, Python's or numpy's."""
    return isinstance(value, SupportsIndex) and operator.index(value) > 0


def identify(name: str, task: TaskProtocol, data: TaskData) -> Identity:
    """What the task called `name` is known by, with the data that it gave."""
    source = source_digest(name) if is_user_task(name) else None
    return Identity(fingerprint(task, data), source)


def fingerprint(task: TaskProtocol, data: TaskData) -> str:
    """A hash of the data, as stored and normalized, and of the network's names and shapes.

    Of data that are read while they are trained on, some examples stand for all, and their number.
    Results are kept under it, so that a task whose data or network has changed since is
    noticed and not mixed with what was trained before.
    """
    digest = hashlib.sha256()
    sides = {"train": data.train, "test": data.test}
    tensors: dict[str, Tensor] = {
        f"{side}_{what}": tensor
        for side, examples in sides.items()
        for what, tensor in examples.identifying().items()
    }
    stored = tensors["train_inputs"][:CHECKED]
    batch = stored.clone()
    normal = task.normalize(batch)
    if normal is not batch or not same_values(batch, stored):
        tensors["normalized"] = normal
    for name, tensor in tensors.items():
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    with seeded(0):
        network = task.network()
    for key, value in network.state_dict().items():
        if isinstance(value, Tensor):  # a module may keep other things beside
            digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
    return digest.hexdigest()[:16]
