"""Runs of functions in processes of their own: forked, or begun anew where that is not safe."""

import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from landscape_study.study.errors import TrainingError
from landscape_study.study.objectives.family import adopting
from landscape_study.study.objectives.function_host import Order
from landscape_study.study.objectives.function_process import FunctionHost
from landscape_study.study.objectives.function_run import FunctionCell
from landscape_study.study.objectives.process import Ended, Limits, attend
from landscape_study.study.objectives.reports import Reports

pytestmark = pytest.mark.slow

PLAIN = """
import os, subprocess, sys, threading, time
count = 0

def train(cell, run):
    global count
    count += 1
"""


class Runs:
    """A host with a function of these lines, and what its runs leave."""

    def __init__(self, folder: Path, body: str, top: str = "pass") -> None:
        indented = textwrap.indent(textwrap.dedent(body), "    ")
        text = f"{PLAIN}{indented}\n\n{top}\n"
        (folder / "trained.py").write_text(text)
        self.folder, self.lines = folder, []
        name = f"{folder / 'trained.py'}:train"
        self.host = FunctionHost(name, None, {"OWN": "1", "PYTHONUNBUFFERED": "1"})

    def run(
        self,
        alpha: float = 0.5,
        limits: Limits = Limits(),  # noqa: B008
        on_look: Callable[[], None] = lambda: None,
    ) -> tuple[Ended, Reports]:
        """One run."""
        folder = self.folder / f"run-{alpha}"
        folder.mkdir(exist_ok=True)
        order = Order(FunctionCell(alpha, 0.0, 0, "", ""), "cpu", str(folder), "loss")
        with adopting() as before:
            process, log = self.host.start(order), folder / "log.txt"
            others = before | self.host.pids
            ended = attend(process, log, limits, self.lines.append, on_look, others)
        return ended, Reports(folder, "loss")


@pytest.fixture
def runs(tmp_path: Path):
    """Make a host; it is ended afterwards."""
    made: list[Runs] = []

    def make(body: str, top: str = "pass") -> Runs:
        made.append(Runs(tmp_path, body, top))
        return made[-1]

    yield make
    for one in made:
        one.host.close()


def test_each_run_starts_from_the_module_as_it_was_imported(runs):
    one = runs("print(os.environ['OWN'], os.getpid()); return count + cell.alpha")
    found = [one.run(alpha)[1].value for alpha in (1, 2, 3)]
    assert found == [2, 3, 4]
    assert len({line.split()[1] for line in one.lines}) == 3
    assert all(line.startswith("1 ") for line in one.lines)
    assert one.host.forks == (sys.platform == "linux")


@pytest.mark.parametrize(
    "top",
    [
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "kept = open(__file__)",
    ],
)
def test_what_a_fork_would_tear_is_started_anew(runs, top: str):
    one = runs("print(os.getpid(), sys.argv); return count + cell.alpha", top)
    assert [one.run(alpha)[1].value for alpha in (1, 2)] == [2, 3]
    assert not one.host.forks
    first, second = one.lines
    assert first != second
    assert "trained.py:train" in first


def test_what_a_run_does_to_itself_is_told(runs):
    body = """
        if cell.alpha == 1:
            os._exit(3)
        if cell.alpha == 2:
            os.kill(os.getpid(), 11)
        if cell.alpha == 3:
            print("stdout"); print("stderr", file=sys.stderr); input()
        if cell.alpha == 4:
            time.sleep(60)
        return 1.0
    """
    one = runs(body)
    assert one.run(1)[0].code == 3
    assert one.run(2)[0].code == -11
    ended, reports = one.run(3)
    assert ended.tail[:2] == ("stdout", "stderr")
    assert "EOFError" in reports.lacking
    ended, _ = one.run(4, limits=Limits(seconds=0.3))
    assert (ended.stopped, ended.seconds < 5) == ("timeout", True)
    assert one.run(5)[1].value == 1.0


def test_children_that_it_leaves_do_not_hold_it_up(runs):
    one = runs("""
    print(subprocess.Popen(['setsid', 'sleep', '60']).pid)
    if os.fork() == 0:
        print(os.getpid())
        time.sleep(60)
    return 1.0
    """)
    ended, reports = one.run()
    assert (ended.code, reports.value, ended.seconds < 5) == (0, 1.0, True)
    assert not any(psutil.pid_exists(int(pid)) for pid in one.lines)


LISTENS = """
for epoch in range(600):
    run.report(epoch, loss=epoch)
    if run.should_stop():
        (run.folder / "kept").write_text(str(epoch))
        return -1.0
    time.sleep(0.02)
"""


def has_reported(folder: Path) -> bool:
    """Whether the run has looked several times whether to stop."""
    reports = folder / "run-0.5" / "reports.jsonl"
    return reports.exists() and reports.read_text().count("report") > 3


def test_who_looks_whether_to_stop_may_end_by_itself(runs, tmp_path: Path):
    one = runs(LISTENS)

    def look() -> None:
        if has_reported(tmp_path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one.run(on_look=look)
    assert (tmp_path / "run-0.5" / "kept").exists()
    reports = Reports(tmp_path / "run-0.5", "loss")
    assert reports.value is None  # it is not complete
    assert len(reports.curves()["loss"]) > 3


def test_whoever_is_told_to_stop_from_outside_ends_as_if_by_the_signal(runs, tmp_path: Path):
    one = runs(LISTENS)

    def look() -> None:
        if has_reported(tmp_path):
            for child in psutil.Process(one.host.process.pid).children():
                child.send_signal(signal.SIGTERM)

    ended, reports = one.run(on_look=look)
    assert (tmp_path / "run-0.5" / "kept").exists()
    assert (ended.code, ended.stopped, reports.value) == (-signal.SIGTERM, None, None)


def test_it_ends_with_whoever_ordered_it(runs):
    one = runs("time.sleep(60)")
    pids: list[int] = []

    def look() -> None:
        own = psutil.Process(one.host.process.pid)
        pids.extend(child.pid for child in own.children())
        own.kill()

    ended, _ = one.run(on_look=look)
    assert (ended.code, len(pids)) == (-signal.SIGKILL, 1)
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pids[0]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not psutil.pid_exists(pids[0])


@pytest.mark.parametrize(
    ("top", "told"),
    [
        ("1 / 0", r"importing 'trained' failed \(ZeroDivisionError: division by zero\)"),
        ("sys.exit(2)", r"importing 'trained' ended the program \(SystemExit: 2\)"),
        ("os._exit(7)", "the process ended, 7"),
        ("del train", "has no 'train'"),
    ],
)
def test_what_cannot_be_loaded_there_is_told(runs, top: str, told: str):
    one = runs("return 1.0", top)
    with pytest.raises(TrainingError, match=told):
        one.host.ready()
    assert one.host.process is None


def test_a_host_that_is_killed_is_started_again(runs):
    one = runs("return 1.0")
    assert one.run(1)[1].value == 1.0
    first = one.host.process
    first.kill()
    first.wait()
    assert one.run(2)[1].value == 1.0
    second = one.host.process
    assert second.pid != first.pid
    assert one.run(3)[1].value == 1.0
    assert one.host.process is second  # no part of the runs that it was started for


def test_a_host_that_dies_at_each_import_is_given_up(runs, tmp_path: Path):
    one = runs("return 1.0", "open('imports', 'a').write('x'); os.kill(os.getpid(), 9)")
    one.host.cwd = str(tmp_path)
    with pytest.raises(TrainingError, match="the process ended, -9"):
        one.run()
    assert (tmp_path / "imports").read_text() == "xxx"


def test_it_is_looked_after_while_the_import_takes_a_while(runs):
    looks: list[float] = []
    one = runs("return 1.0", "time.sleep(0.5)")
    one.host.ready(lambda: looks.append(time.monotonic()))
    assert len(looks) > 2
    one.host.ready(lambda: looks.clear())
    assert looks


def test_nothing_slow_is_imported_for_it(runs):
    slow = "{'torch', 'numpy', 'pandas', 'psutil', 'joblib'}"
    one = runs(f"print(sorted({slow} & set(sys.modules))); return 1.0")
    one.run()
    assert one.lines == ["[]"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("top", ["import torch", "import torch; torch.cuda.is_available()"])
def test_cuda_works_in_each_run_whatever_the_import_did(runs, top: str):
    one = runs("return float(torch.ones(3, device='cuda').sum())", top)
    assert [one.run(alpha)[1].value for alpha in (1, 2)] == [3.0, 3.0]
