"""Processes of users' commands: their output, their limits, their end with all children."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from landscape_study.study.objectives.process import (
    LARGEST_LOG,
    Ended,
    Limits,
    end_leftovers,
    run_process,
)
from tests.study.runs import wait_for

PYTHON = sys.executable

pytestmark = pytest.mark.slow


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended may wait to be asked for by its parent."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def run(code: str, folder: Path, **options) -> tuple[Ended, list[str]]:
    lines: list[str] = []
    limits = options.pop("limits", Limits())
    command = [PYTHON, "-c", code]
    ended = run_process(command, {"OWN": "1"}, folder / "log.txt", limits, lines.append, **options)
    return ended, lines


def test_output_of_both_streams_goes_to_the_log_and_to_the_caller(tmp_path: Path):
    code = "import os, sys; print(os.environ['OWN']); print('é', file=sys.stderr)"
    ended, lines = run(code, tmp_path)
    assert (ended.code, ended.stopped, sorted(lines)) == (0, None, ["1", "é"])
    assert sorted((tmp_path / "log.txt").read_text("utf-8").splitlines()) == ["1", "é"]
    assert sorted(ended.tail) == ["1", "é"]


def test_it_has_no_input(tmp_path: Path):
    ended, lines = run("print(repr(input()))", tmp_path)
    assert ended.code == 1
    assert any("EOFError" in line for line in lines)


def test_exit_codes_and_signals(tmp_path: Path):
    assert run("raise SystemExit(3)", tmp_path)[0].code == 3
    assert run("import os; os.kill(os.getpid(), 11)", tmp_path)[0].code == -11


def test_what_takes_too_long_is_ended_also_if_it_does_not_listen(tmp_path: Path):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("landscape_study.study.objectives.family.GRACE", 0.3)
        ended, _ = run(code, tmp_path, limits=Limits(seconds=0.5))
    assert ended.stopped == "timeout"
    assert time.monotonic() - began < 20


def test_what_takes_too_much_memory_is_ended(tmp_path: Path):
    code = "import time; x = bytearray(300 * 1024**2); time.sleep(60)"
    ended, _ = run(code, tmp_path, limits=Limits(memory=150 * 1024**2))
    assert ended.stopped == "memory"
    assert ended.memory > 150 * 1024**2


CHILDREN = """
import os, subprocess, sys, time
for new in (False, True):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                             start_new_session=new)
    print(child.pid, flush=True)
time.sleep({})
"""


@pytest.mark.long
@pytest.mark.parametrize("sleep", [1, 60])
def test_nothing_of_it_is_left(tmp_path: Path, sleep: int):
    _, lines = run(CHILDREN.format(sleep), tmp_path, limits=Limits(seconds=3.0))
    pids = [int(line) for line in lines]
    assert len(pids) == 2
    assert not any(map(is_alive, pids))


def test_what_the_caller_raises_ends_it(tmp_path: Path):
    def look() -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run("import time; time.sleep(60)", tmp_path, on_look=look)
    assert time.monotonic() - began < 20


def test_a_long_output_is_cut_in_the_log_and_read_all_the_same(tmp_path: Path):
    code = "for i in range(200_000): print('x' * 60)\nprint('the end')"
    ended, lines = run(code, tmp_path)
    assert lines[-1] == ended.tail[-1] == "the end"
    assert (tmp_path / "log.txt").stat().st_size < LARGEST_LOG + 100


def test_a_log_is_begun_anew_where_a_former_try_has_filled_it(tmp_path: Path):
    (tmp_path / "log.txt").write_bytes(b"x" * LARGEST_LOG)
    run("print('second')", tmp_path)
    run("print('third')", tmp_path)
    assert (tmp_path / "log.txt").read_text() == "second\nthird\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_a_run_does_not_wait_for_a_disk_that_is_full(tmp_path: Path):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    ended, lines = run("for i in range(5000): print('x' * 60)\nprint('the end')", tmp_path)
    assert (ended.code, len(lines), lines[-1]) == (0, 5001, "the end")


@pytest.mark.parametrize("unguarded", [False, True])
def test_what_a_crash_leaves_is_ended_at_once_or_by_whoever_comes_after(
    tmp_path: Path, unguarded: bool
):
    parent = psutil.Popen(
        [PYTHON, "-c", f"{RUNNER}\nrun({CHILDREN.format(60)!r}, {str(tmp_path)!r})"],
        env={"PYTHONPATH": "src"},
    )
    log = tmp_path / "log.txt"
    wait_for(lambda: log.exists() and len(log.read_text().splitlines()) == 2, 30)
    children = [int(pid) for pid in log.read_text().splitlines()]  # the second left its group
    if unguarded:
        (guard,) = (one for one in parent.children() if "guardian.py" in str(one.cmdline()))
        guard.kill()
    parent.kill()
    parent.wait()
    if unguarded:
        time.sleep(0.5)
        assert all(is_alive(pid) for pid in children)
        end_leftovers(tmp_path)
    wait_for(lambda: not any(is_alive(pid) for pid in children), 5)
    end_leftovers(tmp_path / "none")


def test_what_it_leaves_behind_at_once_is_ended(tmp_path: Path):
    leave = "import subprocess as s; print(s.Popen(['setsid', 'sleep', '60']).pid)"
    ended, (pid,) = run(leave, tmp_path)
    assert ended.seconds < 4
    assert not is_alive(int(pid))


RUNNER = """
import sys
from pathlib import Path
from landscape_study.study.objectives.process import Limits, run_process
def run(code, folder):
    run_process([sys.executable, "-c", code], {}, Path(folder) / "log.txt", Limits(), print)
"""
