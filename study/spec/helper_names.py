"""Names of those who help to train a panel: samplers and pruners, known here or imported."""

from __future__ import annotations

import re
from collections.abc import Collection

IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*[.:][A-Za-z_]\w*")  # package.module:Name
OPTUNAS = ("optuna.", "optuna:")  # how paths of what Optuna brings begin


def checked_helper(kind: str, name: str, known: Collection[str]) -> str:
    """The name of a helper, if it can be one.

    Args:
        kind: "sampler" or "pruner".
        name: of it.
        known: names that stand for one here.

    Raises:
        ValueError: it is neither known nor an import path.
    """
    if name not in known and not IMPORT_PATH.fullmatch(name):
        raise ValueError(
            f"unknown {kind} '{name}': choose one of {', '.join(known)}, or name a {kind} of "
            "Optuna's as package.module:Name"
        )
    return name


def is_own_code(name: str, known: Collection[str]) -> bool:
    """Whether a helper's name is the path of code that neither this tool nor Optuna brings."""
    return name not in known and not name.startswith(OPTUNAS)
