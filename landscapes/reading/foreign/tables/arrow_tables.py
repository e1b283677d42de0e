"""Parquet files, read in blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from landscape_study.landscapes.reading.foreign.tables.foreign_table import Table, Value
from landscape_study.landscapes.reading.foreign.tables.nested_cells import flat
from landscape_study.landscapes.reading.foreign.tables.table_builder import (
    TableBuilder,
    block_rows,
)
from landscape_study.study.errors import UsageError, first_line
from landscape_study.study.printable import printable


def read_parquet(path: Path, builder: TableBuilder) -> Table:
    """The rows of a Parquet file; a record in a cell becomes columns.

    Raises:
        UsageError: it is damaged, or no such file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    builder.source, first = f"{path}, row", 1
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(block_rows(len(file.schema))):
                columns = {
                    printable(name): column.to_pylist()
                    for name, column in zip(batch.schema.names, batch.columns, strict=True)
                    if builder.is_kept(printable(name))
                }
                _add(builder, columns, list(range(first, first + len(batch))))
                first += len(batch)
    except (pa.ArrowException, OSError) as e:
        raise UsageError(
            f"{path}: no Parquet file ({printable(first_line(e))}): export it again"
        ) from e
    return builder.table(path)


def _add(builder: TableBuilder, columns: dict[str, list[Any]], lines: list[int]) -> None:
    block: dict[str, list[Value]] = {}
    for name, values in columns.items():
        rows = [flat({name: value}) for value in values]
        for key in dict.fromkeys(key for row in rows for key in row):
            block[key] = [row.get(key) for row in rows]
    builder.add(block, lines)
