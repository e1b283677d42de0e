"""A task in a few lines, from a network and data sets as people have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from landscape_study.study.errors import TaskError
from landscape_study.study.tasks.data.form import Names
from landscape_study.study.tasks.data.given_data import GivenData
from landscape_study.study.tasks.data.streams import Streams
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.measures import Measure
from landscape_study.study.tasks.task import Task, as_stored, no_augmentation

# Of the set to test on: the first that is there. What is tuned by a test set is not tested by it.
TEST_NAMES = ("validation", "valid", "val", "test")
SETS = "a pair of data sets, a dict of 'train' and 'test', a landscape_study.Data or Streams"


def task_from(
    network: nn.Module | Callable[[], nn.Module],
    train: Any,
    test: Any = None,
    *,
    batch_size: int,
    epochs: int,
    classes: int | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
    metrics: Sequence[Measure] = (),
    inputs: str | Sequence[str] | None = None,
    targets: str | None = None,
    output: str | None = None,
    normalize: Callable[[Tensor], Tensor] = as_stored,
    augment: Callable[[Tensor, torch.Generator], Tensor] = no_augmentation,
    name: str | None = None,
) -> Task:
    """A task of a network and the data sets to train on and to test on.

    Args:
        network: what makes a new network: its class, or a function. A network that is there
            already is copied: every seed starts from its weights then.
        train: a data set of torch or Hugging Face, a loader, or a pair of arrays or tensors,
            inputs [B, …] and targets [B, …]. Without `test`, what has both: a pair, a dict of
            `train` and `validation` or `test`, or a function that gives one of these, called when
            they are needed.
        test: the same, to test on.
        batch_size: default batch size; that of a loader, where there is one.
        epochs: default budget.
        classes: C, where examples are classified.
        loss: of outputs [B, …] and targets [B, …], the mean over the batch.
        metrics: what else is measured; see `Task`.
        inputs: the column of the inputs, where items are dicts. Several of one shape and type go
            to the network by their names, as `input_ids` and `attention_mask`.
        targets: the column of the targets.
        output: which of the network's outputs counts, where they have names, as `logits`.
        normalize: a batch of inputs as the network takes it.
        augment: a training batch, augmented; see `TaskProtocol`.
        name: of the task; the network's, if none is given.

    Raises:
        TypeError: `network` is neither a network nor a function; one column without the other;
            metrics that are no sequence.
    """
    if not callable(network):
        kind = type(network).__name__
        raise TypeError(f"task_from: network is {kind}: give a module, its class or a function")
    if (inputs is None) != (targets is None):
        raise TypeError("task_from: inputs and targets name two columns: give both or none")
    if isinstance(metrics, Measure):
        raise TypeError("task_from: metrics is a Measure: give a tuple, (Measure(…),)")
    columns = inputs if inputs is None or isinstance(inputs, str) else tuple(inputs)
    names = columns if isinstance(columns, tuple) else None
    make = partial(deepcopy, network) if isinstance(network, nn.Module) else network
    if names is not None or output is not None:
        make = _MakeNamed(make, names, output)
    return Task(
        name=name or _name_of(network),
        network=make,
        data=_Sets(train, test, columns, targets),
        classes=classes,
        batch_size=batch_size,
        epochs=epochs,
        loss=loss,
        normalize=normalize,
        augment=augment,
        metrics=tuple(metrics),
    )


def _name_of(network: Any) -> str:
    made = getattr(network, "func", network)  # of a functools.partial
    name = str(getattr(made, "__name__", type(made).__name__))
    return "task" if name == "<lambda>" else name.lower()


@dataclass(frozen=True)
class _MakeNamed:
    """Networks whose inputs or outputs have names."""

    make: Callable[[], nn.Module]
    inputs: tuple[str, ...] | None
    output: str | None

    def __call__(self) -> nn.Module:
        return NamedNetwork(self.make(), self.inputs, self.output)


class NamedNetwork(nn.Module):
    """A network called with names, of whose outputs one counts.

    Args:
        network: the user's.
        inputs: names of the n inputs, which come as one tensor [B, n, …]; None for one input
            without a name.
        output: name of the output that counts; None where there is one without a name.
    """

    def __init__(
        self, network: nn.Module, inputs: tuple[str, ...] | None, output: str | None
    ) -> None:
        super().__init__()
        self.network, self.inputs, self.output = network, inputs, output

    def forward(self, inputs: Tensor) -> Tensor:
        """What counts of the outputs."""
        if self.inputs is None:
            found = self.network(inputs)
        else:
            found = self.network(**dict(zip(self.inputs, inputs.unbind(1), strict=True)))
        if self.output is None:
            return found
        return found[self.output] if isinstance(found, Mapping) else getattr(found, self.output)


@dataclass(frozen=True)
class _Sets:
    """A task's data, from what the user has of it."""

    train: Any
    test: Any
    inputs: Names | None
    targets: str | None

    def __call__(self) -> GivenData:
        train, test = self.train, self.test
        if test is None:
            found = train() if callable(train) else train
            if isinstance(found, Data | Streams):
                return found
            train, test = _both(found)
        if isinstance(train, Tensor | np.ndarray):
            raise TaskError(
                f"task_from: a {type(train).__name__} where a data set should be; expected inputs "
                "with their targets: task_from(network, (x_train, y_train), (x_test, y_test), …)"
            )
        for side, given in (("train", train), ("test", test)):
            _require_arrays(side, given)
        held, tested = _held(train), _held(test)
        if held is not None and tested is not None and self.inputs is None:
            return Data(*held, *tested)
        return Streams(
            train if held is None else TensorDataset(*held),
            test if tested is None else TensorDataset(*tested),
            self.inputs,
            self.targets,
        )


def _both(found: Any) -> tuple[Any, Any]:
    """What to train on and what to test on.

    Raises:
        TaskError: it is not known which is which.
    """
    if isinstance(found, Mapping):
        test = next((name for name in TEST_NAMES if name in found), None)
        if "train" in found and test is not None:
            return found["train"], found[test]
        names = ", ".join(f"'{name}'" for name in found)
        raise TaskError(
            f"task_from: a dict of {names}; expected 'train', and 'test' or 'validation': name "
            "both sets, task_from(network, train, test, …)"
        )
    if isinstance(found, tuple | list) and len(found) == 2 and _held(found) is None:
        return found[0], found[1]
    raise TaskError(
        f"task_from: {type(found).__name__} where the data sets should be; expected {SETS}: name "
        "both sets, task_from(network, train, test, …)"
    )


def _require_arrays(side: str, given: Any) -> None:
    """Check a tuple of two, which is meant as inputs and targets: both arrays, of one length.

    Raises:
        TaskError: they are not; two pairs may be a data set of two items.
    """
    if not isinstance(given, tuple) or len(given) != 2:
        return
    if any(isinstance(one, tuple | Mapping) for one in given):
        return
    kinds = " and ".join(type(one).__name__ for one in given)
    if not all(isinstance(one, Tensor | np.ndarray) and one.ndim for one in given):
        raise TaskError(
            f"task_from: {side} is a pair of {kinds}; expected inputs [B, …] and targets [B, …] "
            "as arrays or tensors: numpy.asarray(x) makes one of a list or a table"
        )
    inputs, targets = given
    if len(inputs) != len(targets):
        raise TaskError(
            f"task_from: {side} has {len(inputs)} inputs and {len(targets)} targets; expected as "
            "many inputs as targets"
        )


def _held(side: Any) -> tuple[Tensor, Tensor] | None:
    """Inputs and targets that lie in memory; None where they do not."""
    if isinstance(side, TensorDataset) and len(side.tensors) == 2:
        side = side.tensors
    if not isinstance(side, tuple | list) or len(side) != 2:
        return None
    if not all(isinstance(one, Tensor | np.ndarray) and one.ndim for one in side):
        return None
    if len(side[0]) != len(side[1]):
        return None
    return _tensor(side[0]), _tensor(side[1])


def _tensor(values: Tensor | np.ndarray) -> Tensor:
    """As a tensor; what numpy made double precision, as it does unasked, as single."""
    if isinstance(values, Tensor):
        return values
    copied = torch.from_numpy(np.array(values))
    return copied.float() if copied.dtype == torch.float64 else copied
