"""Columns whose values are looked at when they are read: SQLite lets anything stand anywhere."""

from __future__ import annotations

import math
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeDecorator, TypeEngine

from landscape_study.study.printable import printable


class WrongValueError(ValueError):
    """Something stands where it does not belong."""


class Number(TypeDecorator[float]):
    """A number, or none; finite, unless it may be infinite.

    Args:
        precision: in bits.
        infinite: whether it may be infinite.
    """

    impl = sa.Float
    cache_ok = True

    def __init__(self, precision: int | None = None, *, infinite: bool = False) -> None:
        super().__init__(precision)
        self.infinite = infinite

    def process_result_value(self, value: Any, dialect: object) -> float | None:  # noqa: D102
        is_number = isinstance(value, int | float)
        if value is None or (is_number and (math.isfinite(value) or self._may_be(value))):
            return value
        raise _wrong(value, "a number belongs")

    def _may_be(self, value: float) -> bool:
        return self.infinite and math.isinf(value)


class Whole(TypeDecorator[int]):
    """A whole number, or none.

    Args:
        big: whether it may be beyond 2^31.
    """

    impl = sa.Integer
    cache_ok = True

    def __init__(self, *, big: bool = False) -> None:
        super().__init__()
        self.big = big

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[int]:  # noqa: D102
        return dialect.type_descriptor(sa.BigInteger() if self.big else sa.Integer())

    def process_result_value(self, value: Any, dialect: object) -> int | None:  # noqa: D102
        if value is None or isinstance(value, int):
            return value
        raise _wrong(value, "a whole number belongs")


class Words(TypeDecorator[str]):
    """Text of one line, printable whoever wrote it; or none."""

    impl = sa.String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: object) -> str | None:  # noqa: D102
        if value is None:
            return None
        if isinstance(value, str):
            return printable(value)
        raise _wrong(value, "text belongs")


def raw(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The column as it is stored, whatever stands there; under its own name."""
    return sa.type_coerce(column, sa.types.NullType()).label(column.key)


def where_known(connection: Connection, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The column; nothing, under its name, where the table is of an older schema without it."""
    there = {known["name"] for known in sa.inspect(connection).get_columns(column.table.name)}
    return column if column.name in there else sa.null().label(column.name)


class Bytes(TypeDecorator[bytes]):
    """Bytes, or none."""

    impl = sa.LargeBinary
    cache_ok = True

    def result_processor(self, dialect: object, coltype: object) -> Any:  # noqa: D102
        return _bytes  # SQLAlchemy's own takes anything for bytes


def _bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    raise _wrong(value, "bytes belong")


def _wrong(value: object, belongs: str) -> WrongValueError:
    return WrongValueError(f"{repr(value)[:40]} stands where {belongs}")
