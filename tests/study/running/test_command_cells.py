"""One cell of a command after the other: how it ends, what it leaves, what it may use."""

from pathlib import Path

import pytest

from landscape_study import landscapes as ls
from landscape_study.landscapes.reporting.page import render
from landscape_study.landscapes.reporting.report_record import study_report
from landscape_study.study.console.lines import failure_lines
from landscape_study.study.errors import StudyMismatchError, TrainingError
from landscape_study.study.objectives.process import Limits
from landscape_study.study.store.checking import check
from tests.study.running.command_runs import CommandRun

pytestmark = pytest.mark.slow

ENDS = {
    "exit code": ("sys.exit(3)", "failed", "it ended with exit code 3"),
    "exception": ("1 / 0", "failed", "ZeroDivisionError: division by zero"),
    "nothing printed": ("os._exit(0)", "failed", "it printed no JSON line with 'val_loss'"),
    "signal": ("os.kill(os.getpid(), 11)", "failed", "it was ended by signal SIGSEGV"),
    "killed": ("os.kill(os.getpid(), 9)", "failed", "it was killed 3 times, as for lack of mem"),
    "too long": ("time.sleep(60)", "failed", "it took longer than its time, 1.5 s"),
    "too large": ("x = bytearray(400 * 1024**2); time.sleep(60)", "failed", " of 0.195312 GB"),
    "reads its input": ("input()", "failed", "EOFError"),
    "no number": (
        'print(json.dumps({"val_loss": float("nan")})); sys.stdout.flush(); os._exit(0)',
        "finished",
        None,
    ),
}


@pytest.mark.some(4)
@pytest.mark.parametrize("how", ENDS)
def test_how_a_cell_ends_and_the_others_go_on(tmp_path: Path, how: str):
    body, state, reason = ENDS[how]
    run = CommandRun(tmp_path, f"if lr == 0.2:\n    {body}", (0.1, 0.2, 0.3))
    run(limits=Limits(seconds=1.5 if how == "too long" else 30, memory=200 * 1024**2))
    assert run.states == ["finished", state, "finished"]
    if reason is None:
        assert ls.cells(run.store, "own")["diverged"].tolist() == [False, True, False]
    else:
        assert reason in run.reason
    assert not [found for found in check(run.store, ["own"]) if found.is_fault]


def test_what_fails_everywhere_ends_the_run(tmp_path: Path):
    run = CommandRun(tmp_path, "raise RuntimeError('no data')", (0.1, 0.2, 0.3, 0.4))
    with pytest.raises(TrainingError, match=r"(?s)RuntimeError: no data.*the first 3 cells all"):
        run()
    assert run.states == ["failed"] * 3 + ["open"]


GOES_ON = """
try:
    done = int(open(folder + "/state").read())
except OSError:
    done = 0
if done == 0:
    open(folder + "/state", "w").write("7")
    os.kill(os.getpid(), 9)
print(json.dumps({"epoch": 0, "val_loss": 0, "went_on_from": done}))
"""


def test_a_run_finds_what_it_kept_when_it_died(tmp_path: Path):
    """By a signal: it is tried again by itself, and goes on from its own file."""
    run = CommandRun(tmp_path, GOES_ON)()
    assert run.states == ["finished"]
    assert ls.curves(run.store, "own")["went_on_from"].iloc[0] == 7
    assert run.folders == []


def test_a_failed_run_finds_what_it_kept_when_it_is_tried_again(tmp_path: Path):
    run = CommandRun(tmp_path, GOES_ON.replace("os.kill(os.getpid(), 9)", "sys.exit(1)"))()
    assert run.states == ["failed"]
    assert [path.name for path in run.folders] == ["chunk-1"]
    run.retry()()
    assert run.states == ["finished"]
    assert ls.curves(run.store, "own")["went_on_from"].iloc[0] == 7
    assert run.folders == []


def test_folders_of_finished_runs_are_kept_where_that_is_asked(tmp_path: Path):
    body = "open(folder + '/model', 'wb').write(b'x' * 1000)"
    run = CommandRun(tmp_path, body, (0.1, 0.2, 0.3))(kept=2500)
    assert [path.name for path in run.folders] == ["chunk-2", "chunk-3"]
    assert (run.folders[0] / "model").stat().st_size == 1000


def test_a_run_has_its_threads_and_its_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "LANDSCAPE_DEVICE", "LANDSCAPE_ALPHA")
    run = CommandRun(tmp_path, f"sys.exit(' '.join(os.environ[n] for n in {names}))")
    run("cuda:1", threads=3)
    assert "5 3 cuda 0.1" in run.reason


def test_a_worker_leaves_after_so_many_cells(tmp_path: Path):
    run = CommandRun(tmp_path, "pass", (0.1, 0.2, 0.3))
    assert run(cells=2).states == ["finished", "finished", "open"]
    assert run(cells=2).states == ["finished"] * 3


def test_a_script_that_is_changed_while_it_runs_is_noticed(tmp_path: Path):
    run = CommandRun(tmp_path, "open(__file__, 'a').write('# more')", (0.1, 0.2))
    with pytest.raises(StudyMismatchError, match="is not what it was when study 'own'"):
        run()
    assert run.states == ["finished", "open"]


def test_a_program_that_is_not_there_is_told_and_gives_the_cell_back(tmp_path: Path):
    run = CommandRun(tmp_path, "pass")
    with pytest.raises(TrainingError, match=r"cannot be started on .*/no/such/folder"):
        run(cwd="/no/such/folder")
    assert run.states == ["open"]


HOSTILE = r"""
print("\x1b[31m<script>alert(1)</script>\x1b[0m & `code` **bold**")
sys.exit(1)
"""


def test_the_last_lines_of_a_log_are_shown_and_do_no_harm(tmp_path: Path):
    run = CommandRun(
        tmp_path, f"if lr == 0.2:{HOSTILE}".replace("\n", "\n    "), (0.1, 0.2, 0.3)
    )()
    line = "<script>alert(1)</script> & `code` **bold**"
    shown = failure_lines(run.store.failures("own"), None)
    assert shown[0].endswith("λ = 0.01: it ended with exit code 1")
    assert shown[1] == f"    {line}"
    assert shown[-1].startswith("    log: ")
    log = shown[-1].partition(":")[2].partition(":")[2]
    assert "alert" in Path(log).read_text()
    report = study_report(run.store, "own")
    pages = {kind: render(report, [], [[]], kind, "own") for kind in ("html", "md")}
    assert "<script>" not in pages["html"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; `code`" in pages["html"]
    assert f"\n    {line}\n" in pages["md"]  # indented, it is code
    assert "it ended with exit code 1" in pages["md"]
