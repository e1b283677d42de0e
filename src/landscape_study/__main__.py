"""The command line as a program: `landscape`, and `python -m landscape_study`."""

from __future__ import annotations

import atexit
import os
import sys

from landscape_study.cli import main


def program() -> None:
    """Run the command line, and end without taking apart what is imported: half a second."""
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
