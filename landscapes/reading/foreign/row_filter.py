"""--where: rows by a condition, in a small grammar; nothing is evaluated as Python."""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

import numpy as np

from landscape_study.landscapes.reading.foreign.tables.column_names import plain
from landscape_study.landscapes.reading.foreign.tables.foreign_table import (
    LONGEST as LONGEST_TEXT,
)
from landscape_study.landscapes.reading.foreign.tables.foreign_table import (
    Bools,
    Column,
    Places,
    Table,
    number,
)
from landscape_study.study.errors import UsageError

LONGEST = 10_000  # characters of a condition
TICKS_OR_QUOTES = re.compile(r"`([^`]*)`|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
EXAMPLE = """as in --where "state == 'COMPLETE' and epochs >= 10\""""
ORDER: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
    ast.Eq: ast.Eq,
    ast.NotEq: ast.NotEq,
}


@dataclass(frozen=True)
class Condition:
    """Comparisons of columns with numbers, texts and lists of them; and, or, not, in.

    Column names are written as they are, odd ones in back-ticks: `val/loss`. None means that
    nothing stands there.
    """

    text: str
    tree: ast.expr
    quoted: dict[str, str]  # names in the tree of columns that stood in back-ticks

    @property
    def columns(self) -> list[str]:
        """The columns that it names."""
        found: list[str] = []
        nodes: list[ast.AST] = [self.tree]
        while nodes:
            node = nodes.pop()
            name = self._named(node)
            if name is None:
                nodes += ast.iter_child_nodes(node)
            else:
                found.append(name)
        return found

    def rows(self, table: Table) -> Bools:
        """Which rows of a table fulfil it, [N].

        Raises:
            UsageError: it names a column that is not there, or holds what is no condition.
        """
        return self._true(self.tree, table)

    def rows_of_block(self, columns: Mapping[str, Column]) -> Bools | None:
        """The same of some rows, [N], of a table; None where a column is missing, as yet."""
        if not self.columns or not set(self.columns) <= columns.keys():
            return None
        size = len(next(iter(columns.values())).codes)
        where = np.zeros(size, dtype=np.int64)
        return self.rows(Table("", "", dict(columns), Places(("",), where, where)))

    def _true(self, node: ast.AST, table: Table) -> Bools:
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = [self._true(value, table) for value in values]
                joined = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return joined.reduce(parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self._true(operand, table)
            case ast.Compare(left=left, ops=ops, comparators=others):
                pairs = zip([left, *others], ops, others, strict=False)
                parts = [self._compare(one, op, other, table) for one, op, other in pairs]
                return np.logical_and.reduce(parts)
            case _:
                name = self._named(node)
                if name is None:
                    raise self._refused(node)
                return _is_any(self._column(name, table), ["true"])

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr, table: Table) -> Bools:
        name = self._named(left)
        if name is None and type(op) in FLIPPED and self._named(right):
            left, right, op = right, left, FLIPPED[type(op)]()
            name = self._named(left)
        if name is None:
            raise self._refused(left)
        column = self._column(name, table)
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set):
                raise self._refused(right)
            found = _is_any(column, [self._literal(one) for one in right.elts])
            return ~found if isinstance(op, ast.NotIn) else found
        value = self._literal(right)
        if isinstance(op, ast.Eq | ast.Is):
            return _is_any(column, [value])
        if isinstance(op, ast.NotEq | ast.IsNot):
            return ~_is_any(column, [value])
        return _ordered(column, ORDER[type(op)], value)

    def _literal(self, node: ast.expr) -> Any:
        """A number, a text, True, False or None."""
        match node:
            case ast.Constant(value=bool() | None | str() | int() | float() as value):
                return str(value) if isinstance(value, bool) else value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
        raise self._refused(node)

    def _named(self, node: ast.AST) -> str | None:
        """The column that a name, or names with dots, stand for."""
        if isinstance(node, ast.Name):
            return self.quoted.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            before = self._named(node.value)
            return f"{before}.{node.attr}" if before else None
        return None

    def _column(self, name: str, table: Table) -> Column:
        return table.columns[known_column(table, name, "--where: ")]

    def _refused(self, node: ast.AST) -> UsageError:
        shown = ast.unparse(node)
        for name, column in self.quoted.items():
            shown = shown.replace(name, f"`{column}`")
        return UsageError(
            f"--where: '{shown[:60]}' is no comparison of a column with a number or a text: write "
            f"{EXAMPLE}, and odd column names in back-ticks"
        )


def condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        UsageError: it cannot be read as one.
    """
    quoted: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        if found[1] is None:  # a text in quotes
            return found[0]
        quoted[f"column_in_ticks_{len(quoted)}"] = found[1]
        return f"column_in_ticks_{len(quoted) - 1}"

    plain = re.sub(TICKS_OR_QUOTES, named, text[:LONGEST])
    try:
        tree = ast.parse(plain.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        hint = "'==' compares; " if re.search(r"[^=<>!]=[^=]", plain) else ""
        raise UsageError(f"--where: '{text[:60]}' cannot be read: {hint}write it {EXAMPLE}") from e
    if len(text) > LONGEST or _depth(tree) > 50:
        raise UsageError(f"--where: the condition is too long: write it {EXAMPLE}")
    return Condition(text, tree, quoted)


def equal_to(column: str, values: Iterable[str]) -> list[str]:
    """Conditions that say which value stands in a column."""
    name = column if column.isidentifier() and not iskeyword(column) else f"`{column}`"
    return [f"{name} == {value!r}" for value in values]


def known_column(table: Table, name: str, where: str = "") -> str:
    """The name of a column that is there: `seed` may stand for the one config.seed.

    Raises:
        UsageError: it is not; with those of nearly the same name, or all.
    """
    if name in table.columns:
        return name
    same = [one for one in table.columns if plain(one) == plain(name)]
    if len(same) == 1:
        return same[0]
    close = difflib.get_close_matches(name, table.columns, n=3, cutoff=0.6)
    shown = [f"'{one}'" for one in close or [*table.columns][:20]]
    told = f"did you mean {' or '.join(shown)}?" if close else f"it has {', '.join(shown)}"
    raise UsageError(f"{where}{table.name}: no column '{name}': {told}")


def selected(table: Table, text: str | None) -> Table:
    """The rows of a table that fulfil a condition; all without one.

    Raises:
        UsageError: none does; the condition cannot be read or names a column that is not there.
    """
    if text is None:
        return table
    rows = np.flatnonzero(condition(text).rows(table))
    if not len(rows):
        raise UsageError(
            f'{table.path}: no row of {table.size} fulfils --where "{text}": change the condition'
        )
    return table.take(rows)


def _is_any(column: Column, values: list[Any]) -> Bools:
    """Where one of some values stands, [N]; texts that are numbers equal numbers, None nothing."""
    nothing = any(map(_is_nothing, values))
    found = column.is_empty if nothing else np.zeros(len(column.codes), dtype=bool)
    texts = {one[:LONGEST_TEXT] for one in values if isinstance(one, str)}
    truths = {one.lower() for one in texts} & {"true", "false"}  # however a tool writes them
    codes = [i for i, one in enumerate(column.texts) if one in texts or one.lower() in truths]
    numbers = [one for one in map(_as_number, values) if one is not None]
    return found | np.isin(column.codes, codes) | np.isin(column.numbers, numbers)


def _ordered(column: Column, order: Callable[[Any, Any], Any], value: Any) -> Bools:
    """Where what stands there is smaller or larger; numbers and texts are not compared."""
    if isinstance(value, str) and _as_number(value) is None:
        codes = [i for i, text in enumerate(column.texts) if order(text, value)]
        return np.isin(column.codes, codes)
    with np.errstate(invalid="ignore"):
        return column.is_number & order(column.numbers, _as_number(value))


def _is_nothing(value: Any) -> bool:
    """Whether a value is one that stands for nothing in a file, as None and "n/a"."""
    try:
        return number(value) is None
    except ValueError:
        return False


def _as_number(value: Any) -> float | None:
    try:
        return number(value)
    except ValueError:
        return None


def _depth(node: ast.AST) -> int:
    deepest, nodes = 0, [(node, 1)]
    while nodes:
        one, depth = nodes.pop()
        deepest = max(deepest, depth)
        nodes += [(child, depth + 1) for child in ast.iter_child_nodes(one)]
    return deepest
