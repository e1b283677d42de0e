"""Samplers and pruners of others: imported by their paths, and kept from talking."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import optuna

from landscape_study.study.errors import UsageError

INSTALLED = ("optuna", "landscape_study")  # packages that are there with this tool


def imported(kind: str, place: str) -> Any:
    """What an import path names; a user's own is looked up from the working directory too.

    Args:
        kind: what it is to be: "sampler" or "pruner".
        place: package.module:Name.

    Raises:
        UsageError: there is nothing there, or its module fails.
    """
    module, _, name = place.replace(":", ".").rpartition(".")
    here, is_own = str(Path.cwd()), module.partition(".")[0] not in INSTALLED
    if is_own and here not in sys.path:  # for good: the module may import its neighbours later
        sys.path.append(here)
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as e:
        raise UsageError(
            f"{kind} '{place}' cannot be imported ({e}): name it as package.module:Name, and "
            "install what brings it"
        ) from e
    except Exception as e:  # whatever the user's module raises while it is imported
        raise UsageError(
            f"{kind} '{place}': importing '{module}' failed ({type(e).__name__}: {e}): mend that"
        ) from e


class quiet(warnings.catch_warnings):  # noqa: N801
    """Within it Optuna says nothing: of experiments, or of what it samples independently."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
        self.level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)

    def __exit__(self, *what: Any) -> None:
        optuna.logging.set_verbosity(self.level)
        super().__exit__(*what)
