"""Being stopped from outside: the first signal ends a command in order, a late second at once."""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

IMPORTLIB = "<frozen importlib._bootstrap>"
LATER = 0.1  # seconds after which a signal is heard again that came at a bad moment
GRACE = 5.0  # seconds to end in order; what comes meanwhile is the same wish again

_received: list[tuple[int, float]] = []  # signals and when, since the last `interruptible` began
_is_on = False


def exit_code() -> int:
    """Of a command that was stopped, as shells have it: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (_received[0][0] if _received else signal.SIGINT)


@contextmanager
def interruptible(*, insist: bool = False) -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does.

    A signal that is ignored, as under nohup, stays so. Python handles signals in its main thread
    only; elsewhere, and within another such block, nothing changes.

    Args:
        insist: whether this process is to end then: what comes soon after the first signal is not
            heard, and after a while another one ends it at once. Others see that it is gone, and
            free what it held.
    """
    global _is_on
    if _is_on or threading.current_thread() is not threading.main_thread():
        yield
        return

    came: list[float] = []  # when signals did

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(time.monotonic())
        if not _received and _is_importing(frame) and came[-1] - came[0] < GRACE:
            signal.signal(signal.SIGALRM, lambda _, then: stop(number, then))
            signal.setitimer(signal.ITIMER_REAL, LATER)
            return
        _received.append((number, time.monotonic()))
        if not insist or len(_received) == 1:
            raise KeyboardInterrupt
        if _received[-1][1] - _received[0][1] > GRACE:
            os._exit(exit_code())

    _received.clear()
    heard = [n for n in STOPPING if signal.getsignal(n) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, stop) for number in heard}
    _is_on = True
    try:
        yield
    finally:
        _is_on = False
        if insist and _received:  # this process is about to end: the handlers stay until then
            atexit.register(_ignore, heard)  # not later, when Python would let a signal kill it
        else:
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is imported now: what is raised meanwhile may be lost.

    PyTorch's C code swallows it where it imports NumPy, pydantic's makes another error of it.
    """
    while frame is not None:
        if frame.f_code.co_filename == IMPORTLIB:
            return True
        frame = frame.f_back
    return False


def _ignore(signals: Sequence[int]) -> None:
    for number in signals:
        signal.signal(number, signal.SIG_IGN)
