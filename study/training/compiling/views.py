"""Views: the same numbers under another shape. PyTorch itself says which are where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from landscape_study.study.training.compiling.values import (
    Computed,
    Index,
    Sizes,
    Stored,
    count_of,
    usual_strides,
)

View = Callable[[Tensor], Tensor]
Map = Callable[[Sequence[Index]], list[Index]]  # of an index of the view to one of what is viewed


def view_of_stored(value: Stored, view: View) -> Stored | None:
    """What lies in memory, seen otherwise; None where numbers would have to be moved."""
    whole = torch.empty(value.place.count, device="meta")
    try:
        seen = view(whole.as_strided(value.sizes, value.strides, value.offset))
    except RuntimeError:
        return None
    return Stored(value.place, tuple(seen.shape), seen.stride(), int(seen.storage_offset()))


def view_of_computed(value: Computed, view: View) -> Computed | None:
    """What is computed, seen otherwise; None where indices would have to be divided."""
    whole = torch.empty(count_of(value.sizes), device="meta")
    try:
        seen = view(whole.view(value.sizes))
    except RuntimeError:
        return None
    sizes, strides, offset = tuple(seen.shape), seen.stride(), int(seen.storage_offset())
    found = _map(value.sizes, sizes, strides, offset)
    if found is None:
        return None
    back, owners = found
    rank = {d: place for place, d in enumerate(value.order)}
    order = sorted(range(len(sizes)), key=lambda d: (rank.get(owners[d], -1), -strides[d], d))

    def element(body: Any, index: Sequence[Index]) -> str:
        return value.at(body, back(index))

    repeated = frozenset(d for d, own in enumerate(owners) if own < 0 or own in value.repeated)
    return Computed(value.kind, sizes, element, value.cost, tuple(order), repeated)


def _map(
    viewed: Sizes, sizes: Sizes, strides: Sequence[int], offset: int
) -> tuple[Map, list[int]] | None:
    """Which index of what is viewed belongs to one of the view; and each dimension's own one."""
    widths = usual_strides(viewed)
    inside = [d for d, size in enumerate(viewed) if size > 1]
    start = [0] * len(viewed)
    left = offset
    for d in inside:
        start[d], left = divmod(left, widths[d])
    if left:
        return None
    owners: list[int] = []
    reach = list(start)
    for size, stride in zip(sizes, strides, strict=True):
        owner = next((d for d in inside if widths[d] <= stride), -1)
        if size == 1 or stride == 0:
            owner = -1
        elif owner < 0 or stride % widths[owner]:
            return None
        else:
            reach[owner] += (size - 1) * (stride // widths[owner])
        owners.append(owner)
    if any(reach[d] >= viewed[d] for d in inside):
        return None

    def back(index: Sequence[Index]) -> list[Index]:
        found = [Index((), s) for s in start]
        for one, owner, stride in zip(index, owners, strides, strict=True):
            if owner >= 0:
                found[owner] = found[owner] + one * (stride // widths[owner])
        return found

    return back, owners
