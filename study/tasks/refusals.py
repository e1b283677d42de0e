"""Try a task before anything is trained: what it gives, and whether that can mean what it should.

Letters: B examples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import fields
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from landscape_study.study.errors import LandscapeError, TaskError
from landscape_study.study.tasks.randomness import seeded
from landscape_study.study.tasks.task import (
    CHECKED,
    Data,
    TaskProtocol,
    as_precise,
    in_precision,
    load_data,
    memory_of,
    own_copy,
    same_values,
    widened,
)

T = TypeVar("T")
WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def check_task(
    task: TaskProtocol,
    batches: Collection[tuple[int, int]],
    dtype: torch.dtype = torch.float32,
) -> Data:
    """Load the data and try a few batches, so that a wrong task fails before it is trained.

    Args:
        batches: their sizes, and in how many parts each is passed.
        dtype: the precision of the study.

    Returns:
        The data, on the CPU as the task gives it.

    Raises:
        TaskError: wrong types, shapes, labels or outputs, with what was expected; or a network
            or loss of which something would not be trained as its author means it.
    """
    data = _attempt(task, "data()", partial(load_data, task))
    _check_data(task, data)
    with seeded(0):
        network = _checked_network(task, dtype)
        own = own_copy(task, "cpu", dtype)
        for size, parts in batches:
            full, last = min(size, len(data.train_inputs)), len(data.train_inputs) % size
            sizes = _largest_part(full, parts), _smallest_part(last or full, parts)
            _check_training(own, network, data, sizes, dtype)
        _check_testing(own, network, data, dtype)
    return data


def _checked_network(task: TaskProtocol, dtype: torch.dtype) -> nn.Module:
    """A network of the task in the precision of the study."""
    network, other = (_made(task) for _ in range(2))
    _require_module(task, network)
    _require_parameters(task, network, dtype)
    _require_repeated(task, network, other)
    return as_precise(other, "cpu", dtype)  # the one that was made last, as in a training


def _made(task: TaskProtocol) -> nn.Module:
    """A network from the first seed."""
    with seeded(0):
        return _attempt(task, "network()", task.network)


def _require_module(task: TaskProtocol, network: object) -> None:
    kind = type(network).__name__
    if not isinstance(network, nn.Module):
        raise TaskError(_wrong(task, "network()", kind, "a torch.nn.Module"))
    for part in network.modules():
        if isinstance(part, torch.jit.ScriptModule):
            found = "a scripted module, whose parameters cannot be those of many cells"
            raise TaskError(_wrong(task, "network()", found, "the module itself, not scripted"))
        if isinstance(part, WRAPPERS):
            found = f"a network wrapped in {type(part).__name__}"
            expected = "the module itself: the tool spreads the work over devices"
            raise TaskError(_wrong(task, "network()", found, expected))


def _require_parameters(task: TaskProtocol, network: nn.Module, dtype: torch.dtype) -> None:
    """Each has a shape, some are trained, and those in a precision that the study has."""
    every = [*network.named_parameters(), *network.named_buffers()]
    lazy = [name for name, tensor in every if is_lazy(tensor)]
    if lazy:
        found = f"tensors without a shape ({', '.join(lazy)})"
        expected = "sizes for the lazy layers, or a network that was called once"
        raise TaskError(_wrong(task, "network()", found, expected))
    _require_apart(task, network)
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    if not trained:
        raise TaskError(_wrong(task, "network()", "nothing to train", "some parameters"))
    precision = str(dtype).removeprefix("torch.")
    for name, p in trained:
        if widened(p, dtype).dtype != in_precision(p, dtype).dtype:
            kind = str(p.dtype).removeprefix("torch.")
            found = f"parameter '{name}' in {kind}, while the study trains in {precision}"
            expected = 'float32 parameters, and options = { precision = "float64" } or '
            expected += "{ bf16 = true } in the study file where another precision is wanted"
            raise TaskError(_wrong(task, "network()", found, expected))


def _require_apart(task: TaskProtocol, network: nn.Module) -> None:
    """No trained parameter shares its memory with another, or with a buffer.

    Those that are one and the same parameter are named once.
    """
    owners: dict[int, str] = {}
    every = [*network.named_parameters(), *network.named_buffers()]
    for name, tensor in every:
        place = memory_of(tensor)
        if place and place in owners and _is_trained(network, owners[place], name):
            found = f"'{name}' in the memory of '{owners[place]}', a parameter"
            expected = "tensors apart; to tie two layers, assign the parameter itself: b.weight = "
            raise TaskError(_wrong(task, "network()", found, f"{expected}a.weight"))
        owners.setdefault(place, name)


def _is_trained(network: nn.Module, *names: str) -> bool:
    """Whether any of these is a parameter that is trained."""
    parameters = dict(network.named_parameters())
    return any(name in parameters and parameters[name].requires_grad for name in names)


def _require_repeated(task: TaskProtocol, one: nn.Module, other: nn.Module) -> None:
    """Two calls under the same seed give two networks that are equal and share nothing."""
    if one is other:
        found = "the same object at every call"
        raise TaskError(_wrong(task, "network()", found, "a new network, or a deepcopy of it"))
    ours, theirs = one.state_dict(), other.state_dict()
    if ours.keys() != theirs.keys():
        found = "networks of other parts when it was called twice under the same seed"
        raise TaskError(_wrong(task, "network()", found, "the same network"))
    trained = {name for name, p in one.named_parameters() if p.requires_grad}
    for name in (name for name in ours if name in trained):
        if ours[name].numel() and ours[name].data_ptr() == theirs[name].data_ptr():
            found = f"networks that share '{name}', so that training one would change the others"
            raise TaskError(_wrong(task, "network()", found, "a new network, or a deepcopy of it"))
    for name, tensor in ours.items():
        if isinstance(tensor, Tensor) and not same_values(tensor, theirs[name]):
            found = f"other values of '{name}' when it was called twice under the same seed"
            expected = (
                "the same start: random numbers of torch, numpy.random or random, whose seed the "
                "tool sets, not of a generator without a seed, and no count of its calls"
            )
            raise TaskError(_wrong(task, "network()", found, expected))


def _check_training(
    task: TaskProtocol,
    network: nn.Module,
    data: Data,
    sizes: tuple[int, int],
    dtype: torch.dtype,
) -> None:
    """Try the largest and the smallest part of a batch that there will be."""
    network.train()
    first, again = (_loss(task, network, data, min(size, CHECKED), dtype) for size in sizes)
    _require_all_trained(task, network, first, again)


def _largest_part(examples: int, parts: int) -> int:
    return -(-examples // parts)


def _smallest_part(examples: int, parts: int) -> int:
    size = _largest_part(examples, parts)
    return examples % size or size


def _loss(
    task: TaskProtocol, network: nn.Module, data: Data, size: int, dtype: torch.dtype
) -> Tensor:
    """Of the first examples, as a batch of that size."""
    inputs = _augmented(task, data.train_inputs[:size].clone(), dtype)
    outputs = _outputs(task, network, inputs, f"the network on a batch of {size}", dtype)
    call = partial(task.loss, outputs, data.train_targets[:size].clone())
    loss = _attempt(task, f"loss(){_precisely(dtype)}", call)
    if not isinstance(loss, Tensor) or loss.shape != ():
        raise TaskError(_wrong(task, "loss()", _shape(loss), "a scalar, the batch's mean"))
    return loss


def _check_testing(task: TaskProtocol, network: nn.Module, data: Data, dtype: torch.dtype) -> None:
    network.eval()
    with torch.no_grad():
        inputs = _normalized(task, data.test_inputs[:CHECKED].clone(), dtype)
        label = f"the network in eval mode on a batch of {len(inputs)}"
        _outputs(task, network, inputs, label, dtype)


def _outputs(
    task: TaskProtocol, network: nn.Module, inputs: Tensor, label: str, dtype: torch.dtype
) -> Tensor:
    size = len(inputs)
    outputs = _attempt(task, f"{label}{_precisely(dtype)}", partial(network, inputs))
    if not isinstance(outputs, Tensor):
        found = f"a {type(outputs).__name__}, no tensor"
        expected = f"the class scores alone, [{size}, {task.classes}]: return a module that "
        raise TaskError(_wrong(task, label, found, expected + "picks them out"))
    if outputs.shape != (size, task.classes):
        expected = f"outputs of shape [{size}, {task.classes}] (batch, classes)"
        raise TaskError(_wrong(task, label, _shape(outputs), expected))
    return outputs


def _require_all_trained(
    task: TaskProtocol, network: nn.Module, first: Tensor, again: Tensor
) -> None:
    """The loss depends on no trainable tensor that is not the network's: nothing would train it.

    Those that are made anew for each batch, as the batch itself, are no such thing.
    """
    lasting = set(_leaves(first)) & set(_leaves(again))
    foreign = lasting - set(network.parameters())
    if foreign:
        raise TaskError(
            f"task '{task.name}': the loss depends on {_names(task, foreign)}, with requires_grad "
            "but no parameter of the network, so that nothing trains it: make it a parameter of "
            "the network, or detach it"
        )


def _names(task: TaskProtocol, tensors: Collection[Tensor]) -> str:
    module = task.loss if isinstance(task.loss, nn.Module) else nn.Module()
    own: dict[Tensor, str] = {
        p: f"its own parameter '{name}'" for name, p in module.named_parameters()
    }
    return " and ".join(sorted(own.get(t, f"a tensor of shape {list(t.shape)}") for t in tensors))


def _leaves(loss: Tensor) -> Iterator[Tensor]:
    """The tensors that a gradient of the loss would be added to."""
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting += [before for before, _ in node.next_functions]


def _augmented(task: TaskProtocol, inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """A training batch as the network would get it."""
    batch = _normalized(task, inputs, dtype)
    augmented = _attempt(task, "augment()", partial(task.augment, batch, torch.Generator()))
    if not isinstance(augmented, Tensor) or augmented.shape[:1] != inputs.shape[:1]:
        expected = f"a tensor of {len(inputs)} examples, as many as went in"
        raise TaskError(_wrong(task, "augment()", _shape(augmented), expected))
    return augmented


def _normalized(task: TaskProtocol, inputs: Tensor, dtype: torch.dtype) -> Tensor:
    batch = _attempt(task, "normalize()", partial(task.normalize, inputs))
    if not isinstance(batch, Tensor) or batch.shape[:1] != inputs.shape[:1]:
        expected = f"a tensor of {len(inputs)} examples, as many as went in"
        raise TaskError(_wrong(task, "normalize()", _shape(batch), expected))
    return in_precision(batch, dtype)


def _check_data(task: TaskProtocol, data: Data) -> None:
    if not isinstance(data, Data):
        raise TaskError(_wrong(task, "data()", type(data).__name__, "a landscape_study.Data"))
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
        if inputs.ndim == 0:
            label = f"data(): {part}_inputs"
            raise TaskError(_wrong(task, label, "a single number", "examples: shape [B, …]"))
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
    except (Exception, SystemExit) as e:  # whatever the user's code raises
        raise TaskError(f"task '{task.name}': {label} failed: {type(e).__name__}: {e}") from e


def _precisely(dtype: torch.dtype) -> str:
    return "" if dtype == torch.float32 else f" in {str(dtype).removeprefix('torch.')}"


def _wrong(task: TaskProtocol, label: str, found: str, expected: str) -> str:
    return f"task '{task.name}': {label} gave {found}; expected {expected}"


def _shape(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    return type(value).__name__
