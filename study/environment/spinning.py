"""How threads of GNU's OpenMP wait for each other: by spinning, for so many rounds; then asleep.

By default these are so many that two workers of two threads each on two cores, started by hand,
took fifteen times as long as with a thousand, and longer; a thousand cost no time alone. The few
steps with which a task is checked took half a second of the processor beside another process, and
a twentieth with a thousand. It is read when PyTorch is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

ROUNDS = {"GOMP_SPINCOUNT": "1000"}


def spinning_little(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process whose threads fall asleep soon, unless the user says else."""
    return {**ROUNDS, **environment}


def spin_little() -> None:
    """Let it be the environment of this process, and of those that it starts."""
    os.environ.update(spinning_little(os.environ))
