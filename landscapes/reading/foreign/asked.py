"""What the user says of a file, and what must still be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from math import inf
from numbers import Real
from typing import Any, Literal, TypeAlias, get_args

from landscape_study.landscapes.reading.foreign.row_filter import condition, known_column
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Goal, Table
from landscape_study.landscapes.reading.foreign.tables.table_builder import Wanted
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.shell_words import shell_words

COLUMNS = ("alpha", "lambda_", "metric", "seed", "panel", "fidelity")  # that may be named
OPTIONS = {"lambda_": "--lambda", "panel": "--panels-by"}  # called otherwise than here
MOST_SHOWN = 6  # answers in a message
Keep: TypeAlias = Literal["last", "best", "each"]
CHOICES = {"goal": (None, *get_args(Goal)), "keep": get_args(Keep)}


@dataclass(frozen=True)
class Asked:
    """What the user says of a file; None to guess.

    Attributes:
        alpha, lambda_, metric, seed, panel: the columns of α, λ, …
        goal: which values of the metric are better.
        matters: the difference of the metric below which the user would not care.
        where: a condition on rows, see `row_filter.Condition`.
        fidelity: the column of epochs, steps or budgets, of a file with several rows a run.
        keep: which row of a run counts: its last, its best, or each, as a panel.

    Raises:
        UsageError: a goal, a row to keep, or a difference that matters that cannot be; a name
            that is no text.
    """

    alpha: str | None = None
    lambda_: str | None = None
    metric: str | None = None
    seed: str | None = None
    panel: str | None = None
    goal: Goal | None = None
    matters: float | None = None
    where: str | None = None
    fidelity: str | None = None
    keep: Keep = "last"

    def __post_init__(self) -> None:
        for key, allowed in CHOICES.items():
            if not _is_among(value := getattr(self, key), allowed):
                choices = ", ".join(map(repr, allowed))
                raise UsageError(f"{key} = {value!r}: choose one of {choices}")
        for key in (*COLUMNS, "where"):
            if not isinstance(value := getattr(self, key), str | None):
                what = "a condition on rows" if key == "where" else "the name of a column"
                raise UsageError(f"{key} = {value!r}: give {what}, as text")
        if self.matters is not None and not _is_positive(self.matters):
            raise UsageError(
                f"matters = {self.matters!r}: give a positive difference of the metric"
            )

    @property
    def columns(self) -> list[str]:
        """The columns that are named."""
        return [name for key in COLUMNS if (name := getattr(self, key)) is not None]

    def known_in(self, table: Table) -> Asked:
        """The same, with the names as the table has them.

        Raises:
            UsageError: it has no such column.
        """
        named = {key: getattr(self, key) for key in COLUMNS}
        known: dict[str, Any] = {
            key: known_column(table, name) for key, name in named.items() if name is not None
        }
        return replace(self, **known)

    @property
    def said(self) -> dict[str, Any]:
        """What is said, by name."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in values.items() if value != getattr(Asked, name)}

    def and_also(self, more: Asked) -> Asked:
        """What is said here and there; of two conditions on rows both hold."""
        said = more.said
        if self.where and more.where:
            said["where"] = f"({self.where}) and {more.where}"
        return replace(self, **said)

    @property
    def wanted(self) -> Wanted:
        """The columns that are named, in the condition too, and the rows that fulfil it."""
        if self.where is None:
            return Wanted(frozenset(self.columns))
        found = condition(self.where)
        return Wanted(frozenset([*self.columns, *found.columns]), found.rows_of_block)

    @property
    def options(self) -> tuple[str, ...]:
        """The same as words of a command line."""
        named = {OPTIONS.get(key, f"--{key}"): getattr(self, key) for key in (*COLUMNS, "where")}
        named["--matters"] = None if self.matters is None else repr(self.matters)
        named["--keep"] = None if self.keep == "last" else self.keep
        said = [(option, value) for option, value in named.items() if value is not None]
        return (*chain.from_iterable(said), *([f"--{self.goal}"] if self.goal else []))

    def __str__(self) -> str:
        """The same as it is typed into a shell."""
        return shell_words(self.options)


def _is_among(value: object, allowed: Sequence[str | None]) -> bool:
    """Whether a value is one of some texts, or None where that is one of them."""
    return (value is None or isinstance(value, str)) and value in allowed


def _is_positive(value: object) -> bool:
    """Whether a value is a positive number, and finite."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < inf


def each_of(key: str, values: Iterable[Any]) -> list[Asked]:
    """Each of some values as what the user says of one thing."""
    return [Asked(**{key: value}) for value in values]


class UnclearError(UsageError):
    """A file that could be understood in several ways.

    Its message ends in what to type for each of them.

    Attributes:
        why: what is unclear, without what to type.
        answers: each makes it clear.
    """

    def __init__(self, why: str, answers: Sequence[Asked]) -> None:
        shown = " or ".join(str(one) for one in answers[:MOST_SHOWN])
        say = " Say" if why.endswith("?") else ": say"
        super().__init__(f"{why}{say} {shown}" + ", …" * (len(answers) > MOST_SHOWN))
        self.why, self.answers = why, tuple(answers)
