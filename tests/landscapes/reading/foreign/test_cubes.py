"""NetCDF cubes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from landscape_study.landscapes.reading.cube import _with_slashes, _without_slashes
from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.sweep import read_sweep
from landscape_study.study.errors import UsageError
from tests.landscapes.reading.foreign.conftest import ALPHAS, LAMBDAS, loss
from tests.landscapes.reading.foreign.test_formats import require_all

xr = pytest.importorskip("xarray", reason="the extra xarray is not installed")


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
def test_a_cube_of_runs(tmp_path: Path, frame: pd.DataFrame, engine: str):
    cube = frame.set_index(["lr", "wd", "seed"]).to_xarray()
    cube.to_netcdf(tmp_path / "c.nc", engine=engine)
    require_all(read_sweep([tmp_path / "c.nc"]))


def test_coordinates_beside_dimensions_that_are_numbered(tmp_path: Path):
    values = [[loss(a, b) for b in LAMBDAS] for a in ALPHAS]
    cube = xr.Dataset(
        {"val_loss": (("i", "j"), values)},
        coords={"alpha": ("i", list(ALPHAS)), "lambda": ("j", list(LAMBDAS))},
    )
    cube.to_netcdf(tmp_path / "c.nc")
    require_all(read_sweep([tmp_path / "c.nc"]), seeds=1)


def test_curves_and_what_was_not_run(tmp_path: Path):
    values = np.array([[[loss(a, b) + 1 / e for e in (1, 2, 4)] for b in LAMBDAS] for a in ALPHAS])
    values[0, 0] = np.nan  # not run
    values[2, 2, 2] = np.nan  # diverged in the last epoch
    coords = {"alpha": list(ALPHAS), "lambda": list(LAMBDAS), "epoch": [1, 2, 4]}
    cube = xr.DataArray(values, dims=tuple(coords), coords=coords, name="test_error")
    cube.to_netcdf(tmp_path / "c.nc")
    sweep = read_sweep([tmp_path / "c.nc"])
    field = sweep.panels[0].landscape
    assert field.n[0, 0] == 0
    assert field.diverged.sum() == field.diverged[2, 2] == 1
    assert field.error[1, 1] == loss(0.01, 1e-3) + 1 / 4
    assert len(sweep.curves) == 8 * 3


def test_an_array_without_a_name(tmp_path: Path):
    coords = {"lr": list(ALPHAS), "wd": list(LAMBDAS)}
    values = [[loss(a, b) for b in LAMBDAS] for a in ALPHAS]
    xr.DataArray(values, dims=("lr", "wd"), coords=coords).to_netcdf(tmp_path / "c.nc")
    require_all(read_sweep([tmp_path / "c.nc"], Asked(goal="minimize")), seeds=1)


def test_without_xarray_the_extra_is_named(tmp_path: Path, monkeypatch):
    (tmp_path / "c.nc").write_bytes(b"CDF\x01")
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(UsageError, match=r"pip install 'landscape-study\[xarray\]'"):
        read_sweep([tmp_path / "c.nc"])


def test_names_with_slashes_go_through_a_file(tmp_path: Path):
    own = xr.Dataset({name: ("x", [k]) for k, name in enumerate(["val/loss", "val_loss", "a"])})
    kept = own.copy(deep=True)
    _without_slashes(own).to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "c.nc", engine="h5netcdf") as file:
        assert set(file.data_vars) == {"val_loss", "val_loss_", "a"}
        assert _with_slashes(file.load()).equals(kept)
