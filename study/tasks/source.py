"""The source of a user's own task: its module, and those of the user's that it uses.

What counts is what Python makes of it: comments, docstrings and layout may change.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
from functools import partial
from pathlib import Path
from types import ModuleType

from study.tasks import OWN_NAMES


def source_digest(task: str) -> str:
    """A hash of the source of `package.module:name`, which must be imported.

    A changed loss, activation or augmentation changes it; where the files lie does not, nor do
    comments, docstrings and layout.
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
    if file is None or name.partition(".")[0] in OWN_NAMES:
        return False
    path = Path(file).resolve()
    installed = (
        sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")
    )
    return not any(path.is_relative_to(Path(folder).resolve()) for folder in installed)


def _source(module: ModuleType) -> bytes:
    try:
        source = Path(str(module.__file__)).read_bytes()
    except OSError:  # gone since it was imported
        return b""
    try:
        return repr(_meaning(ast.parse(source))).encode()
    except (SyntaxError, ValueError, RecursionError):  # compiled, or edited since it was imported
        return source


def _meaning(node: object) -> object:
    """A syntax tree as nested tuples, the same in all versions of Python that read it alike."""
    if isinstance(node, list):
        return tuple(map(_meaning, node))
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
    found = {name: _without_docstring(node) if name == "body" else v for name, v in fields}
    return type(node).__name__, tuple((name, _meaning(value)) for name, value in found.items())


def _without_docstring(node: ast.AST) -> object:
    body = getattr(node, "body", None)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    if (
        isinstance(node, documented)
        and isinstance(body, list)
        and ast.get_docstring(node) is not None
    ):
        return body[1:]
    return body
