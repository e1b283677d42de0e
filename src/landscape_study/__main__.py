"""The command line as a program: `landscape`, and `python -m landscape_study`."""

from __future__ import annotations

import atexit
import gc
import os
import sys

from landscape_study.cli import main

YOUNG = 500_000  # objects before Python looks for garbage: of what is imported, nothing is


def program() -> None:
    """Run the command line, and end without taking apart what is imported: half a second."""
    gc.set_threshold(YOUNG)  # a sixth of the time that imports take
    code: object = None

    def leave() -> None:
        if code is None or isinstance(code, int):  # else Python has something to say
            _leave(code or 0)

    atexit.register(leave)  # before all others, so that it comes after them
    try:
        main(prog_name="landscape")
    except SystemExit as e:
        code = e.code
        raise
    except BaseException:
        atexit.unregister(leave)
        raise


def _leave(code: int) -> None:
    """End this process, unless Python has to say that something could not be written."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return
    os._exit(code)


if __name__ == "__main__":
    program()
