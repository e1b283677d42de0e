"""What items and batches must be: pairs of tensors, all of one form.

Letters: B examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape_study.study.errors import first_line
from landscape_study.study.tasks.data.examples import Batch

Names = str | tuple[str, ...]  # of one column, or of several that make one tensor
Columns = tuple[Names, str] | None  # of inputs and of targets, where there are columns
NAMED = 8  # columns that a message names
PADDING = "give all the same shape: pad sequences to one length in the data set"

NUMBERS = (
    "expected a tensor, an array or numbers, as transform=ToTensor() makes of images, and "
    ".with_format('torch') of Hugging Face's data sets"
)
BATCHED = (
    "of single examples make batches by a torch.utils.data.DataLoader with a batch_size, or by "
    ".batch() of a Hugging Face stream"
)
DAEMONS = (
    "workers of a dask cluster can start those of loaders where DASK_DISTRIBUTED__WORKER__DAEMON="
    "False was set for them"
)


class FormError(Exception):
    """What is no item or batch as it should be; says what was found, and what was expected."""


def pair_of(given: object, columns: Columns, dim: int = 0) -> tuple[Any, Any]:
    """The inputs and targets of a batch, or of an item.

    Several columns of inputs are stacked along a new dimension `dim`: 0 of an item, 1 of a batch.

    Raises:
        FormError: it is no pair, or has no such columns.
    """
    if columns is None and isinstance(given, tuple | list) and len(given) == 2:
        return given[0], given[1]
    if isinstance(given, Mapping):
        names = ", ".join(f"'{name}'" for name in [*given][:NAMED])
        if columns is None:
            raise FormError(
                f"a dict of {names}; name the column of the inputs and that of the targets: "
                'Streams(…, inputs="…", targets="…")'
            )
        wanted, targets = columns
        lacking = [name for name in _names(columns) if name not in given]
        if lacking:
            raise FormError(f"a dict of {names}; expected a column '{lacking[0]}'")
        if isinstance(wanted, str):
            return given[wanted], given[targets]
        return _stacked(given, wanted, dim), given[targets]
    if columns is not None:
        names = " and ".join(_names(columns))
        raise FormError(f"{kind(given)}; expected a dict with the columns {names}")
    expected = "expected a pair: inputs and targets; or a dict, whose columns Streams names"
    raise FormError(f"{kind(given)}; {expected}")


def _names(columns: tuple[Names, str]) -> tuple[str, ...]:
    """Of all columns."""
    inputs, targets = columns
    return (inputs, targets) if isinstance(inputs, str) else (*inputs, targets)


def _stacked(given: Mapping[str, object], names: tuple[str, ...], dim: int) -> Tensor:
    """Columns of one shape and type as one tensor."""
    columns = [tensor_of(given[name], f"column '{name}'") for name in names]
    forms = [_told((list(column.shape), column.dtype)) for column in columns]
    if len(set(forms)) > 1:
        found = " and ".join(
            f"'{name}' of {form}" for name, form in zip(names, forms, strict=True)
        )
        raise FormError(f"columns {found}; expected all inputs of one shape and type")
    return torch.stack(columns, dim)


def tensor_of(value: object, what: str) -> Tensor:
    """Numbers, arrays and nested lists of numbers as a tensor.

    Raises:
        FormError: it is none of these.
    """
    if isinstance(value, Tensor):
        return value
    try:
        if isinstance(value, np.ndarray | np.generic):
            return torch.from_numpy(np.array(value))  # a copy: it may be read-only
        if isinstance(value, list | tuple | bool | int | float) and not _holds_tensors(value):
            return torch.tensor(value)
    except (TypeError, ValueError, RuntimeError) as e:
        remedy = PADDING if "sequence of length" in str(e) else NUMBERS
        raise FormError(f"{what} that are {kind(value)} ({first_line(e)}); {remedy}") from e
    raise FormError(f"{what} that are {kind(value)}; {NUMBERS}")


def _holds_tensors(value: object) -> bool:
    """Whether a list does, which `torch.tensor` would take for a list of numbers."""
    return isinstance(value, list | tuple) and any(isinstance(one, Tensor) for one in value)


def raised(e: BaseException) -> str:
    """What the user's code, or a process that reads ahead, raised, in one line."""
    if "Original Traceback" in str(e):  # of another process torch tells all of it
        return str(e).strip().splitlines()[-1]
    told = f"{type(e).__name__}: {first_line(e)}"
    return f"{told}: {DAEMONS}" if "daemonic processes" in told else told


def kind(value: object) -> str:
    """What it is, in a message."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    if isinstance(value, tuple | list):
        held = f" of {type(value[0]).__name__}" if len(value) else ""
        return f"a {type(value).__name__} of length {len(value)}{held}"
    return f"a {type(value).__name__}"


@dataclass(frozen=True)
class Form:
    """What an example of a side looks like: its shape and type, and that of its target."""

    inputs: tuple[list[int], torch.dtype]
    targets: tuple[list[int], torch.dtype]
    classes: int | None = None

    @classmethod
    def of(cls, batch: Batch, classes: int | None) -> Form:
        """As in this batch."""
        inputs, targets = batch
        return cls(_of_example(inputs), _of_example(targets), classes)

    def require(self, batch: Batch) -> None:
        """Check that a batch is of this form.

        Raises:
            FormError: it is not, with what differs.
        """
        require_examples(batch)
        for what, tensor, own in zip(
            ("inputs", "targets"), batch, (self.inputs, self.targets), strict=True
        ):
            if _of_example(tensor) != own:
                found, expected = _told(_of_example(tensor)), _told(own)
                same_shape = list(tensor.shape[1:]) == own[0]
                remedy = "give all the same type" if same_shape else PADDING
                raise FormError(
                    f"{what} of {found} an example; expected {expected}, as at first: {remedy}"
                )
        if self.classes is not None and self.targets == ([], torch.int64):
            low, high = int(batch[1].min()), int(batch[1].max())
            if low < 0 or high >= self.classes:
                raise FormError(f"classes {low} to {high}; expected 0 to {self.classes - 1}")


def require_examples(batch: Batch) -> None:
    """Check that a batch has as many inputs as targets, and some.

    Raises:
        FormError: it has not.
    """
    inputs, targets = batch
    if not inputs.ndim or not targets.ndim:
        raise FormError(f"a single example; expected inputs [B, …] and targets [B, …]; {BATCHED}")
    if len(inputs) != len(targets) or not len(targets):
        found = f"{len(inputs)} inputs and {len(targets)} targets"
        raise FormError(f"{found}; expected as many inputs as targets, and some; {BATCHED}")


def _of_example(tensor: Tensor) -> tuple[list[int], torch.dtype]:
    return list(tensor.shape[1:]), tensor.dtype


def _told(of_example: tuple[list[int], torch.dtype]) -> str:
    shape, dtype = of_example
    return f"shape {shape} ({str(dtype).removeprefix('torch.')})"
