"""What workers do in the place of `work`, to show what they are. It imports little, as they do."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

SECONDS = 60


def is_lean(job: object, device: str) -> bool:
    drawing = {"pandas", "matplotlib", "seaborn", "alembic", "rich"}
    return "torch" in sys.modules and not drawing & set(sys.modules)


def spins_seldom(job: object, device: str) -> bool:
    return os.environ["GOMP_SPINCOUNT"] == "1000"


def spins_as_asked(job: object, device: str) -> bool:
    return os.environ["GOMP_SPINCOUNT"] == "7"


def hears_no_terminal(job: object, device: str) -> bool:
    return {signal.getsignal(n) for n in (signal.SIGINT, signal.SIGHUP)} == {signal.SIG_IGN}


def has_no_arguments(job: object, device: str) -> bool:
    return sys.argv == ["-c"]


def reads_by_processes(job: object, device: str) -> bool:
    """What a loader of a user's gives, whose processes read ahead."""
    return [int(one) for one in DataLoader(range(4), batch_size=1, num_workers=1)] == [*range(4)]


def is_at_home(job: object, device: str) -> bool:
    """In the folder and with the environment that its parent has when it is started."""
    return Path.cwd() == Path(os.environ["LANDSCAPE_TEST_HOME"])


def answers_to_its_parent(job: object, device: str) -> bool:
    return bool(job.parent == os.getppid())  # type: ignore[attr-defined]


def draws(job: object, device: str) -> bool:
    Path(f"drawn-{os.getpid()}").write_text(str(np.random.random()))
    return True


def fails(job: object, device: str) -> bool:
    raise KeyError("lambda")


def waits(job: object, device: str) -> bool:
    time.sleep(SECONDS)
    return True


def sleeps_until_orphaned(job: object, device: str) -> bool:
    while job.parent == os.getppid():  # type: ignore[attr-defined]
        time.sleep(0.1)
    os._exit(1)
