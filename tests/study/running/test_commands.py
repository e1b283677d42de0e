"""Studies that run a command of the user's own, from the command line to the database."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from landscape_study import landscapes as ls
from landscape_study.cli import main
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check

TRAIN = """
    import json, os, sys, time
    lr, wd, seed = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    {body}
    for epoch in (1, 2):
        print(json.dumps({{"epoch": epoch, "val_loss": lr + wd + seed + 1 / epoch}}), flush=True)
"""
GRID = ["--alpha", "[0.1, 0.2]", "--lambda", "[0, 0.01]", "--metric", "val_loss"]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a training script in an empty folder, with lines of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDSCAPE_STORE", str(tmp_path / "own.db"))
    monkeypatch.setattr("landscape_study.study.running.job.POLL", 0.05)

    def write(body: str = "pass") -> list[str]:
        (tmp_path / "train.py").write_text(textwrap.dedent(TRAIN).format(body=body))
        return [sys.executable, "train.py", "{alpha}", "{lambda}", "{seed}"]

    return write


def run(*words: str, expected: int = 0, name: str = "run") -> Result:
    done = CliRunner().invoke(main, [name, *words])
    assert done.exit_code == expected, done.output
    return done


def quick(*words: str, expected: int = 0) -> Result:
    options = [*GRID, "--no-live", "--no-plot", "--workers", "2"]
    return run(*options, *words, expected=expected)


def states(tmp_path: Path, study: str = "train") -> dict[tuple[float, float], str]:
    cells = ls.cells(str(tmp_path / "own.db"), study)
    return cells.set_index(["alpha", "lambda"])["state"].to_dict()


@pytest.mark.long
def test_a_command_is_a_study(script, tmp_path: Path):
    done = quick("--seeds", "2", "--", *script())
    assert "study train: 8 cells, 0 of them finished; 2 workers, engine command" in done.output
    store = Store(str(tmp_path / "own.db"))
    cells = ls.cells(store, "train")
    expected = cells["alpha"] + cells["lambda"] + cells["seed"] + 0.5
    assert cells["val_loss"].tolist() == pytest.approx(expected.tolist())
    curves = ls.curves(store, "train")
    assert curves["epoch"].tolist() == [1, 2] * 8
    assert list(check(store, ["train"])) == []
    assert not (tmp_path / "own.db.runs").exists()
    done = quick("--seeds", "2", "--", *script())
    assert "8 cells, 8 of them finished" in done.output
    run("train", "--format", "md", name="report")
    text = (tmp_path / "train.md").read_text()
    assert "Your own training, pair command" in text
    assert "{alpha}" in text
    store.close()


@pytest.mark.long
def test_a_file_says_all_of_it(script, tmp_path: Path):
    words = json.dumps([*script("assert sys.argv[4] in ('mine', 'yours')"), "{pair}"])
    (tmp_path / "s.toml").write_text(
        f'name = "s"\ncommand = {words}\nmetric = "val_loss"\nalpha = [0.1]\nlambda = [0.01]\n'
        '[[panel]]\npair = "mine"\n[[panel]]\npair = "yours"\n'
    )
    run("s.toml", "--no-live", "--no-plot")
    assert ls.cells(str(tmp_path / "own.db"), "s")["pair"].tolist() == ["mine", "yours"]


FAILS_AT = "{0} if (lr, wd) == (0.2, 0.01) else None"


@pytest.mark.long
def test_a_cell_that_fails_is_told(script, tmp_path: Path):
    quick("--", *script(FAILS_AT.format("1 / 0")))
    found = states(tmp_path)
    assert found.pop((0.2, 0.01)) == "failed"
    assert set(found.values()) == {"finished"}
    shown = run("train", name="status").output
    assert "it ended with exit code 1" in shown
    assert "\n    ZeroDivisionError: division by zero\n    log: " in shown
    assert "all is well" in run("train", name="check").output


@pytest.mark.long
def test_a_study_without_a_result_is_no_success(script):
    one = ["--alpha", "[0.1]", "--lambda", "[0, 0.1]", "--metric", "val_loss"]
    done = run(*one, "--no-live", "--no-plot", "--", *script("1 / 0"), expected=1)
    assert "all 2 cells failed, the last since it ended with exit code 1" in done.output
    assert "landscape status train" in done.output


@pytest.mark.long
def test_what_fails_everywhere_ends_the_run(script, tmp_path: Path):
    done = quick("--", *script("raise RuntimeError('no data')"), expected=1)
    assert re.search("the first [34] cells all failed", done.output)  # two workers count
    assert "RuntimeError: no data" in done.output
    told = "resume train --retry-failed --accept-source --trust-command --store "
    assert f"mend that, then\n  landscape {told}" in done.output
    script()  # mended
    again = ["--retry-failed", "--accept-source", "--trust-command", "--no-live", "--no-plot"]
    run("train", *again, name="resume")
    assert set(states(tmp_path).values()) == {"finished"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-program-x", "{alpha}", "{lambda}"], "there is no program 'no-such-program-x'"),
        (["python", "{alhpa}", "{lambda}"], "{alhpa} is no placeholder: did you mean {alpha}?"),
        (["python", "{alpha}"], "the command has no {lambda}: put it where the number belongs"),
    ],
)
def test_a_command_that_cannot_be_is_refused(script, tmp_path: Path, words, message):
    script()
    assert message in quick("--", *words, expected=2).output
    assert not (tmp_path / "own.db").exists()


def test_a_command_needs_a_grid_and_a_metric(script):
    done = run("--alpha", "[1]", "--", *script(), expected=2)
    assert "a command needs --lambda, --metric" in done.output


@pytest.mark.long
def test_another_script_under_the_same_name_is_refused(script):
    quick("--", *script())
    done = quick("--seeds", "2", "--", *script("x = 1"), expected=2)
    assert "is not what it was when study 'train' was created" in done.output


@pytest.mark.long
def test_killed_it_leaves_nothing_and_goes_on(script, tmp_path: Path):
    words = script("open('ran', 'a').write('x'); time.sleep(1.5)")
    command = [sys.executable, "-m", "landscape_study", "run", *GRID, "--no-live", "--no-plot"]
    command += ["--workers", "2", "--", *words]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "ran").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    left = [p for p in psutil.process_iter(["cmdline"]) if "train.py" in (p.info["cmdline"] or [])]
    assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]
    refused = run("train", name="resume", expected=2)
    assert "runs a command of your own" in refused.output
    run("train", "--trust-command", "--no-live", "--no-plot", name="resume")
    assert set(states(tmp_path).values()) == {"finished"}
    assert "all is well" in run("train", name="check").output
