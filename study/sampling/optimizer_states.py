"""States of CMA-ES as Optuna writes them down: pickles, which may come from anybody's database.

Optuna's `CmaEsSampler` keeps its optimizer as a pickle in hexadecimal digits, in parts, among what
it writes down with a trial, and unpickles it when it is asked again. So nothing is handed back to
it but numbers in the classes that such a state is made of.
"""

from __future__ import annotations

import io
import pickle
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

PART = re.compile(r"(\w*cma\w*:optimizer).*", re.DOTALL)  # a key, with its number
STATES = {
    *((f"cmaes._{name.lower()}", name) for name in ("CMA", "SepCMA", "CMAwM")),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *(
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
}


class _StatesOnly(pickle.Unpickler):
    """Knows nothing but what states are made of."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STATES:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a state")
        return super().find_class(module, name)


def without_code(memory: Mapping[str, Any]) -> dict[str, Any]:
    """What a sampler wrote down with a trial, without what is no state of an optimizer.

    Then the sampler begins anew, with all that was trained.
    """
    states: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for key, value in memory.items():
        if found := PART.fullmatch(key):
            states[found[1]][key] = value
    lost = {key for name, parts in states.items() if not _is_state(name, parts) for key in parts}
    return {key: value for key, value in memory.items() if key not in lost}


def _is_state(name: str, parts: Mapping[str, Any]) -> bool:
    """Whether parts, put together as Optuna does, are a state, which is unpickled without harm."""
    try:
        whole = "".join(parts[f"{name}:{number}"] for number in range(len(parts)))
        _StatesOnly(io.BytesIO(bytes.fromhex(whole))).load()
    except Exception:  # whatever broken bytes lead to
        return False
    return True
