"""The source of a user's own task: its module, and those of the user's that it uses.

What counts is what Python makes of it: comments, docstrings and layout may change.
"""

from __future__ import annotations

import ast
import hashlib
import site
import sys
import sysconfig
from importlib.machinery import ModuleSpec
from pathlib import Path

from landscape_study.study.tasks import OWN_NAME


def source_digest(task: str) -> str:
    """A hash of the source of `package.module:name`.

    A changed loss, activation or augmentation changes it, also in a module that is imported by a
    function, whenever that is called; where the files lie does not, nor do comments, docstrings
    and layout.
    """
    digest = hashlib.sha256()
    found: dict[str, Path] = {}
    _collect(task.partition(":")[0], found)
    for name, path in sorted(found.items()):
        digest.update(name.encode())
        digest.update(_source(path))
    return digest.hexdigest()[:16]


def _collect(name: str, found: dict[str, Path]) -> None:
    """Add the module, the packages around it, and what they import of the user's."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        own = ".".join(parts[:end])
        spec = _spec(own)
        path = None if spec is None else _file(spec)
        if spec is None or (path is not None and not _is_users(own, path)):
            return
        if path is not None and own not in found:
            found[own] = path
            for imported in _imported(path, _package(spec)):
                _collect(imported, found)


def _spec(name: str) -> ModuleSpec | None:
    """Where Python would find the module; it is not imported for that."""
    parent, _, _ = name.rpartition(".")
    if not parent:
        return None if name in sys.builtin_module_names else _found(name, None)
    around = _spec(parent)
    places = None if around is None else around.submodule_search_locations
    return None if places is None else _found(name, list(places))


def _found(name: str, places: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:  # editable installs have finders of their own
        try:
            spec = finder.find_spec(name, places)
        except (ImportError, AttributeError, ValueError):
            continue
        if spec is not None:
            return spec
    return None


def _file(spec: ModuleSpec) -> Path | None:
    """Of its source; None for a folder without one, and for what is compiled or built in."""
    is_source = spec.has_location and spec.origin is not None and spec.origin.endswith(".py")
    return Path(str(spec.origin)) if is_source else None


def _package(spec: ModuleSpec) -> str:
    """What relative imports in the module start from."""
    return spec.name if spec.submodule_search_locations is not None else spec.parent or ""


def _imported(path: Path, package: str) -> set[str]:
    """Names of the modules that import statements anywhere in the file may bring."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}  # a module, or not
    return {name for name in found if name.strip(".")}


def _is_users(name: str, path: Path) -> bool:
    """Whether it is a file of the user's, and neither Python's nor an installed package's."""
    if name.partition(".")[0] == OWN_NAME:
        return False
    if {"site-packages", "dist-packages"} & set(path.parts):
        return False
    installed = [
        *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
        site.getusersitepackages(),
    ]
    real = path.resolve()
    return not any(real.is_relative_to(Path(folder).resolve()) for folder in installed)


def _source(path: Path) -> bytes:
    try:
        source = path.read_bytes()
    except OSError:  # gone meanwhile
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
