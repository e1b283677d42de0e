"""Where a result came from: versions, revision, machine."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import uuid
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil

STARTTIME = 19  # of the fields behind the name in /proc/PID/stat, as in proc(5)
TRAINING_EXAMPLES = "training_examples"  # how many there are: a fact of a run that trains a task
PACKAGES = ("landscape-study", "torch", "optuna", "numpy", "sqlalchemy")


def provenance(devices: list[str], engine: str) -> dict[str, object]:
    """Versions, git revision, machine, process, devices and engine of this run, ready for JSON."""
    me = Worker()
    return {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "git": git_revision(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "devices": devices,
        "engine": engine,
        "process": {"machine": me.machine, "pid": me.pid, "born": me.born},
    }


def git_revision() -> str | None:
    """The revision of this tool's source, "-dirty" if changed; None outside its checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # not some checkout around it
        return git("describe", "--always", "--dirty", "--abbrev=40")
    except (OSError, subprocess.SubprocessError):
        return None


def _machine() -> str:
    """This boot of this machine and this process namespace: within it a pid means something."""
    parts = [socket.gethostname()]
    for source in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        path = Path(source)
        try:
            parts.append(str(path.readlink()) if path.is_symlink() else path.read_text().strip())
        except OSError:  # not Linux: the host name must do
            continue
    return " ".join(parts)


def _born(pid: int) -> float:
    """When a process started, in seconds: on Linux since boot, which no set clock changes.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return psutil.Process(pid).create_time()
    return int(fields[STARTTIME]) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Worker:
    """Who holds a claim: a token no other worker has, and where its process can be found."""

    device: str = "cpu"
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    machine: str = field(default_factory=_machine)
    pid: int = field(default_factory=os.getpid)
    born: float = field(default_factory=lambda: _born(os.getpid()))


def is_dead(machine: str, pid: int, born: float) -> bool:
    """Whether the process is known to be gone; False where that cannot be told from here."""
    if machine != _machine():
        return False
    try:
        return abs(_born(pid) - born) > 1 or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
