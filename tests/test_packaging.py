"""What is installed is one package, in whatever way, and shadows no name of a user's own."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("study", "landscapes", "commands")
NAMES = ("study", "landscapes", "commands", "cli", "src")  # of folders and files of the repository
STUDY = """
name = "mine"
task = "study:task"
seeds = 1
[[panel]]
pair = "adamw"
epochs = 2
alpha = [0.1]
lambda = [0.001, 0.01]
"""
TASK = """
import cli, commands, landscapes, src
assert [m.MINE for m in (cli, commands, landscapes, src)] == "cli commands landscapes src".split()
MINE = "study"
"""


def build(target: str, source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (found,) = (p for p in out.iterdir() if p.suffix == {"wheel": ".whl", "sdist": ".gz"}[target])
    return found


def sources() -> set[str]:
    """All files that belong into the package, as git knows them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS, "cli.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    own = {f"src/landscape_study/{name}" for name in ("__init__.py", "__main__.py", "py.typed")}
    return {f"landscape_study/{name}" for name in listed} | {n.removeprefix("src/") for n in own}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.mark.long
def test_a_wheel_holds_one_package_and_all_of_it(wheel: Path):
    assert contents(wheel) == sources()


@pytest.mark.long
def test_a_source_distribution_gives_the_same_wheel(wheel: Path, tmp_path: Path):
    with tarfile.open(build("sdist", ROOT, tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert contents(build("wheel", unpacked, tmp_path)) == contents(wheel)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's own, with modules that are called as parts of the tool."""
    for name in NAMES[1:]:
        (tmp_path / f"{name}.py").write_text(f"MINE = {name!r}\n")
    spirals = (ROOT / "examples" / "spirals.py").read_text("utf-8")
    (tmp_path / "study.py").write_text(spirals + TASK + "task = spirals\n")
    (tmp_path / "mine.toml").write_text(STUDY)
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize("way", ["wheel", "checkout", "editable"])
def test_a_users_own_modules_are_found_whatever_they_are_called(
    wheel: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory, way: str
):
    """By the command and by its workers, from Python and as a script."""
    place = {"checkout": str(ROOT / "src"), "editable": ""}.get(way)
    if place is None:
        place = str(tmp_path_factory.mktemp("installed"))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)
    environment = os.environ | {"PYTHONPATH": place}
    run = ["run", "mine.toml", "--task", "study:task", "--store", "m.db", "--workers", "2"]
    command = [sys.executable, "-m", "landscape_study", *run, "--no-plot", "--chunk", "1"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    code = "import landscape_study, study; print(study.MINE, landscape_study.__file__)"
    asked = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    mine, where = asked.stdout.split()
    assert mine == "study"
    assert where.startswith(place or str(ROOT / "src"))


@pytest.mark.long
def test_nothing_else_is_importable_where_it_is_installed(tmp_path: Path):
    code = f"import importlib.util as u; print([n for n in {NAMES} if u.find_spec(n)])"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"
