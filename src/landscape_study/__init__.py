"""How do learning rate α and weight decay λ interact for my optimizer, model and data?"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from landscape_study.study.tasks.task import Data, Task

__all__ = ["Data", "Task"]

HOMES = {  # of the names of this package, whose modules are slow to import
    "Data": "study.tasks.task",
    "Task": "study.tasks.task",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
