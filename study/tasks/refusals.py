"""Try a task before anything is trained: what it gives, and whether that can mean what it should.

Letters: B examples, C classes. What is said of classes holds for classification alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import fields
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from landscape_study.study.errors import TaskError
from landscape_study.study.tasks.attempts import attempt, shape_of, wrong
from landscape_study.study.tasks.data.examples import TaskData
from landscape_study.study.tasks.data.tensors import Data, in_precision, same_values
from landscape_study.study.tasks.randomness import seeded
from landscape_study.study.tasks.sums import require_mean, require_sums
from landscape_study.study.tasks.task import (
    CHECKED,
    TaskProtocol,
    as_precise,
    load_data,
    memory_of,
    own_copy,
    widened,
)

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def check_task(
    task: TaskProtocol,
    batches: Collection[tuple[int, int]],
    dtype: torch.dtype = torch.float32,
    tell: Callable[[str], None] = lambda message: None,
) -> TaskData:
    """Load the data and try a few batches, so that a wrong task fails before it is trained.

    Args:
        batches: their sizes, and in how many parts each is passed.
        dtype: the precision of the study.
        tell: called with a word when something takes longer.

    Returns:
        The data, on the CPU as the task gives it.

    Raises:
        DataError: data that cannot be read.
        TaskError: wrong types, shapes, labels or outputs, with what was expected; or a network
            or loss of which something would not be trained as its author means it.
    """
    data = attempt(task, "data()", partial(load_data, task, tell))
    few = _checked_data(task, data)
    with seeded(0):
        network = _checked_network(task, dtype)
        own = own_copy(task, "cpu", dtype)
        for size, parts in batches:
            full, last = min(size, data.train.count), data.train.count % size
            sizes = _largest_part(full, parts), _smallest_part(last or full, parts)
            _check_training(own, network, few, sizes, dtype)
        _check_testing(own, network, few, dtype)
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
        return attempt(task, "network()", task.network)


def _require_module(task: TaskProtocol, network: object) -> None:
    kind = type(network).__name__
    if not isinstance(network, nn.Module):
        raise TaskError(wrong(task, "network()", kind, "a torch.nn.Module"))
    for part in network.modules():
        if isinstance(part, torch.jit.ScriptModule):
            found = "a scripted module, whose parameters cannot be those of many cells"
            raise TaskError(wrong(task, "network()", found, "the module itself, not scripted"))
        if isinstance(part, WRAPPERS):
            found = f"a network wrapped in {type(part).__name__}"
            expected = "the module itself: the tool spreads the work over devices"
            raise TaskError(wrong(task, "network()", found, expected))


def _require_parameters(task: TaskProtocol, network: nn.Module, dtype: torch.dtype) -> None:
    """Each has a shape, some are trained, and those in a precision that the study has."""
    every = [*network.named_parameters(), *network.named_buffers()]
    lazy = [name for name, tensor in every if is_lazy(tensor)]
    if lazy:
        found = f"tensors without a shape ({', '.join(lazy)})"
        expected = "sizes for the lazy layers, or a network that was called once"
        raise TaskError(wrong(task, "network()", found, expected))
    _require_apart(task, network)
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    if not trained:
        raise TaskError(wrong(task, "network()", "nothing to train", "some parameters"))
    precision = str(dtype).removeprefix("torch.")
    for name, p in trained:
        if widened(p, dtype).dtype != in_precision(p, dtype).dtype:
            kind = str(p.dtype).removeprefix("torch.")
            found = f"parameter '{name}' in {kind}, while the study trains in {precision}"
            expected = 'float32 parameters, and options = { precision = "float64" } or '
            expected += "{ bf16 = true } in the study file where another precision is wanted"
            raise TaskError(wrong(task, "network()", found, expected))


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
            raise TaskError(wrong(task, "network()", found, f"{expected}a.weight"))
        owners.setdefault(place, name)


def _is_trained(network: nn.Module, *names: str) -> bool:
    """Whether any of these is a parameter that is trained."""
    parameters = dict(network.named_parameters())
    return any(name in parameters and parameters[name].requires_grad for name in names)


def _require_repeated(task: TaskProtocol, one: nn.Module, other: nn.Module) -> None:
    """Two calls under the same seed give two networks that are equal and share nothing."""
    if one is other:
        found = "the same object at every call"
        raise TaskError(wrong(task, "network()", found, "a new network, or a deepcopy of it"))
    ours, theirs = one.state_dict(), other.state_dict()
    if ours.keys() != theirs.keys():
        found = "networks of other parts when it was called twice under the same seed"
        raise TaskError(wrong(task, "network()", found, "the same network"))
    trained = {name for name, p in one.named_parameters() if p.requires_grad}
    for name in (name for name in ours if name in trained):
        if ours[name].numel() and ours[name].data_ptr() == theirs[name].data_ptr():
            found = f"networks that share '{name}', so that training one would change the others"
            raise TaskError(wrong(task, "network()", found, "a new network, or a deepcopy of it"))
    for name, tensor in ours.items():
        if isinstance(tensor, Tensor) and not same_values(tensor, theirs[name]):
            found = f"other values of '{name}' when it was called twice under the same seed"
            expected = (
                "the same start: random numbers of torch, numpy.random or random, whose seed the "
                "tool sets, not of a generator without a seed, and no count of its calls"
            )
            raise TaskError(wrong(task, "network()", found, expected))


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
    targets = in_precision(data.train_targets[:size].clone(), dtype)
    loss = attempt(task, f"loss(){_precisely(dtype)}", partial(_called, task, outputs, targets))
    if not isinstance(loss, Tensor) or loss.shape != ():
        raise TaskError(wrong(task, "loss()", shape_of(loss), "a scalar, the batch's mean"))
    if task.classes is None and not loss.isfinite():
        found = f"{loss.item()} for outputs {_shape(outputs)} and targets {_shape(targets)}"
        raise TaskError(wrong(task, "loss()", found, "a finite number of an untrained network"))
    return loss


def _called(task: TaskProtocol, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss.

    Raises:
        ValueError: outputs and targets that it does not take; or that it takes, as torch's
            regression losses warn, by holding each output against each target.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Using a target size")
        try:
            return task.loss(outputs, targets)
        except Exception as e:
            if task.classes is not None:
                raise
            shapes = f"outputs {_shape(outputs)} and targets {_shape(targets)}"
            what = "they have other shapes" if isinstance(e, UserWarning) else str(e)
            raise ValueError(f"{shapes}: {what}: give targets as the loss takes them") from e


def _shape(tensor: Tensor) -> str:
    """As "[32, 3] (float32)"."""
    return f"{list(tensor.shape)} ({str(tensor.dtype).removeprefix('torch.')})"


def _check_testing(task: TaskProtocol, network: nn.Module, data: Data, dtype: torch.dtype) -> None:
    network.eval()
    with torch.no_grad():
        inputs = _normalized(task, data.test_inputs[:CHECKED].clone(), dtype)
        label = f"the network in eval mode on a batch of {len(inputs)}"
        outputs = _outputs(task, network, inputs, label, dtype)
        targets = in_precision(data.test_targets[:CHECKED], dtype)
        require_mean(task, outputs, targets)
        own = tuple(getattr(task, "metrics", ()))
        require_sums(task, own, outputs, targets)


def _outputs(
    task: TaskProtocol, network: nn.Module, inputs: Tensor, label: str, dtype: torch.dtype
) -> Tensor:
    size, scores = len(inputs), f"[{len(inputs)}, {task.classes or '…'}]"
    outputs = attempt(task, f"{label}{_precisely(dtype)}", partial(network, inputs))
    if not isinstance(outputs, Tensor):
        found = f"a {type(outputs).__name__}, no tensor"
        what = "outputs" if task.classes is None else "class scores"
        expected = f"the {what} alone, {scores}: return a module that picks them out"
        if hasattr(outputs, "keys") or hasattr(outputs, "_fields"):
            expected += ', or name them: task_from(…, output="logits")'
        raise TaskError(wrong(task, label, found, expected))
    if task.classes is None and outputs.shape[:1] != (size,):
        expected = f"outputs with the examples first, {scores}: turn them in the network, as by "
        raise TaskError(wrong(task, label, shape_of(outputs), expected + "outputs.movedim(1, 0)"))
    if task.classes is not None and outputs.shape != (size, task.classes):
        expected = f"outputs of shape {scores} (batch, classes)"
        raise TaskError(wrong(task, label, shape_of(outputs), expected))
    return outputs


def _require_all_trained(
    task: TaskProtocol, network: nn.Module, first: Tensor, again: Tensor
) -> None:
    """The loss depends on parameters, and on no trainable tensor that is not the network's.

    Nothing would train that. Those that are made anew for each batch, as the batch itself, are no
    such thing.
    """
    own, of_first, of_again = set(network.parameters()), set(_leaves(first)), set(_leaves(again))
    if not own & (of_first | of_again):
        found = "a number that depends on no parameter of the network"
        expected = "one that can be differentiated: without detach(), no_grad(), argmax or numpy"
        raise TaskError(wrong(task, "loss()", found, expected))
    foreign = of_first & of_again - own
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
    augmented = attempt(task, "augment()", partial(task.augment, batch, torch.Generator()))
    if not isinstance(augmented, Tensor) or augmented.shape[:1] != inputs.shape[:1]:
        expected = f"a tensor of {len(inputs)} examples, as many as went in"
        raise TaskError(wrong(task, "augment()", shape_of(augmented), expected))
    return augmented


def _normalized(task: TaskProtocol, inputs: Tensor, dtype: torch.dtype) -> Tensor:
    batch = attempt(task, "normalize()", partial(task.normalize, inputs))
    if not isinstance(batch, Tensor) or batch.shape[:1] != inputs.shape[:1]:
        expected = f"a tensor of {len(inputs)} examples, as many as went in"
        raise TaskError(wrong(task, "normalize()", shape_of(batch), expected))
    return in_precision(batch, dtype)


def _checked_data(task: TaskProtocol, data: TaskData) -> Data:
    """A few examples of the data; of tensors in memory, all are looked at."""
    if isinstance(data, Data):
        _check_data(task, data)
    few = Data(*data.train.sample(CHECKED), *data.test.sample(CHECKED))
    if not isinstance(data, Data):
        _check_data(task, few)
    return few


def _check_data(task: TaskProtocol, data: Data) -> None:
    for field in fields(data):
        value = getattr(data, field.name)
        if not isinstance(value, Tensor):
            label = f"data(): {field.name}"
            raise TaskError(wrong(task, label, type(value).__name__, "a torch.Tensor"))
    for part in ("train", "test"):
        inputs, targets = getattr(data, f"{part}_inputs"), getattr(data, f"{part}_targets")
        if task.classes is not None:
            _require_class_numbers(task, targets, f"data(): {part}_targets")
        for kind, tensor in (("inputs", inputs), ("targets", targets)):
            if tensor.ndim == 0:
                label = f"data(): {part}_{kind}"
                raise TaskError(wrong(task, label, "a single number", "examples: shape [B, …]"))
        if len(inputs) != len(targets) or len(targets) == 0:
            found = f"{len(inputs)} inputs and {len(targets)} targets"
            label = f"data(): {part}_targets"
            raise TaskError(wrong(task, label, found, "as many inputs as targets, and some"))
        if task.classes is not None:
            _require_classes(task, task.classes, targets, f"data(): {part}_targets")
    for kind, what in (("inputs", "examples"), ("targets", "targets")):
        to_train, to_test = (getattr(data, f"{part}_{kind}") for part in ("train", "test"))
        if to_train.shape[1:] != to_test.shape[1:]:
            found = f"{shape_of(to_train)} to train on, {shape_of(to_test)} to test on"
            raise TaskError(wrong(task, "data()", found, f"{what} of one shape"))


def _require_class_numbers(task: TaskProtocol, targets: Tensor, label: str) -> None:
    if targets.dtype != torch.int64 or targets.ndim != 1:
        found = f"{targets.dtype} of shape {list(targets.shape)}"
        expected = "class numbers: int64 of shape [B]; or a task without classes"
        raise TaskError(wrong(task, label, found, expected))


def _require_classes(task: TaskProtocol, classes: int, targets: Tensor, label: str) -> None:
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        found, expected = f"classes {low} to {high}", f"classes 0 to {classes - 1}"
        raise TaskError(wrong(task, label, found, expected))


def _precisely(dtype: torch.dtype) -> str:
    return "" if dtype == torch.float32 else f" in {str(dtype).removeprefix('torch.')}"
