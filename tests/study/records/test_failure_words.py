"""Why a cell failed, with the last lines of its log."""

import pytest

from landscape_study.study.records.failure_words import (
    LINES,
    LONGEST,
    failure_parts,
    failure_words,
)


def test_reason_lines_and_log_come_back():
    words = failure_words("it ended with exit code 3", ["one", "", "two"], "host:/log.txt")
    assert "\n" not in words
    assert failure_parts(words) == (
        "it ended with exit code 3",
        ["one", "two", "log: host:/log.txt"],
    )
    assert failure_parts(None) == ("nobody said why", [])


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[1;31mError\x1b[0m: no", "Error: no"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        (" 10 %\r 50 %\r100 %\r", "100 %"),
        ("a\x00b\x08\u202e", "a\\x00b\\x08\\u202e"),
        ("a ⏎ b", "a   b"),
        ("\tindented", "    indented"),
        ("x" * 500, "x" * LONGEST + "…"),
    ],
)
def test_what_steers_a_terminal_is_left_out(line: str, shown: str):
    assert failure_parts(failure_words("why", [line]))[1] == [shown]


def test_only_the_last_lines_are_kept():
    _, lines = failure_parts(failure_words("why", [str(i) for i in range(100)]))
    assert lines == [str(i) for i in range(100 - LINES, 100)]
