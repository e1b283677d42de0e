"""What networks and losses keep in plain Python attributes: counters, switches, lists of numbers.

A checkpoint holds it as far as it is numbers, words and tensors; `agreement.finding` tries whether
that is enough for a task.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from typing import Any

import torch
from torch import Tensor, nn

State = dict[str, Any]

_TORCHS_OWN = frozenset(vars(nn.Module())) - {"training"}
_MISSING = object()
TENSOR = "a tensor"  # the key under which one stands in a state


def python_state(of: object) -> State:
    """Attributes by module and name, of a network, or a loss that is one or another object."""
    found = {}
    for name, part in _parts(of):
        kept = ((key, _plain(value)) for key, value in _attributes(part).items())
        found[name] = {key: value for key, value in kept if value is not _MISSING}
    return found


def set_python_state(of: object, state: State) -> None:
    """Set the attributes to what they were when `python_state` looked."""
    for name, part in _parts(of):
        for key, value in state.get(name, {}).items():
            vars(part)[key] = _restored(value)


def object_state(of: object) -> State:
    """All that a loss or an augmentation may keep, which is one object or another."""
    buffers = of.named_buffers() if isinstance(of, nn.Module) else ()
    return {"python": python_state(of), "buffers": {n: b.cpu() for n, b in buffers}}


def set_object_state(of: object, state: State) -> None:
    """Put the object to where it was when `object_state` looked."""
    if isinstance(of, nn.Module):
        set_buffers(of, state["buffers"])
    set_python_state(of, state["python"])


@torch.no_grad()
def set_buffers(module: nn.Module, values: State) -> None:
    """By name; in place where they fit, as others may hold the tensor, else by new ones."""
    for name, value in values.items():
        owner, _, own = name.rpartition(".")
        buffers = module.get_submodule(owner)._buffers
        present = buffers[own]
        if present is not None and (present.shape, present.dtype) == (value.shape, value.dtype):
            present.copy_(value)
        else:
            buffers[own] = value.to(_device(module) if present is None else present.device)


def _device(module: nn.Module) -> torch.device:
    """Where its tensors lie."""
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def unkept(of: object) -> State:
    """Digests of what no checkpoint holds, by "module.attribute": objects, arrays, sets, queues.

    Tensors and modules in them are left out, and what cannot be pickled.
    """
    found: State = {}
    for name, part in _parts(of):
        for key, value in _attributes(part).items():
            if _plain(value) is _MISSING and not isinstance(value, Tensor | nn.Module):
                found[f"{name}.{key}".lstrip(".")] = _digest(value)
    return found


class _Pickler(pickle.Pickler):
    """Names tensors and modules instead of writing them."""

    def persistent_id(self, value: object) -> str | None:
        """For these, one name for all."""
        return "tensor" if isinstance(value, Tensor | nn.Module) else None


def _digest(value: object) -> str | None:
    file = io.BytesIO()
    try:
        _Pickler(file).dump(value)
    except Exception:  # objects refuse in their own ways
        return None
    return hashlib.sha256(file.getvalue()).hexdigest()


def counters(of: object) -> State:
    """Numbers, words and their containers by "module.attribute": what tracing would freeze.

    Tensors are left out: what a frozen one changes shows in numbers.
    """
    found: State = {}
    for name, part in _parts(of):
        for key, value in _attributes(part).items():
            kept = _plain(value)
            if key != "training" and kept is not _MISSING and not _holds_tensor(kept):
                found[f"{name}.{key}".lstrip(".")] = kept
    return found


def _parts(of: object) -> list[tuple[str, object]]:
    return list(of.named_modules()) if isinstance(of, nn.Module) else [("", of)]


def _attributes(part: object) -> State:
    """An object's attributes; a function's or a class's are code."""
    if isinstance(part, type) or not hasattr(part, "__dict__"):
        return {}
    return {key: value for key, value in vars(part).items() if key not in _TORCHS_OWN}


def _plain(value: object) -> object:
    """A copy of what a checkpoint may hold; else `_MISSING`."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor):
        held = isinstance(value, nn.Parameter) or value.grad_fn is not None
        if held or not _has_memory(value):
            return _MISSING
        return {TENSOR: value.detach().cpu().clone(), "device": str(value.device)}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        items = [_plain(item) for item in value]
        return _MISSING if any(item is _MISSING for item in items) else type(value)(items)
    if type(value) is dict:
        pairs = {key: _plain(item) for key, item in value.items()}
        plain_keys = all(type(key) in (bool, int, float, str) for key in pairs)
        whole = plain_keys and not any(item is _MISSING for item in pairs.values())
        return pairs if whole else _MISSING
    return _MISSING


def _has_memory(tensor: Tensor) -> bool:
    """Whether it is a tensor by itself, and not one that vmap has wrapped."""
    try:
        tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return False
    return True


def _holds_tensor(value: object) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_tensor, value))
    if isinstance(value, dict):
        return any(map(_holds_tensor, value.values()))
    return isinstance(value, Tensor)


def _restored(value: Any) -> Any:
    """A copy, with its tensors where they lay."""
    if isinstance(value, dict) and TENSOR in value:
        return value[TENSOR].to(value["device"], copy=True)
    if isinstance(value, list | tuple):
        return type(value)(map(_restored, value))
    if isinstance(value, dict):
        return {key: _restored(item) for key, item in value.items()}
    return value
