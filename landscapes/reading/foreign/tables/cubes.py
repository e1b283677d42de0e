"""NetCDF cubes, such as alpha × lambda × seed × epoch: a row a point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from landscape_study.landscapes.reading.foreign.tables.column_names import EPOCHS, is_called
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Table, Value
from landscape_study.landscapes.reading.foreign.tables.table_builder import BLOCK, TableBuilder
from landscape_study.study.errors import UsageError, first_line
from landscape_study.study.printable import printable

LARGEST = 20_000_000  # points
# What xarray and the libraries below it raise, given other bytes than those of a NetCDF file.
DAMAGED = (OSError, ValueError, TypeError, LookupError, RuntimeError, AssertionError, EOFError)
UNNAMED = "__xarray_dataarray_variable__"  # xarray's name for an array without one


def read_cube(path: Path, builder: TableBuilder) -> Table:
    """The points of all variables of a NetCDF file, with their coordinates.

    A point at which every variable is NaN along all epochs was not run: it is left out.

    Raises:
        UsageError: it is damaged or too large, or xarray is not installed.
    """
    builder.source = f"{path}, point"
    try:
        import xarray as xr

        with xr.open_dataset(path, decode_times=False) as cube:
            points = int(np.prod(list(cube.sizes.values()), dtype=float))
            if points > LARGEST:
                raise UsageError(f"{path}: {points} points, at most {LARGEST}: select some")
            _add(cube.load(), path, builder)
    except ImportError as e:  # of xarray, or of what reads HDF5 for it
        raise UsageError(
            f"{path}: NetCDF needs a package that is not installed ({e.name or first_line(e)}): "
            "pip install 'landscape-study[xarray]'"
        ) from e
    except DAMAGED as e:
        raise UsageError(
            f"{path}: no NetCDF file ({printable(first_line(e))}): export it again"
        ) from e
    return builder.table(path)


def _add(cube: Any, path: Path, builder: TableBuilder) -> None:
    """Hand over the points that were run."""
    if UNNAMED in cube:
        cube = cube.rename({UNNAMED: "value"})
    numeric = [name for name in cube.data_vars if cube[name].dtype.kind == "f"]
    along = [dim for dim in cube.dims if is_called(str(dim), EPOCHS)]
    for name in numeric:
        run = cube[name].notnull().any([dim for dim in along if dim in cube[name].dims])
        cube[f"was run {name}"] = run
    frame = cube.to_dataframe().reset_index()
    marks = [f"was run {name}" for name in numeric]
    frame = frame[frame[marks].any(axis=1)] if marks else frame
    frame = frame.drop(columns=marks)
    for start in range(0, len(frame), BLOCK):
        block = frame.iloc[start : start + BLOCK]
        columns = {printable(str(name)): _values(block[name]) for name in block.columns}
        builder.add(columns, (block.index + 1).tolist())


def _values(column: Any) -> list[Value]:
    """The values of a column; bytes are texts."""
    return [
        one.decode("utf-8", "replace") if isinstance(one, bytes) else one
        for one in column.tolist()
    ]
