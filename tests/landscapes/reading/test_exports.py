"""What is exported is read back as the same study."""

import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landscape_study import landscapes as ls
from landscape_study.cli import main
from landscape_study.landscapes.reading.cube import LARGEST
from landscape_study.landscapes.reading.exports import plain_text, write_table
from landscape_study.study.errors import LandscapeError, UsageError
from landscape_study.study.records.identity import Identity
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store, Worker
from landscape_study.study.store.importing import ImportedRun, import_study
from tests.conftest import make_outcome, make_study

pytestmark = pytest.mark.slow

METRIC = {"name": "val_acc", "goal": "maximize", "unit": "%", "matters": 0.5}
numbers = st.floats(-1e6, 1e6, allow_nan=False)
curve = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=4)


@st.composite
def studies(draw: st.DrawFn) -> tuple[Study, list[ImportedRun]]:
    """An imported study of one or two panels, and its runs."""
    panels, runs = [], []
    seeds = draw(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=2, unique=True))
    for name in draw(st.sampled_from([["a"], ["a", "b-2"]])):
        alphas = draw(st.lists(st.floats(1e-6, 10), min_size=2, max_size=3, unique_by=_rounded))
        lambdas = draw(st.lists(st.floats(1e-6, 1), min_size=1, max_size=2, unique_by=_rounded))
        lambdas = [0.0, *lambdas]
        label = draw(st.sampled_from(["=1+1", "AdamW <b>", "α, λ"]))
        panels.append({"name": name, "pair": label, "design": "imported"})
        panels[-1] |= {"alpha": sorted(alphas), "lambda": sorted(lambdas)}
        for seed in seeds:
            places = [(name, seed, Cell(alpha, el)) for alpha in alphas for el in lambdas]
            runs += [draw(_runs(place)) for place in places]
    spec = {"name": "far", "task": "imported", "seeds": seeds, "metric": METRIC, "panel": panels}
    return Study.from_dict(spec, "x"), runs


def _rounded(value: float) -> float:
    return round(math.log2(value), 3)


@st.composite
def _runs(draw: st.DrawFn, place: tuple[str, int, Cell]) -> ImportedRun:
    state = draw(st.sampled_from(["finished", "finished", "pruned", "failed", "open"]))
    has_value = state in ("finished", "pruned")
    lost = state == "finished" and draw(st.booleans())
    value = -math.inf if lost else draw(numbers) if has_value else math.nan
    values = draw(curve) if has_value else []
    curves = {"val_acc": np.array(values, np.float32)} if values and draw(st.booleans()) else {}
    return ImportedRun(place, state, value, -1 if lost else 0, curves)


@pytest.mark.long
@settings(max_examples=15, deadline=None, suppress_health_check=[*HealthCheck])
@given(far=studies())
def test_a_cube_is_the_same_study(far: tuple[Study, list[ImportedRun]], tmp_path: Path):
    study, runs = far
    with_store = tmp_path / f"{time.monotonic_ns()}.db"
    store = Store(str(with_store), create=True)
    import_study(store, study, runs, {})
    path = ls.export(store, "far", tmp_path / "far.nc")
    pd.testing.assert_frame_equal(
        _facts(ls.cells(None, str(path))), _facts(ls.cells(store, "far"))
    )
    pd.testing.assert_frame_equal(
        ls.curves(None, str(path)).reset_index(drop=True), ls.curves(store, "far")
    )
    again = ls.import_files(store, str(path), name="again")
    assert again == study.change(name="again")
    store.close()


@pytest.mark.long
@settings(max_examples=15, deadline=None, suppress_health_check=[*HealthCheck])
@given(far=studies())
def test_a_table_as_of_weights_and_biases_has_the_same_cells(
    far: tuple[Study, list[ImportedRun]], tmp_path: Path
):
    study, runs = far
    if not any(run.state == "finished" for run in runs):
        return
    store = Store(str(tmp_path / f"{time.monotonic_ns()}.db"), create=True)
    import_study(store, study, runs, {})
    path = ls.export(store, "far", tmp_path / "far.csv", "wandb")
    asked = ls.Asked(
        alpha="lr", lambda_="weight_decay", metric="val_acc", goal="maximize", seed="seed"
    )
    read, own = ls.cells(None, str(path), asked=asked), ls.cells(store, "far")
    left = ["trial", "study", "pair"]
    pd.testing.assert_frame_equal(
        _facts(read).drop(columns=left[2:]), _facts(own).drop(columns=left[2:])
    )
    store.close()


def _facts(cells: pd.DataFrame) -> pd.DataFrame:
    """A frame of cells without what an export does not hold."""
    return cells.drop(columns=["study", "trial"]).reset_index(drop=True)


def test_a_study_that_was_trained_here_is_read_back(store: Store, tmp_path: Path):
    study = make_study(seeds=2)
    store.create(study, Identity("f"), lambda cells: [cells])
    _train(store, 3)
    path = ls.export(store, "small", tmp_path / "small.nc")
    read, own = ls.cells(None, str(path)), ls.cells(store, "small")
    shared = ["panel", "seed", "alpha", "lambda", "state", "test_error", "diverged"]
    pd.testing.assert_frame_equal(read[shared], own[shared])
    cube = ls.cube(store, "small")
    assert dict(cube.sizes) == {"panel": 2, "alpha": 2, "lambda": 3, "seed": 2, "epoch": 3}
    one = own[(own["panel"] == "sgd") & (own["state"] == "finished")].iloc[0]
    at = {key: one[key] for key in ("panel", "alpha", "lambda", "seed")}
    assert float(cube["test_error"].sel(at)) == one["test_error"]
    np.testing.assert_array_equal(ls.verdicts(None, str(path))["panel"], ["sgd", "adamw"])


def _train(store: Store, chunks: int) -> None:
    run_id = store.start_run("small", {})
    for i in range(chunks):
        claim = store.claim("small", Worker(), run_id)
        assert claim is not None
        outcome = make_outcome(len(claim.cells), start=i)
        outcome.diverged_epoch[0] = i
        store.record(claim, outcome)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("\t=1", "'\t=1"),
        ("adamw", "adamw"),
        (-1.5, -1.5),
    ],
)
def test_no_spreadsheet_runs_what_is_exported(text: object, written: object, tmp_path: Path):
    assert plain_text(text) == written
    write_table(pd.DataFrame({"=x": [text]}), tmp_path / "t.csv")
    read = pd.read_csv(tmp_path / "t.csv")
    assert read.columns.tolist() == ["'=x"]
    assert read.iloc[0, 0] == written


def test_of_a_cube_only_what_matters_can_be_said(store: Store, tmp_path: Path):
    import_study(store, *_one())
    path = str(ls.export(store, "far", tmp_path / "x.nc"))
    (panel,) = ls.load(None, path, asked=ls.Asked(matters=0.125))
    assert panel.metric.matters == 0.125
    with pytest.raises(UsageError, match="its columns are known, leave out --metric y"):
        ls.load(None, path, asked=ls.Asked(metric="y"))
    with pytest.raises(UsageError, match="a whole study that was exported: look at it alone"):
        ls.load(None, [path, "y.csv"])


@pytest.mark.parametrize(
    "damage",
    [
        {"panel_titles": None},
        {"study": None},
        {"study": "name = 1"},
        {"panel_titles": ["a", "b", "c"]},
    ],
)
def test_a_damaged_cube_is_told(store: Store, tmp_path: Path, damage: dict):
    import_study(store, *_one())
    whole = ls.cube(store, "far")
    for key, value in damage.items():
        if value is None:
            del whole.attrs[key]
        else:
            whole.attrs[key] = value
    whole.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with pytest.raises(LandscapeError, match=r"x\.nc"):
        ls.load(None, str(tmp_path / "x.nc"))


class TestRefused:
    @pytest.mark.long
    def test_scattered_cells_make_no_cube(self, store: Store):
        count = 900
        values = np.geomspace(1e-4, 1, count)
        runs = [
            ImportedRun(("a", seed, Cell(x, y)), "finished", 1.0, 0, {})
            for seed, (x, y) in enumerate(zip(values, values[::-1], strict=True))
        ]
        panel = {"name": "a", "pair": "x", "design": "imported"}
        panel |= {"alpha": values.tolist(), "lambda": values.tolist()}
        fields = {"name": "far", "task": "imported", "seeds": count, "metric": METRIC}
        import_study(store, Study.from_dict(fields | {"panel": [panel]}, "x"), runs, {})
        assert count**3 > LARGEST
        with pytest.raises(UsageError, match="lie so scattered that a cube has"):
            ls.cube(store, "far")

    @pytest.mark.parametrize(
        ("output", "options", "message"),
        [
            ("x.xlsx", [], "ends neither in .csv nor in .parquet, nor in .nc for a cube"),
            ("x.nc", ["--what", "curves"], "a cube holds everything: leave out --what"),
        ],
    )
    def test_on_the_command_line(self, output, options, message, store: Store, tmp_path: Path):
        import_study(store, *_one())
        where = ["--store", store.url, "-o", str(tmp_path / output)]
        done = CliRunner().invoke(main, ["export", "far", *where, *options])
        assert done.exit_code == 2
        assert message in done.output
        assert not (tmp_path / output).exists()

    def test_a_cube_of_another_program_is_read_as_any_file(self, tmp_path: Path):
        path = tmp_path / "x.nc"
        xr.Dataset({"a": ("x", [1.0])}).to_netcdf(path, engine="h5netcdf")
        with pytest.raises(UsageError):
            ls.cells(None, str(path))


def _one() -> tuple[Study, list[ImportedRun], dict[str, object]]:
    panel = {"name": "a", "pair": "x", "design": "imported", "alpha": [0.1, 0.2], "lambda": [0.0]}
    fields = {"name": "far", "task": "imported", "metric": METRIC, "panel": [panel]}
    runs = [ImportedRun(("a", 0, Cell(0.1, 0.0)), "finished", 50.0, 0, {})]
    return Study.from_dict(fields, "x"), runs, {}
