"""What is imported is declared, and what is installed is locked with its hashes."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
OWN = {"landscape_study", "tests", "examples", "benchmarks"}
PRIVATE = {  # interfaces that are nobody's promise, and the one file that uses each
    "_aoti": "study/training/engines/native.py",
    "torch._inductor": "study/training/engines/native.py",
    "_trial_id": "study/store/optuna_view.py",
    "optuna.storages._rdb": None,
}


def sources(*folders: str) -> list[Path]:
    return [
        ROOT / "cli.py",
        *(path for folder in folders for path in (ROOT / folder).rglob("*.py")),
    ]


def imported(path: Path) -> set[str]:
    """Top-level names of what a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - OWN - set(sys.stdlib_module_names)


def declared(*extras: str) -> set[str]:
    """Names of the packages that are asked for."""
    optional = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *(one for extra in extras for one in optional[extra])]
    return {normal(re.split(r"[<>=\[ ;]", one, maxsplit=1)[0]) for one in wanted}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.some(1)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (
            ("study", "landscapes", "commands"),
            ("tasks", "postgres", "dask", "xarray", "notebooks"),
        ),
        (("tests", "benchmarks"), ("tasks", "postgres", "dask", "xarray", "bench", "dev")),
    ],
)
def test_what_is_imported_is_declared(folders: tuple[str, ...], extras: tuple[str, ...]):
    packages, known = packages_distributions(), declared(*extras)
    for path in sources(*folders):
        for name in imported(path):
            owners = {normal(owner) for owner in packages.get(name, [name])}
            assert owners & known, f"{path.name} imports {name}"


def test_every_locked_version_has_hashes_and_every_dependency_is_locked():
    entries = re.split(r"\n(?=\S)", LOCK.partition("\n#    make lock\n")[2].strip())
    pins = {}
    for entry in entries:
        name, version = re.match(r"([\w.\-]+)==([^\s;]+)", entry).groups()  # type: ignore
        pins[normal(name)] = version
        assert entry.count("--hash=sha256:") >= 1, name
    assert declared("dev") - {"landscape-study", "torch"} <= pins.keys()
    assert "torch" not in pins


@pytest.mark.parametrize(("interface", "home"), PRIVATE.items())
def test_private_interfaces_are_used_in_one_file_at_most(interface: str, home: str | None):
    users = {
        str(path.relative_to(ROOT))
        for path in sources("study", "landscapes")
        if re.search(rf"\b{re.escape(interface)}\b", path.read_text("utf-8"))
    }
    assert users <= {home}
