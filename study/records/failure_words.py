"""Why a cell failed, as it is stored: one text, which holds the last lines of a log too."""

from __future__ import annotations

import re
from collections.abc import Sequence

from landscape_study.study.printable import printable

BREAK = " ⏎ "  # between the reason and each line
LINES = 8  # last ones that are kept
LONGEST = 200  # characters of a line
ESCAPES = re.compile(  # what colours a terminal, moves its cursor, or sets its title
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b."
)


def failure_words(why: str, lines: Sequence[str] = (), log: str = "") -> str:
    """The text that is stored.

    Args:
        why: the reason, in one line.
        lines: that the run printed last.
        log: where the rest is.
    """
    shown = [line for line in map(_plain, lines) if line][-LINES:]
    return BREAK.join([why, *shown, *([f"log: {log}"] if log else [])])


def failure_parts(words: str | None) -> tuple[str, list[str]]:
    """The reason, and the lines that are told with it; none where nobody said why."""
    why, *lines = (words or "nobody said why").split(BREAK)
    return why, lines


def _plain(line: str) -> str:
    """A line without what steers a terminal; of a progress bar, its last state."""
    line = ESCAPES.sub("", line).rstrip()
    line = line.rsplit("\r", 1)[-1].replace(BREAK.strip(), " ").replace("\t", "    ")
    line = printable(line.rstrip())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
