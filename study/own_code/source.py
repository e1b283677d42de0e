"""The source of a user's own task or function: its module, and those of the user's that it uses.

What counts is what Python makes of it: comments, docstrings and layout may change.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import site
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from landscape_study.study.own_code.loading import OWN_NAME, split_name

PLAIN = (bool, int, float, complex, str, bytes)


def source_digest(task: str) -> str:
    """A hash of the source of `package.module:name` or `FILE.py:name`.

    A changed loss, activation or augmentation changes it, also in a module that is imported by a
    function, whenever that is called; where the files lie does not, nor do comments, docstrings
    and layout.
    """
    found: dict[str, Path] = {}
    module, path = split_name(task)
    if path is None:
        _collect(module, found)
    else:
        found[module] = path
        for imported in _imported(path, ""):
            _collect(imported, found)
    return _digest({name: _source(path) for name, path in found.items()})


def function_digest(function: Callable[..., Any]) -> str:
    """A hash of the source of a function that stands in no module: a notebook's, say.

    The functions, classes and plain values that it uses belong to it, and the user's modules.
    """
    sources: dict[str, bytes] = {}
    _collect_used(function, "", sources, set())
    return _digest(sources)


def _digest(sources: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, source in sorted(sources.items()):
        digest.update(name.encode())
        digest.update(source)
    return digest.hexdigest()[:16]


def _collect_used(thing: object, name: str, sources: dict[str, bytes], seen: set[int]) -> None:
    """Add what a name stands for in a function, and in turn what that uses."""
    if isinstance(thing, ModuleType):
        found: dict[str, Path] = {}
        _collect(thing.__name__, found)
        sources |= {f"module {own}": _source(path) for own, path in found.items()}
    elif _is_plain(thing):
        sources[name] = repr(thing).encode()
    elif isinstance(thing, FunctionType | type) and not _is_installed(thing):
        if id(thing) in seen:
            return
        seen.add(id(thing))
        if isinstance(thing, FunctionType):
            sources[name] = _text_of(thing)
        for key, used in _used_by(thing):
            _collect_used(used, f"{name}.{key}", sources, seen)


def _is_plain(thing: object) -> bool:
    """Whether it is a number or text, or consists of such, so that it always reads the same."""
    if isinstance(thing, tuple | list):
        return all(map(_is_plain, thing))
    if isinstance(thing, dict):
        return all(map(_is_plain, (*thing, *thing.values())))
    return thing is None or isinstance(thing, PLAIN)


def _used_by(thing: FunctionType | type) -> Iterator[tuple[str, object]]:
    """What stands for the names that a function takes from around it; what a class consists of."""
    if isinstance(thing, FunctionType):
        with suppress(ValueError):  # a cell that is still empty
            found = inspect.getclosurevars(thing)
            yield from (*found.globals.items(), *found.nonlocals.items())
        return
    yield from ((f"base{i}", base) for i, base in enumerate(thing.__bases__))
    for key, value in vars(thing).items():
        if isinstance(value, FunctionType) or not key.startswith("__"):
            yield key, value
        for part in ("__func__", "fget", "fset"):  # of what decorators make of a method
            yield f"{key}.{part}", getattr(value, part, ...)


def _text_of(function: FunctionType) -> bytes:
    """The source of a function; its code, where nobody has kept that."""
    try:
        return _meant(textwrap.dedent(inspect.getsource(function)).encode())
    except (OSError, TypeError):
        code = function.__code__
        return code.co_code + repr((code.co_names, code.co_consts)).encode()


def _is_installed(thing: FunctionType | type) -> bool:
    """Whether it comes from Python's own, or an installed package."""
    spec = _spec(thing.__module__) if thing.__module__ != "__main__" else None
    path = None if spec is None else _file(spec)
    return spec is not None and (path is None or not _is_users(thing.__module__, path))


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
        return _meant(path.read_bytes())
    except OSError:  # gone meanwhile
        return b""


def _meant(source: bytes) -> bytes:
    """What Python makes of a source."""
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
