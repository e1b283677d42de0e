"""Signals: the first one interrupts, those that follow soon are not heard, a late one ends all."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from landscape_study.study.environment import interruption
from landscape_study.study.environment.interruption import STOPPING, exit_code, interruptible


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """As they were before."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def send_and_then(first: int, *others: int) -> None:
    """Send one, and others while the first one ends this."""
    try:
        send(first)
    finally:
        for number in others:
            send(number)


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("insist", [True, False])
def test_a_signal_interrupts_and_gives_the_exit_code(number: int, insist: bool):
    with pytest.raises(KeyboardInterrupt), interruptible(insist=insist):
        send(number)
    assert exit_code() == 128 + number


IMPORT = """
try:
    send(number)
    time.sleep(0.3)
except KeyboardInterrupt:
    pass
done.append(number)
"""


@pytest.mark.long
@pytest.mark.parametrize("number", STOPPING)
def test_what_comes_while_a_module_is_imported_is_not_swallowed(number: int):
    """As PyTorch's C code does, of what is raised while it imports NumPy."""
    done: list[int] = []

    def import_and_go_on() -> None:
        code = compile(IMPORT, interruption.IMPORTLIB, "exec")
        exec(code, {"send": send, "time": time, "number": number, "done": done})
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt), interruptible(insist=True):
        import_and_go_on()
    assert done == [number]
    assert exit_code() == 128 + number


def test_an_import_that_takes_long_is_interrupted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interruption, "GRACE", 0.15)
    code = compile("send(2); time.sleep(5)", interruption.IMPORTLIB, "exec")
    with pytest.raises(KeyboardInterrupt), interruptible():
        exec(code, {"send": send, "time": time})


def test_without_a_signal_the_code_is_that_of_ctrl_c():
    with interruptible():
        assert exit_code() == 130


def test_who_insists_is_not_disturbed_while_it_ends():
    with pytest.raises(KeyboardInterrupt), interruptible(insist=True):
        send_and_then(signal.SIGTERM, signal.SIGINT, signal.SIGTERM)
    send(signal.SIGINT)  # nor afterwards
    assert exit_code() == 143


def test_but_a_late_second_one_ends_it_at_once(monkeypatch: pytest.MonkeyPatch):
    ended: list[int] = []
    monkeypatch.setattr(interruption, "GRACE", -1.0)
    monkeypatch.setattr(os, "_exit", ended.append)
    with pytest.raises(KeyboardInterrupt), interruptible(insist=True):
        send_and_then(signal.SIGINT, signal.SIGTERM)
    assert ended == [130]


def test_in_a_notebook_every_signal_interrupts_and_all_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_within_another_nothing_changes():
    with interruptible(insist=True):
        outer = signal.getsignal(signal.SIGTERM)
        with interruptible():
            assert signal.getsignal(signal.SIGTERM) is outer
        assert signal.getsignal(signal.SIGTERM) is outer


def test_what_is_ignored_stays_so_as_under_nohup():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible(insist=True):
        send(signal.SIGHUP)


def in_a_thread(act: Callable[[], None]) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


def test_in_another_thread_nothing_changes():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def look() -> None:
        with interruptible(insist=True):
            seen.append(signal.getsignal(signal.SIGTERM))

    in_a_thread(look)
    assert seen == [before]
