"""Decay groups: on which parameters of a network λ acts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

from landscape_study.study.pairs.options import Options


def decaying(dimensions: Mapping[str, int], options: Options) -> list[bool]:
    """Whether λ acts on each parameter, of their dimensions by name."""
    return [
        (options.decay_1d or count > 1) and not _is_named(name, options.no_decay)
        for name, count in dimensions.items()
    ]


def unmatched(names: Collection[str], patterns: Iterable[str]) -> list[str]:
    """The patterns that match none of the parameters."""
    return [one for one in patterns if not any(_is_named(name, [one]) for name in names)]


def _is_named(name: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern matches the name, or its end after some dot.

    So "norm*" is every parameter of a module whose name begins so, however deep it lies:
    "blocks.0.norm1.weight".
    """
    parts = name.split(".")
    ends = [".".join(parts[k:]) for k in range(len(parts))]
    return any(fnmatchcase(end, pattern) for pattern in patterns for end in ends)
