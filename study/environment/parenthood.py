"""Processes that do not outlive those that answer for them. Nothing happens but on Linux."""

from __future__ import annotations

import signal
import sys

# As in prctl(2).
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Let the kernel end this process when its parent does."""
    _set(PR_SET_PDEATHSIG, signal.SIGKILL)


def _set(what: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(what, value)
