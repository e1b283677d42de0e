"""Where the memory of a program lies: each place as long as it is needed, then another one."""

from __future__ import annotations

from collections.abc import Sequence

from landscape_study.study.training.compiling.loops import Nest
from landscape_study.study.training.compiling.products import Product
from landscape_study.study.training.compiling.values import ALIGNMENT, DTYPES, Place


def bytes_of(place: Place) -> int:
    """How much memory it takes."""
    return place.count * DTYPES[place.kind].itemsize


def laid_out(statements: Sequence[Nest | Product]) -> tuple[dict[Place, int], int]:
    """Where each place begins, in bytes, and how many bytes there are in all."""
    lives: dict[Place, tuple[int, int]] = {}
    for moment, statement in enumerate(statements):
        for place in statement.reads() | statement.writes():
            if place.argument is None:
                lives[place] = (lives.get(place, (moment, 0))[0], moment)
    starts: dict[Place, int] = {}
    ends: list[tuple[int, int, int]] = []  # of what is alive: its last moment, start and end
    total = 0
    # By name too: sets have another order in each process, and a text must be known again.
    for place, (born, last) in sorted(lives.items(), key=lambda one: (one[1][0], one[0].name)):
        ends = sorted((e for e in ends if e[0] >= born), key=lambda e: e[1])
        size = -(-bytes_of(place) // ALIGNMENT) * ALIGNMENT
        start = 0
        for _, low, high in ends:
            if low - start >= size:
                break
            start = max(start, high)
        starts[place] = start
        ends.append((last, start, start + size))
        total = max(total, start + size)
    return starts, total
