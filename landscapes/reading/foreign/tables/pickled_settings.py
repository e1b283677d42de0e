"""Settings in pickles, as Hugging Face's Trainer leaves them; nothing of a pickle is run."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

LARGEST = 4 * 1024**2  # bytes of a pickle
PLAIN = (str, float, int, bool, type(None))


class _Inert:
    """Stands for whatever a pickle would make: it keeps what it is given, and does nothing."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.given = given
        self.state: dict[Any, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}


class _Unpickler(pickle.Unpickler):
    """Imports nothing and calls nothing but `_Inert`."""

    def find_class(self, module: str, name: str) -> Any:
        return _Inert

    def persistent_load(self, pid: Any) -> Any:
        return None


def load_pickled_settings(path: Path) -> dict[str, Any]:
    """The plain attributes of the object that `torch.save` wrote; {} of what is none.

    A member of an enumeration is its value.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            inner = next(one for one in archive.infolist() if one.filename.endswith("/data.pkl"))
            if inner.file_size > LARGEST:
                return {}
            with archive.open(inner) as file:
                found = _Unpickler(file).load()
    except Exception:  # whatever bytes can make of an unpickler: there are no settings there
        return {}
    state = found.state if isinstance(found, _Inert) else found
    if not isinstance(state, dict):
        return {}
    values = {key: _plain(value) for key, value in state.items() if isinstance(key, str)}
    return {key: value for key, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, _Inert) and len(value.given) == 1:
        value = value.given[0]
    return value if type(value) in PLAIN else None
