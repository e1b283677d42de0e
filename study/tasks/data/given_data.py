"""From what a task gives as its data to examples: which kind they are, or why they are none."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any

from torch import Tensor
from torch.utils.data import IterableDataset

from landscape_study.study.errors import TaskError
from landscape_study.study.tasks.data.examples import TaskData
from landscape_study.study.tasks.data.form import kind
from landscape_study.study.tasks.data.indexed import Indexed
from landscape_study.study.tasks.data.loaded import ANEW, Loaded
from landscape_study.study.tasks.data.streams import Opened, Streams
from landscape_study.study.tasks.data.tensors import Data

GivenData = Data | Streams | tuple[Any, Any]  # a pair of data sets, as Streams takes

EXPECTED = (
    "a landscape_study.Data, whose tensors lie in memory, landscape_study.Streams, or a pair of "
    "data sets, to train on and to test on"
)
SIDE = (
    "a data set with a length, an iterable of batches, or a function of a seed that gives one; "
    "two tensors make a torch.utils.data.TensorDataset"
)


def opened(given: object, name: str, classes: int | None, tell: Callable[[str], None]) -> TaskData:
    """The data that a task gives.

    Args:
        given: by its function `data`.
        name: of the task, in messages.
        classes: C, where it is a classification.
        tell: called with a word when something takes longer.

    Raises:
        TaskError: they are no data, or come otherwise each time.
        DataError: they cannot be read.
    """
    if isinstance(given, Data):
        return given
    if isinstance(given, tuple) and len(given) == 2:
        given = Streams(*given)
    if isinstance(given, Mapping):
        raise TaskError(
            f"task '{name}': data() gave {kind(given)}; name what to train on and to test on: "
            'Streams(found["train"], found["test"], inputs="…", targets="…")'
        )
    if not isinstance(given, Streams):
        raise TaskError(f"task '{name}': data() gave {type(given).__name__}; expected {EXPECTED}")
    streams = given

    def side(part: str) -> Indexed | Loaded:
        return _opened(
            getattr(streams, part), streams, f"task '{name}': data(): {part}", classes, tell
        )

    return Opened(side("train"), side("test"))


def _opened(
    given: Any, streams: Streams, label: str, classes: int | None, tell: Callable[[str], None]
) -> Indexed | Loaded:
    """One side of the streams."""
    columns = None
    if streams.inputs is not None and streams.targets is not None:
        columns = streams.inputs, streams.targets
    if isinstance(given, Iterator):
        raise TaskError(f"{label} gave a {type(given).__name__}, whose end comes once; {ANEW}")
    tensors = isinstance(given, tuple) and any(isinstance(one, Tensor) for one in given)
    if tensors or isinstance(given, Tensor | Mapping | str | bytes):
        raise TaskError(f"{label} gave {kind(given)}; expected {SIDE}")
    if isinstance(given, type):
        raise TaskError(f"{label} gave the class {given.__name__}; expected {SIDE}: call it")
    if _has_items(given):
        return Indexed(given, columns, label, classes, streams.workers)
    if not isinstance(given, Iterable) and callable(given) and not _takes_seed(given):
        raise TaskError(f"{label} gave a function that takes no seed; expected {SIDE}")
    if isinstance(given, Iterable) or callable(given):
        return Loaded(given, columns, label, classes, tell)
    raise TaskError(f"{label} gave {kind(given)}; expected {SIDE}")


def _takes_seed(function: Callable[..., Any]) -> bool:
    """Whether it can be called with one argument; also where nobody knows."""
    try:
        inspect.signature(function).bind(0)
    except TypeError:
        return False
    except ValueError:  # of what is built in
        return True
    return True


def _has_items(given: object) -> bool:
    """Whether its items are had by their number, and it says how many there are.

    Torch gives streams a way to items too, which raises.
    """
    is_stream = isinstance(given, IterableDataset)
    return isinstance(given, Sized) and hasattr(given, "__getitem__") and not is_stream
