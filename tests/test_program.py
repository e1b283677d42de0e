"""The command line as a program: how it ends, and what its commands import."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from landscape_study.study.store import Store
from tests.conftest import make_study
from tests.study.store.test_store import train_all


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def ended(main: str) -> subprocess.CompletedProcess[str]:
    """The program, with something else in the place of its commands."""
    return python(
        "import atexit, sys, threading, time; import landscape_study.__main__ as program\n"
        f"def main(prog_name):\n    {main}\n"
        "program.main = main; program.program()"
    )


@pytest.mark.parametrize(
    ("main", "code", "printed"),
    [
        ("print('done'); sys.exit(3)", 3, "done\n"),
        ("print('done', end=''); sys.exit()", 0, "done"),
        ("atexit.register(print, 'tidied'); sys.exit(0)", 0, "tidied\n"),
        ("threading.Timer(0.2, lambda: print('late')).start(); sys.exit(0)", 0, "late\n"),
        ("threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", 0, ""),
    ],
)
def test_it_ends_as_any_program_does(main: str, code: int, printed: str):
    done = ended(main)
    assert (done.returncode, done.stdout, done.stderr) == (code, printed, "")


def test_it_does_not_take_apart_what_it_imported():
    """Modules end with the interpreter, and with them what they refer to."""
    done = ended(
        "sys.stays = type('Stays', (), {'__del__': lambda self: print('gone')})(); exit(0)"
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("main", "code", "told"),
    [
        ("raise KeyError('lost')", 1, "KeyError: 'lost'"),
        ("sys.exit('no such thing')", 1, "no such"),
    ],
)
def test_python_says_what_it_has_to_say(main: str, code: int, told: str):
    done = ended(main)
    assert done.returncode == code
    assert told in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_what_cannot_be_written_is_no_success():
    full = Path("/dev/full").open("w")  # noqa: SIM115, closed below
    with full:
        code = "import landscape_study.__main__ as program; program.program()"
        command = [sys.executable, "-c", code, "--version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0
    assert "No space left" in done.stderr


@pytest.mark.slow
def test_looking_leaves_nothing_beside_the_database(tmp_path: Path):
    with closing(Store(str(tmp_path / "known.db"), create=True)) as store:
        train_all(store, make_study())
    command = [sys.executable, "-m", "landscape_study", "status", "--store"]
    subprocess.run([*command, str(tmp_path / "known.db")], check=True, stdout=subprocess.DEVNULL)
    assert [path.name for path in tmp_path.iterdir()] == ["known.db"]


@pytest.mark.slow
def test_status_imports_neither_what_trains_nor_what_draws(tmp_path: Path):
    with closing(Store(str(tmp_path / "known.db"), create=True)) as store:
        train_all(store, make_study())
    done = python(
        "import sys; from landscape_study.cli import main; "
        f"main(['status', '--store', {str(tmp_path / 'known.db')!r}], standalone_mode=False); "
        "slow = {'torch', 'pandas', 'matplotlib', 'seaborn', 'alembic', 'scipy', 'joblib'}; "
        "sys.exit(bool(slow & set(sys.modules)))"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_database_is_made_without_optunas_migrations(tmp_path: Path):
    done = python(
        "import sys; from landscape_study.study.store import Store; "
        f"Store({str(tmp_path / 'new.db')!r}, create=True).close(); "
        "sys.exit('alembic' in sys.modules)"
    )
    assert done.returncode == 0, done.stderr
