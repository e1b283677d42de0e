"""Code of the user's own by name: package.module:name, FILE.py:name, or handed over in Python."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from landscape_study.study.errors import LandscapeError, TaskError, UsageError

OWN_NAME = "landscape_study"  # of this tool's package
MARK = "__landscape_objective__"  # of what `@objective` decorates
HERE = "__main__"  # the module of what no other process could import
NAME_IT = "name a module that Python can import from the working directory, or FILE.py:name"


@dataclass(frozen=True)
class Kind:
    """What something of the user's own is to be.

    Attributes:
        name: of it, in messages.
        all_names: what else could be offered in its place.
        error: that says what is wrong with it.
        is_one: whether something is one.
    """

    name: str
    all_names: str
    error: type[UsageError]
    is_one: Callable[[object], bool]


def _is_task(value: object) -> bool:
    """Whether it is a task, or a function that `@objective` marked."""
    tasks = sys.modules.get(f"{OWN_NAME}.study.tasks.task")  # loaded, if there is any
    return is_marked(value) or (tasks is not None and isinstance(value, tasks.Task))


TASK = Kind("task", "task or objective", TaskError, _is_task)

_handed: dict[str, Callable[..., Any]] = {}  # functions of a notebook or a script, by name


def is_user_task(name: str) -> bool:
    """Whether `name` is that of something of the user's rather than a built-in task."""
    return ":" in name


def plain_name(name: str) -> str:
    """A name as it is kept: ./train.py:main is train.py:main."""
    where, _, attribute = name.rpartition(":")
    return f"{os.path.normpath(where)}:{attribute}" if where.endswith(".py") else name


def split_name(name: str) -> tuple[str, Path | None]:
    """The module of a name, and its file where the name says which.

    >>> split_name("runs/train.py:main")
    ('train', PosixPath('runs/train.py'))
    """
    where = name.rpartition(":")[0]
    return (Path(where).stem, Path(where)) if where.endswith(".py") else (where, None)


def hand_over(function: Callable[..., Any]) -> str:
    """Keep a function that was handed over in Python; the name under which it is found again.

    One that is a module's is imported by those who need it, as if it had been named.
    """
    module = getattr(function, "__module__", HERE)
    inner = getattr(function, "__qualname__", type(function).__qualname__)
    there = sys.modules.get(module)
    if module != HERE and getattr(there, inner, None) is function:
        return f"{module}:{inner}"
    name = f"{HERE}:{inner}"
    _handed[name] = function
    return name


def handed_over(name: str) -> Callable[..., Any] | None:
    """What was handed over under this name, if other processes cannot find it by themselves."""
    return _handed.get(name)


def is_reachable(name: str) -> bool:
    """Whether another process could find what has this name."""
    return not name.startswith(f"{HERE}:")


def load_own(name: str, kind: Kind = TASK) -> Any:
    """What the user calls `name`; modules are looked up from the working directory too.

    Raises:
        UsageError: the kind's; it does not import, or is not there.
    """
    if name in _handed:
        return _handed[name]
    if not is_reachable(name):
        raise kind.error(
            f"'{name}' was handed over in Python, and is not here: hand it over again, as in "
            "landscape_study.run(train, …) or landscape_study.resume(NAME, task=train)"
        )
    module_name, path = split_name(name)
    attribute = name.rpartition(":")[2]
    if not module_name or not attribute:
        raise kind.error(
            f"{kind.name} '{name}': half a name: write package.module:name or FILE.py:name"
        )
    if module_name == OWN_NAME:
        raise kind.error(
            f"{kind.name} '{name}': the name '{OWN_NAME}' is this tool's own, so Python would not "
            f"find yours: rename {OWN_NAME}.py"
        )
    module = import_own(module_name, path, name, kind)
    try:
        return getattr(module, attribute)
    except AttributeError as e:
        raise kind.error(
            f"{kind.name} '{name}': '{path or module_name}' has no '{attribute}'"
            f"{_offered(module, kind)}"
        ) from e


def import_own(module_name: str, path: Path | None, name: str, kind: Kind = TASK) -> ModuleType:
    """Import the module of a name, or of the file that it says.

    Raises:
        UsageError: the kind's; that fails.
    """
    if path is not None and not path.is_file():
        raise kind.error(f"{kind.name} '{name}': there is no file {path} in {Path.cwd()}")
    folders = [str(Path.cwd()), *([str(path.parent.absolute())] if path is not None else [])]
    for folder in folders:
        if folder not in sys.path:  # for good: the module may import its neighbours later
            sys.path.insert(0, folder)
    try:
        with _without_arguments(module_name):
            if path is not None:
                return _import_file(module_name, path, name, kind)
            return importlib.import_module(module_name)
    except SystemExit as e:
        raise kind.error(
            f"{kind.name} '{name}': importing '{module_name}' ended the program "
            f"(SystemExit: {e.code}): does it read the command line? Put that under "
            "if __name__ == '__main__'"
        ) from e
    except LandscapeError:
        raise  # of this tool's, which it used wrongly
    except Exception as e:  # whatever the user's module raises while it is imported
        raise kind.error(
            f"{kind.name} '{name}': importing '{module_name}' failed ({type(e).__name__}: {e}): "
            + (NAME_IT if isinstance(e, ImportError) else f"mend that{line_of(e, module_name)}")
        ) from e


def line_of(e: BaseException, module: str) -> str:
    """Where in a module it was raised, as messages tell it: ", line 3 of mine.py"."""
    file = f"{module.rpartition('.')[2]}.py"
    frames = traceback.extract_tb(e.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).name == file]
    return f", line {lines[-1]} of {file}" if lines else ""


def _import_file(module_name: str, path: Path, name: str, kind: Kind) -> ModuleType:
    """The module of a file, under the name by which its neighbours would import it."""
    path = path.absolute()
    there = sys.modules.get(module_name)
    if there is not None:
        found = getattr(there, "__file__", None)
        if found is None or Path(found).resolve() != path.resolve():
            raise kind.error(
                f"{kind.name} '{name}': another module is called '{module_name}' "
                f"({found or 'built in'}): rename {path.name}"
            )
        return there
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def offered(module: ModuleType, kind: Kind) -> list[str]:
    """Names of what a module has of a kind."""
    return [key for key, value in vars(module).items() if kind.is_one(value)]


def _offered(module: ModuleType, kind: Kind) -> str:
    """What of a module could have been meant."""
    found = offered(module, kind)
    return f": it has {', '.join(found)}" if found else f", and no {kind.all_names} at all"


def is_marked(value: object) -> bool:
    """Whether it is a function that `@objective` marked."""
    return getattr(value, MARK, None) is True


@contextmanager
def in_this_folder() -> Iterator[None]:
    """A module may go elsewhere when it is imported; paths that the user gave start from here."""
    here = Path.cwd()
    try:
        yield
    finally:
        os.chdir(here)


@contextmanager
def _without_arguments(module: str) -> Iterator[None]:
    """What the module reads of a command line, while it is imported, is not this tool's."""
    before, sys.argv = sys.argv, [module]
    try:
        yield
    finally:
        sys.argv = before
