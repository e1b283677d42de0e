"""What is unclear of a file is asked about, where somebody sits at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from landscape_study.study.printable import printable_lines

if TYPE_CHECKING:
    from landscape_study.landscapes.reading.foreign.asked import Asked, UnclearError

T = TypeVar("T")
MOST = 20  # answers to choose from


def until_clear(read: Callable[[Asked], T], asked: Asked) -> T:
    """What is read with what the user says of a file; of what is unclear they are asked.

    Raises:
        UnclearError: nobody sits at the terminal.
    """
    from landscape_study.landscapes.reading.foreign.asked import UnclearError

    said: list[str] = []
    while True:
        try:
            found = read(asked)
        except UnclearError as e:
            if not is_somebody_there():
                raise
            answer = _answer(e)
            asked, said = asked.and_also(answer), [*said, str(answer)]
        else:
            if said:
                click.echo(f"without questions the next time: {' '.join(said)}", err=True)
            return found


def is_somebody_there() -> bool:
    """Whether somebody can read a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _answer(unclear: UnclearError) -> Asked:
    """What the user chooses; the questions go to where errors do."""
    answers = unclear.answers[:MOST]
    shown = (", ".join(map(str, one.said.values())) for one in answers)
    lines = [unclear.why, *(f"  {i}  {one}" for i, one in enumerate(shown, start=1))]
    click.echo(printable_lines("\n".join(lines)), err=True)
    one_of = click.IntRange(1, len(answers))
    number = click.prompt("Which one?", type=one_of, prompt_suffix=" ", err=True)
    return answers[number - 1]
