"""Where the memory of a program lies: each place as long as it is needed, then another one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from landscape_study.study.training.compiling.loops import Nest
from landscape_study.study.training.compiling.matrix_products import Product
from landscape_study.study.training.compiling.values import ALIGNMENT, DTYPES, Place


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def bytes_of(place: Place) -> int:
    """How much memory it takes."""
    return place.count * DTYPES[place.kind].itemsize


def side_by_side(places: Sequence[Place]) -> tuple[dict[Place, int], int]:
    """Where each place begins, in bytes, and how many there are in all, if all are kept."""
    starts, total = dict[Place, int](), 0
    for place in places:
        starts[place] = total
        total += _aligned(bytes_of(place))
    return starts, total


def laid_out(
    statements: Sequence[Nest | Product], but: Collection[Place] = ()
) -> tuple[dict[Place, int], int]:
    """The same of all but some places, if they are others' once nobody reads them any more."""
    lives: dict[Place, tuple[int, int]] = {}
    for moment, statement in enumerate(statements):
        for place in statement.reads() | statement.writes():
            if place.argument is None and place not in but:
                lives[place] = (lives.get(place, (moment, 0))[0], moment)
    starts: dict[Place, int] = {}
    ends: list[tuple[int, int, int]] = []  # of what is alive: its last moment, start and end
    total = 0
    # By name too: sets have another order in each process, and a text must be known again.
    for place, (born, last) in sorted(lives.items(), key=lambda one: (one[1][0], one[0].name)):
        ends = sorted((e for e in ends if e[0] >= born), key=lambda e: e[1])
        size = _aligned(bytes_of(place))
        start = 0
        for _, low, high in ends:
            if low - start >= size:
                break
            start = max(start, high)
        starts[place] = start
        ends.append((last, start, start + size))
        total = max(total, start + size)
    return starts, total
