"""Which options an update rule makes use of."""

from __future__ import annotations

import functools
from typing import Any

from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.rules import RULES

OF_RULES = ("momentum", "beta1", "beta2", "eps")  # options that some rules have and others not


class _Noting:
    """Options that note which of them is asked for."""

    def __init__(self) -> None:
        self.options, self.noted = Options(), set[str]()

    def __getattr__(self, name: str) -> Any:
        self.noted.add(name)
        return getattr(self.options, name)


@functools.cache
def used_options(rule: str) -> frozenset[str]:
    """The options that a rule of `RULES` reads when it is made.

    >>> sorted(used_options("sgd")), sorted(used_options("lion"))
    (['momentum'], ['beta1', 'beta2'])
    """
    options: Any = _Noting()
    RULES[rule](options)
    return frozenset(options.noted)
