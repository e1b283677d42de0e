"""examples/slurm.sh, really run, with programs on the PATH that stand for Slurm's and for ours."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.study.runs import wait_for

SCRIPT = Path(__file__).parents[2] / "examples" / "slurm.sh"
PROGRAMS = {
    "srun": 'echo "srun $SRUN_CPUS_PER_TASK" >> said; exec "$@"',
    "scontrol": 'echo "scontrol $*" >> said',
    # A worker that stops in order when it is told to, or ends by itself with this code.
    "landscape": """
        trap 'sleep 0.1; echo stopped >> said; exit 143' TERM
        echo "landscape $*" >> said
        [ -n "$ENDS_WITH" ] && exit "$ENDS_WITH"
        while :; do sleep 0.02; done
    """,
}

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Run the script as Slurm would, in a folder that gets what the programs said."""
    programs = folder / "programs"
    programs.mkdir()
    for name, body in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    own = {"SLURM_CPUS_PER_TASK": "4", "SLURM_JOB_ID": "17", "ENDS_WITH": ""} | environment
    return subprocess.Popen(
        ["bash", str(SCRIPT), *arguments],
        cwd=folder,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"} | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(folder: Path) -> list[str]:
    file = folder / "said"
    return file.read_text().splitlines() if file.exists() else []


def test_the_worker_has_the_cores_and_the_options(tmp_path: Path):
    process = start(tmp_path, "mine", "--trust-command", "--cells", "1", ENDS_WITH="0")
    process.communicate(timeout=90)
    assert process.returncode == 0
    assert said(tmp_path) == [
        "srun 4",
        "landscape worker mine --no-wait --trust-command --cells 1",
    ]


def test_what_fails_fails(tmp_path: Path):
    process = start(tmp_path, "mine", ENDS_WITH="2")
    process.communicate(timeout=90)
    assert process.returncode == 2


def test_at_the_end_of_its_time_the_worker_stops_and_the_job_is_queued_again(tmp_path: Path):
    process = start(tmp_path, "mine")
    wait_for(lambda: len(said(tmp_path)) == 2, 90)
    process.send_signal(signal.SIGUSR1)
    told, _ = process.communicate(timeout=90)
    assert said(tmp_path)[2:] == ["stopped", "scontrol requeue 17"]
    assert "it is queued again" in told


@pytest.mark.parametrize("batch_too", [False, True])
def test_on_preemption_it_does_not_end_before_slurm_ends_it(tmp_path: Path, batch_too: bool):
    """Slurm tells the steps, and on some clusters the script as well."""
    process = start(tmp_path, "mine", LANDSCAPE_PATIENCE="0.5")
    wait_for(lambda: len(said(tmp_path)) == 2, 90)
    if batch_too:
        process.terminate()
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid)], stdout=subprocess.PIPE, text=True, check=True
    )
    os.kill(int(children.stdout.split()[0]), signal.SIGTERM)
    told, _ = process.communicate(timeout=90)
    assert process.returncode == 143
    assert "waiting for Slurm" in told
    assert said(tmp_path)[2:] == ["stopped"]  # and nobody queued it again: that is Slurm's


def test_without_the_tool_it_says_what_to_do(tmp_path: Path):
    process = start(tmp_path, "mine", PATH="/usr/bin:/bin")
    told, _ = process.communicate(timeout=90)
    assert process.returncode == 2
    assert "LANDSCAPE_VENV=" in told


def test_an_environment_is_activated(tmp_path: Path):
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "activate").write_text("echo activated >> said\n")
    process = start(tmp_path, "mine", ENDS_WITH="0", LANDSCAPE_VENV=str(tmp_path / "env"))
    process.communicate(timeout=90)
    assert said(tmp_path)[0] == "activated"
