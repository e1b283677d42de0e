"""Kinds of files that other tools write: each holds the same runs."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.sweep import Sweep, read_sweep
from landscape_study.landscapes.reading.foreign.tables import table_builder, table_files
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Table
from landscape_study.landscapes.reading.foreign.tables.nested_cells import nested
from landscape_study.landscapes.reading.foreign.tables.table_files import read_file
from landscape_study.landscapes.reading.opening import read_results
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.results_files import is_table_file
from tests.landscapes.reading.foreign.conftest import ALPHAS, LAMBDAS, loss


def require_all(sweep: Sweep, seeds: int = 2) -> None:
    """Check that all runs are there, with their values."""
    (panel,) = sweep.panels
    field = panel.landscape
    assert (field.alpha.values, field.lambda_.values) == (ALPHAS, LAMBDAS)
    assert (field.n == seeds).all()
    expected = [[loss(a, b) + 0.005 * (seeds - 1) for b in LAMBDAS] for a in ALPHAS]
    np.testing.assert_allclose(field.error, expected)


def as_config(frame: pd.DataFrame) -> list[dict]:
    """The runs as W&B's API gives them."""
    return [
        {
            "summary": {
                "_step": 9,
                "val_loss": run["val_loss"],
                "lr": 1e-9,
                "_wandb": {"runtime": 3},
                "grad": float("nan"),
            },
            "config": {"lr": run["lr"], "optim": {"weight_decay": run["wd"]}, "seed": run["seed"]},
            "name": f"run-{i}",
        }
        for i, run in enumerate(frame.to_dict("records"))
    ]


WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "tabs.tsv": lambda f, p: f.to_csv(p, sep="\t", index=False),
    "bars.txt": lambda f, p: f.to_csv(p, sep="|", index=False),
    "blanks.dat": lambda f, p: f.to_csv(p, sep=" ", index=False),
    "unicode.txt": lambda f, p: f.to_csv(p, sep="\t", encoding="utf-16", index=False),
    "packed.csv.gz": lambda f, p: f.to_csv(p, index=False),
    "packed.jsonl.gz": lambda f, p: f.to_json(p, orient="records", lines=True),
    "excel.csv": lambda f, p: p.write_text("sep=;\n" + f.to_csv(sep=";", index=False)),
    "numpy.csv": lambda f, p: p.write_text("# " + f.to_csv(index=False)),
    "remark.csv": lambda f, p: p.write_text("# made by a script\n" + f.to_csv(index=False)),
    "records.json": lambda f, p: f.to_json(p, orient="records"),
    "columns.json": lambda f, p: f.to_json(p, orient="columns"),
    "index.json": lambda f, p: f.to_json(p, orient="index"),
    "split.json": lambda f, p: f.to_json(p, orient="split"),
    "table.json": lambda f, p: f.to_json(p, orient="table"),
    "lists.json": lambda f, p: p.write_text(json.dumps(f.to_dict("list"))),
    "by name.json": lambda f, p: p.write_text(
        json.dumps({f"run {i}": run for i, run in enumerate(f.to_dict("records"))})
    ),
    "flat.parquet": lambda f, p: f.to_parquet(p),
    "nested.parquet": lambda f, p: pd.DataFrame(as_config(f)).to_parquet(p),
    "of text.parquet": lambda f, p: f.astype(str).to_parquet(p),
    "api as python.csv": lambda f, p: pd.DataFrame(as_config(f)).to_csv(p),
    "api as numpy.csv": lambda f, p: pd.DataFrame(as_config(f.map(np.float64))).to_csv(p),
    "api as json.csv": lambda f, p: (
        pd.DataFrame(as_config(f)).map(lambda x: json.dumps(x) if isinstance(x, dict) else x)
    ).to_csv(p),
    "api with desc.json": lambda f, p: p.write_text(
        json.dumps(
            [
                {
                    "lr": {"desc": None, "value": run["lr"]},
                    "wd": {"value": run["wd"]},
                    "seed": run["seed"],
                    "val_loss": run["val_loss"],
                }
                for run in f.to_dict("records")
            ]
        )
    ),
    "neptune.csv": lambda f, p: f.rename(
        columns={
            "lr": "parameters/lr (Float)",
            "wd": "parameters/weight_decay (Float)",
            "seed": "parameters/seed (Int)",
            "val_loss": "val/loss (FloatSeries : last)",
        }
    ).to_csv(p, index_label="Id"),
    "mlflow.csv": lambda f, p: (
        f.rename(columns={"val_loss": "metrics.val_loss", "lr": "params.lr", "wd": "params.wd"})
        .assign(status="FINISHED", **{"metrics.lr": 0.5, "tags.mlflow.runName": "x"})
        .to_csv(p, index_label="run_id")
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_holds_the_same_runs(tmp_path: Path, frame: pd.DataFrame, name: str):
    WRITERS[name](frame, tmp_path / name)
    require_all(read_sweep([tmp_path / name]))


GRID = "lr,wd,val_loss\n" + "".join(f"{a},{b},{a + b}\n" for a in (1, 2) for b in (1, 4))
PACKED = gzip.compress(GRID.encode())
DAMAGED = {
    "a.parquet": (b"PAR1 nothing", "no Parquet file"),
    "a.nc": (b"CDF\x01\x00\x00", "no NetCDF file"),
    "b.nc": (b"\x89HDF\r\n\x1a\n nothing", "no NetCDF file"),
    "a.csv.gz": (b"nothing", "cannot be read"),
    "b.csv.gz": (gzip.compress(b"lr,wd,loss\n" * 99)[:-12], "cannot be read"),
    "a.json": (b'{"lr": ' + b"9" * 5000 + b"}", "line 1: no JSON"),
    "b.json": (b'"a text"', "is no list of records"),
    "a.db": (b"nothing" * 999, "not a database"),
    "b.csv": (b"\n\n", "holds no row"),
    "c.nc": (b"CDF\x01", "no NetCDF file"),
    "c.csv.gz": (PACKED[:30] + b"xxxxx" + PACKED[35:], "cannot be read"),
    "c.csv": (
        GRID.encode("utf-16-be"),
        "holds NUL bytes, so that it is no text in UTF-8: save it",
    ),
    "d.csv": (b"0.1,0.2,3\n0.2,0.1,2\n", "begins with numbers, expected the names of columns"),
    "e.csv": (b"", "holds no row"),
    "c.json": (b"", "holds no row"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_told_in_one_message(tmp_path: Path, name: str):
    content, message = DAMAGED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Exception, match=message) as refused:
        read_results([str(tmp_path / name)])
    assert str(tmp_path / name) in str(refused.value)
    assert type(refused.value).__module__.endswith("study.errors")


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(UsageError, match="no regular file"):
        read_sweep([tmp_path / "a.csv"])


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, frame, monkeypatch):
    path = tmp_path / "s.csv"
    frame.to_csv(path, index=False)
    whole = table_files.read_delimited

    def meanwhile(*args) -> Table:
        with path.open("a") as file:
            file.write("0.5,0.5,1,3\n")
        return whole(*args)

    monkeypatch.setattr(table_files, "read_delimited", meanwhile)
    with pytest.raises(UsageError, match="changed while it was read: wait until it is written"):
        read_sweep([path])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_however_a_text_is_written(tmp_path: Path, encoding: str, line_end: str):
    text = GRID.replace("val_loss", "ä val_loss").replace("\n", line_end)
    (tmp_path / "s.csv").write_bytes(text.encode(encoding))
    (panel,) = read_sweep([tmp_path / "s.csv"]).panels
    assert panel.metric.title == "ä val_loss"
    assert panel.landscape.error.tolist() == [[2, 5], [3, 6]]


def test_pipes_links_and_loops(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match="no regular file"):
        read_sweep([tmp_path / "pipe.csv"])
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(UsageError, match=r"cannot be read \(Too many levels"):
        read_sweep([tmp_path / "loop.csv"])
    for a in (1, 2):
        for b in (1, 4):
            run = tmp_path / "runs" / f"lr{a}_wd{b}"
            run.mkdir(parents=True)
            (run / "up").symlink_to("..")
            (run / "metrics.csv").write_text(f"epoch,val_loss\n1,{a + b}\n")
    assert read_sweep([tmp_path / "runs"]).panels[0].landscape.error.tolist() == [[2, 5], [3, 6]]


class TestLargeFiles:
    @pytest.fixture
    def large(self, tmp_path: Path, frame: pd.DataFrame, monkeypatch) -> Path:
        """A file of which only what may matter is kept."""
        monkeypatch.setattr(table_files, "LARGE", 100)
        many = pd.concat([frame.assign(seed=i) for i in range(100)], ignore_index=True)
        many = many.drop_duplicates(["lr", "wd", "seed"]).assign(
            name=lambda f: [f"run {i}" for i in range(len(f))],
            noise=lambda f: np.arange(len(f)) / 7,
            host="here",
            zone=lambda f: f["seed"] % 3,
        )
        many.to_csv(tmp_path / "large.csv", index=False)
        return tmp_path / "large.csv"

    def test_columns_without_meaning_are_not_kept(self, large: Path):
        assert list(read_file(large).columns) == ["lr", "wd", "seed", "val_loss", "zone"]
        assert int(read_sweep([large]).panels[0].landscape.n.min()) == 100

    def test_columns_that_are_named_are_kept(self, large: Path):
        sweep = read_sweep([large], Asked(where="noise < 20 and name != 'run 0'"))
        assert sweep.panels[0].landscape.n.sum() == 139
        (panel,) = read_sweep([large], Asked(metric="noise", goal="minimize")).panels
        assert panel.metric.name == "noise"

    def test_rows_that_are_not_wanted_are_not_held(self, large: Path, monkeypatch):
        monkeypatch.setattr(table_builder, "MOST_ROWS", 200)
        monkeypatch.setattr(table_builder, "BLOCK", 100)
        with pytest.raises(
            UsageError, match=r"line \d+: more than 200 rows: choose some with --w"
        ):
            read_sweep([large])
        sweep = read_sweep([large], Asked(where="seed < 20 and host == 'here'"))
        assert sweep.panels[0].landscape.n.sum() == 180
        with pytest.raises(UsageError, match="no row fulfils --where: change the condition"):
            read_sweep([large], Asked(where="seed > 200"))
        with pytest.raises(UsageError, match="more than 200 rows"):
            read_sweep([large], Asked(where="sead < 20"))

    def test_lines_are_named_past_blank_ones_and_quoted_line_ends(self, tmp_path: Path):
        rows = 'lr,wd,note,loss\n\n0.1,0.1,"a\nb",1\n0.2,0.2,x,2\n0.1,0.2,x,bad\n'
        (tmp_path / "s.csv").write_text(rows)
        with pytest.raises(UsageError, match=r"s.csv, line 6: 'bad' in column loss is no number"):
            read_sweep([tmp_path / "s.csv"])


@pytest.mark.long
@pytest.mark.slow
def test_many_rows_are_read(tmp_path: Path):
    """100,000 rows, each α and λ once: a loop over them would take minutes."""
    dice = np.random.default_rng(0)
    size = 100_000
    lr, wd = 10 ** dice.uniform(-4, 0, size), 10 ** dice.uniform(-6, -1, size)
    frame = pd.DataFrame({"lr": lr, "wd": wd, "val_loss": dice.random(size), "state": "finished"})
    frame.to_csv(tmp_path / "s.csv")
    assert read_sweep([tmp_path / "s.csv"]).panels[0].landscape.n.sum() == size


def test_of_many_columns_no_more_than_a_block_is_held(tmp_path: Path, frame, monkeypatch):
    monkeypatch.setattr(table_files, "LARGE", 100)
    monkeypatch.setattr(table_builder, "FIELDS", 10_000)
    dice = np.random.default_rng(0)
    wide = pd.DataFrame(dice.random((len(frame) * 300, 40))).add_prefix("weight_")
    many = pd.concat([frame] * 300, ignore_index=True)
    pd.concat([many, wide], axis=1).to_csv(tmp_path / "wide.csv", index=False)
    tracemalloc.start()
    assert list(read_file(tmp_path / "wide.csv").columns) == ["lr", "wd", "seed", "val_loss"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.7 * (tmp_path / "wide.csv").stat().st_size  # texts alone take thrice of it


@pytest.mark.parametrize(
    ("name", "is_file"),
    [
        *(("sweep.csv", True), ("a.CSV.GZ", True), ("x.parquet", True), ("x.nc", True)),
        *(("x.db", True), ("sqlite:///x.db", True), ("runs/", True), ("./runs", True)),
        *(("digits-fig2", False), ("adamw-0.9", False), ("mine.v2", False)),
    ],
)
def test_names_of_files(name: str, is_file: bool, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_table_file(name) == is_file


def test_a_folder_is_one_if_it_holds_results(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    assert not is_table_file("mine")
    (tmp_path / "mine" / "deep" / "a.csv").touch()
    assert is_table_file("mine")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('{"lr": 0.1}', {"lr": 0.1}),
        ("{'lr': 0.1, 'on': True, 'x': None}", {"lr": 0.1, "on": True, "x": None}),
        ("{'lr': np.float64(0.1), 'y': -inf}", {"lr": 0.1, "y": -float("inf")}),
        ("{'lr': __import__('os').getcwd()}", {"lr": ""}),
        ("{'a' 'b'}", None),
        ("{" * 500 + "}" * 500, None),
        ("[1, 2]", None),
        ("=1+1", None),
        (0.1, None),
    ],
)
def test_dictionaries_in_cells(cell, value):
    assert nested(cell, dict) == value
