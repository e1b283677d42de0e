"""Seals: a digest beside each result, by which a reader sees that it is what was recorded.

A database file has no checksums of its own, so a byte that a disk or a hand changed would be read
as a number like any other. Whoever wants to may write a false number with its seal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from landscape_study.study.spec.cell_numbers import as_text
from landscape_study.study.spec.study import Cell

Place = tuple[str, int, Cell]  # panel, seed, cell


def cell_seal(
    place: Place,
    error: float,
    train_loss: float | None,
    test_loss: float | None,
    diverged_epoch: int,
) -> str:
    """Of what a cell ended with."""
    return facts_seal((*_facts(place), error, train_loss, test_loss, diverged_epoch))


def curve_seal(place: Place, metric: str, data: bytes) -> str:
    """Of a whole curve."""
    return facts_seal((*_facts(place), metric), data)


def _facts(place: Place) -> tuple[object, ...]:
    """Where a cell lies, as it is sealed: as before cells had numbers of their own, if it can."""
    panel, seed, cell = place
    own = (as_text(cell.own),) if cell.own else ()
    return panel, seed, cell.alpha, cell.lambda_, *own


def study_seal(name: str, spec: str, fingerprint: str) -> str:
    """Of what a study is."""
    return facts_seal((name, spec, fingerprint))


def witness_seal(facts: Sequence[object]) -> str:
    """Of what a witness found."""
    return facts_seal(tuple(facts))


def holds(seal: object, expected: str) -> bool:
    """Whether the seal is the expected one, or older than seals are."""
    return seal is None or seal == expected


def facts_seal(facts: tuple[object, ...], data: bytes = b"") -> str:
    """Of facts as they are stored, and bytes."""
    # SQLite keeps no sign of zero.
    if 0 in facts:
        facts = tuple([0.0 if isinstance(fact, float) and fact == 0 else fact for fact in facts])
    text = repr(facts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text + data, digest_size=8).hexdigest()
