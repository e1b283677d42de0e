"""Studies as NetCDF cubes, panel × alpha × lambda × seed × epoch: written, and read back.

What a cube holds: the metric under its name [panel, alpha, lambda, seed], NaN where there is no
value; `state` (see STATES), `diverged` and `epochs` (how many its curves have) of every cell; each
curve as `NAME_by_epoch`, with the epoch as a fifth dimension; and the study's specification as an
attribute. Axes are those of all panels together, so that a cell that a panel has not is absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.file_results import FileResults
from landscape_study.landscapes.reading.foreign.tables.cubes import DAMAGED
from landscape_study.landscapes.reading.frames import cells_frame, own_numbers
from landscape_study.landscapes.reading.landscape import title
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.study.errors import StoreError, UsageError, first_line
from landscape_study.study.spec.study import IMPORTED, Axis, Grid, Panel, Study

if TYPE_CHECKING:
    import xarray as xr

SUFFIX = ".nc"
FORMAT = "landscape-study cube 1"
PLACE = ("panel", "alpha", "lambda", "seed")
STATES = ("absent", "finished", "pruned", "failed", "open", "running")  # by their numbers
CURVE = "_by_epoch"
LARGEST = 50_000_000  # numbers of one variable
PACKAGES = ("xarray", "h5netcdf")
NEEDED = "NetCDF needs packages that are not installed: pip install 'landscape-study[xarray]'"


@dataclass(frozen=True)
class _Axes:
    """The values along the first four dimensions, and where a cell lies on them."""

    values: tuple[pd.Index[Any], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(index) for index in self.values)

    def place(self, frame: pd.DataFrame) -> tuple[Any, ...]:
        """Index arrays of the rows of a frame, one for each dimension."""
        return tuple(
            index.get_indexer(pd.Index(frame[name]))
            for name, index in zip(PLACE, self.values, strict=True)
        )


def cube(results: Results, name: str) -> xr.Dataset:
    """A study as an xarray.Dataset; for what it holds, see the module.

    Raises:
        UsageError: xarray is not installed, there is no such study, or its cells lie so scattered
            that the cube would be nearly empty and huge.
    """
    if not all(map(find_spec, PACKAGES)):
        raise UsageError(NEEDED)
    import xarray as xr

    study, cells = results.study(name), cells_frame(results, name)
    if own := own_numbers(study):
        raise UsageError(
            f"study '{name}': a cube has the axes α and λ, and this study {', '.join(own)}: "
            "export it as .csv or .parquet"
        )
    axes = _Axes(tuple(pd.Index(cells[part].unique()) for part in PLACE))
    axes = _Axes((axes.values[0], *(index.sort_values() for index in axes.values[1:])))
    rows = results.curves(name)
    epochs = max((len(row["values"]) for row in rows), default=0)
    if np.prod(axes.shape, dtype=float) * max(epochs, 1) > LARGEST:
        raise UsageError(
            f"study '{name}': its cells lie so scattered that a cube has {LARGEST} numbers and "
            "more: export them as .csv or .parquet"
        )
    variables: dict[str, Any] = {
        study.metric.name: (PLACE, _spread(cells, axes, study.metric.name)),
        "state": (PLACE, _states(cells, axes), {"flag_meanings": " ".join(STATES)}),
        "diverged": (PLACE, _spread(cells, axes, "diverged", fill=0).astype(np.int8)),
    }
    curves = _curves(rows, axes, epochs)
    variables["epochs"] = (PLACE, _lengths(rows, axes))
    variables |= {f"{metric}{CURVE}": ((*PLACE, "epoch"), curve) for metric, curve in curves}
    along = (index.to_numpy() for index in axes.values)
    coordinates: dict[str, Any] = dict(zip(PLACE, along, strict=True))
    coordinates["epoch"] = np.arange(1, epochs + 1)
    about = {"format": FORMAT, "study": study.to_toml(), "panel_titles": _titles(study)}
    return xr.Dataset(variables, coordinates, about)


def write_cube(results: Results, name: str, path: Path) -> Path:
    """Write a study as a NetCDF file; return its path.

    Raises:
        UsageError: as `cube`.
        StoreError: the file cannot be written.
    """
    whole = _without_slashes(cube(results, name))
    packed = {variable: {"zlib": True} for variable in whole.data_vars}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole.to_netcdf(path, engine="h5netcdf", encoding=packed)
    except OSError as e:
        raise StoreError(f"{path}: cannot be written ({e.strerror}): name another file") from e
    return path


def read_own_cube(path: Path, name: str | None = None) -> FileResults | None:
    """The study of a cube that `write_cube` wrote, as one that was trained elsewhere.

    None if the file is another program's.

    Raises:
        SpecError: what it says of the study is none.
    """
    try:
        import xarray as xr

        with xr.open_dataset(path, engine="h5netcdf") as file:
            if file.attrs.get("format") != FORMAT:
                return None
            whole = _with_slashes(file.load())
    except (ImportError, *DAMAGED):
        return None  # which whoever reads files of other programs will tell
    try:
        spec = _imported(Study.from_toml(str(whole.attrs["study"]), str(path)), whole, name)
        frame, curves = _cells(whole, spec), _long_curves(whole)
    except (KeyError, ValueError, TypeError, IndexError) as e:
        raise UsageError(f"{path}: is damaged ({first_line(e)}): export it again") from e
    said = f"{path}: the study {spec.name}, {len(frame)} cells, as it was exported"
    return FileResults(spec, frame, curves, (said,), (str(path),), Asked())


def _without_slashes(whole: xr.Dataset) -> xr.Dataset:
    """The cube under names that NetCDF takes: val/loss is val_loss, and says so in long_name."""
    names: dict[str, str] = {}
    for name in map(str, whole.data_vars):
        if "/" in name:
            plain = name.replace("/", "_")
            while plain in whole or plain in names.values():
                plain += "_"
            names[name] = plain
            whole[name].attrs["long_name"] = name
    return whole.rename(names)


def _with_slashes(whole: xr.Dataset) -> xr.Dataset:
    """The cube under its own names."""
    said = {name: str(one.attrs.get("long_name", "")) for name, one in whole.data_vars.items()}
    return whole.rename({name: own for name, own in said.items() if "/" in own})


def _spread(cells: pd.DataFrame, axes: _Axes, column: str, fill: float = np.nan) -> Any:
    """A column over the axes, float64 of their shape; `fill` where there is no cell."""
    array = np.full(axes.shape, fill)
    array[axes.place(cells)] = cells[column].astype(float)
    return array


def _states(cells: pd.DataFrame, axes: _Axes) -> Any:
    numbered = cells.assign(state=cells["state"].map({s: i for i, s in enumerate(STATES)}))
    return _spread(numbered, axes, "state", fill=0).astype(np.int8)


def _curves(rows: list[dict[str, Any]], axes: _Axes, epochs: int) -> Iterator[tuple[str, Any]]:
    """Each metric's curves over the axes and epochs, float32; NaN beyond their ends."""
    if not rows:
        return
    frame = pd.DataFrame(rows, columns=[*PLACE, "metric"])
    for metric, some in frame.groupby("metric", sort=True):
        array = np.full((*axes.shape, epochs), np.nan, np.float32)
        for i, *at in zip(some.index, *axes.place(some), strict=True):
            values = rows[i]["values"]
            array[(*at, slice(len(values)))] = values
        yield str(metric), array


def _lengths(rows: list[dict[str, Any]], axes: _Axes) -> Any:
    """How many epochs the curves of each cell have, int32; 0 where there are none."""
    array = np.zeros(axes.shape, np.int32)
    if rows:
        array[axes.place(pd.DataFrame(rows, columns=PLACE))] = [len(row["values"]) for row in rows]
    return array


def _titles(study: Study) -> list[str]:
    return [title(panel) for panel in study.panels]


def _imported(study: Study, whole: xr.Dataset, name: str | None) -> Study:
    """The study as one that was trained elsewhere; its panels keep their names and titles."""
    titles = [str(one) for one in np.atleast_1d(whole.attrs["panel_titles"])]
    panels = [
        {"name": one.name, "design": "imported", "pair": label, "grid": _grid(one, whole)}
        for one, label in zip(study.panels, titles, strict=True)
    ]
    fields = {"name": name or study.name, "task": IMPORTED, "seeds": list(study.seeds)}
    return Study.from_dict(fields | {"metric": study.metric, "panels": panels}, "cube")


def _grid(panel: Panel, whole: xr.Dataset) -> Grid:
    """The grid of a panel, on which all cells lie that it has in the cube."""
    if not panel.asked:
        return panel.grid
    is_there = (whole["state"] > 0).sel(panel=panel.name)
    if not is_there.any():
        return panel.grid
    own = {
        name: Axis(values=whole[name].to_numpy()[is_there.any(others).to_numpy()].tolist())
        for name, others in (("alpha", ["lambda", "seed"]), ("lambda", ["alpha", "seed"]))
    }
    return panel.grid.alone.union(Grid(alpha=own["alpha"], lambda_=own["lambda"]))


def _cells(whole: xr.Dataset, spec: Study) -> pd.DataFrame:
    """The cells that are there, one row each."""
    there = np.argwhere(whole["state"].to_numpy() > 0)
    at = tuple(there.T)
    frame = pd.DataFrame(
        {part: whole[part].to_numpy()[index] for part, index in zip(PLACE, at, strict=True)}
    )
    state = pd.Series(whole["state"].to_numpy()[at]).map(dict(enumerate(STATES)))
    if state.isna().any():
        raise ValueError("a state that there is none of")
    value = whole[spec.metric.name].to_numpy()[at]
    return frame.assign(
        panel=frame["panel"].astype(str),
        state=state.replace({"running": "open"}).to_numpy(),
        value=value,
        diverged=whole["diverged"].to_numpy()[at].astype(bool),
    )


def _long_curves(whole: xr.Dataset) -> pd.DataFrame:
    """The curves, one row per cell and epoch."""
    names = [str(name) for name in whole.data_vars if str(name).endswith(CURVE)]
    if not names:
        return pd.DataFrame()
    lengths = whole["epochs"].to_numpy()[..., None]
    at = tuple(np.argwhere(np.arange(whole.sizes["epoch"]) < lengths).T)
    frame = pd.DataFrame(
        {
            part: whole[part].to_numpy()[index]
            for part, index in zip((*PLACE, "epoch"), at, strict=True)
        }
    ).assign(panel=lambda f: f["panel"].astype(str))
    for name in names:
        frame[name.removesuffix(CURVE)] = whole[name].to_numpy()[at]
    return frame
