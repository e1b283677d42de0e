"""The source of a user's own task: its module, and those of the user's that it uses."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from functools import partial
from pathlib import Path
from types import ModuleType

NOT_THE_USERS = ("study", "landscapes", "cli")


def source_digest(task: str) -> str:
    """A hash of the source of `package.module:name`, which must be imported.

    A changed loss, activation or augmentation changes it; where the files lie does not.
    """
    digest = hashlib.sha256()
    found: dict[str, ModuleType] = {}
    _collect(task.partition(":")[0], found)
    for name, module in sorted(found.items()):
        digest.update(name.encode())
        digest.update(_source(module))
    return digest.hexdigest()[:16]


def _collect(name: str, found: dict[str, ModuleType]) -> None:
    """Add the module, and what it has from other modules of the user's."""
    module = sys.modules.get(name)
    if name in found or module is None or not _is_users(name, module):
        return
    found[name] = module
    for value in list(vars(module).values()):
        for origin in _origins(value):
            _collect(origin, found)


def _origins(value: object) -> set[str]:
    """Names of the modules that a module's global comes from."""
    if isinstance(value, ModuleType):
        return {value.__name__}
    if isinstance(value, partial):
        return _origins(value.func)
    of = (getattr(value, "__module__", None), type(value).__module__)
    return {name for name in of if isinstance(name, str)}


def _is_users(name: str, module: ModuleType) -> bool:
    """Whether it is a file of the user's, and neither Python's nor an installed package's."""
    file = getattr(module, "__file__", None)
    if file is None or name.partition(".")[0] in NOT_THE_USERS:
        return False
    path = Path(file).resolve()
    installed = (
        sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")
    )
    return not any(path.is_relative_to(Path(folder).resolve()) for folder in installed)


def _source(module: ModuleType) -> bytes:
    try:
        return Path(str(module.__file__)).read_bytes()
    except OSError:  # gone since it was imported
        return b""
