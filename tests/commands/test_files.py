"""Commands that look take a file of results where they take a study's name."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from landscape_study import landscapes as ls
from landscape_study.cli import main
from landscape_study.study.store import Store

pytestmark = pytest.mark.slow


def loss(alpha: float, lambda_: float, slope: float) -> float:
    """A valley in α × λ whose best λ goes as α^slope."""
    x, y = math.log2(alpha / 0.01), math.log2(lambda_ / 0.01) if lambda_ else -4.0
    return 0.5 + 0.01 * (x * x + (y - slope * x) ** 2)


def sweep(path: Path, slope: float, optimizer: str = "AdamW", *, shift: float = 0.0) -> Path:
    """A table of a whole grid, as of Weights & Biases."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, quoting=csv.QUOTE_ALL)
        table.writerow(["Name", "State", "optimizer", "lr", "weight_decay", "val_loss"])
        for i in range(-3, 4):
            for j in range(-3, 4):
                alpha, lambda_ = 0.01 * 2.0**i, 0.01 * 2.0**j
                noise = 0.0005 * math.sin(37 * i + 91 * j)
                value = loss(alpha, lambda_, slope) + noise + shift
                table.writerow([f"run-{i}-{j}", "finished", optimizer, alpha, lambda_, value])
    return path


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Call a command in an empty folder, with a database of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDSCAPE_STORE", str(tmp_path / "own.db"))

    def call(*words: object, expected: int = 0) -> Result:
        done = CliRunner().invoke(main, [str(word) for word in words])
        assert done.exit_code == expected, done.output
        return done

    return call


def test_a_report_of_a_file(invoke, tmp_path: Path):
    done = invoke("report", sweep(tmp_path / "s.csv", -1.0))
    assert "s: α = lr, λ = weight_decay, metric = val_loss (less is better)" in done.output
    assert "report: s.html" in done.output
    page = (tmp_path / "s.html").read_text()
    assert "Trained elsewhere · 1 seed · 1 panel" in page
    assert '<span class="badge coupled">coupled</span>' in page
    assert "Double α: halve λ" in page
    assert "best val_loss" in page
    assert "landscape report" in page
    assert "Witness" not in page
    assert "landscape run" not in page
    assert not (tmp_path / "own.db").exists()


def test_its_own_commands_make_the_report_again(invoke, tmp_path: Path):
    path = sweep(tmp_path / "a b.csv", 0.0)
    options = ["--metric", "val_loss", "--minimize", "--matters", "0.01"]
    invoke("report", path, *options, "--format", "md")
    text = (tmp_path / "a-b.md").read_text()
    quoted = f"'{path}' --metric val_loss --matters 0.01 --minimize"
    assert f"landscape report {quoted}" in text
    assert f"landscape export {quoted} -o a-b-cells.csv" in text


@pytest.mark.parametrize("kind", ["heatmaps", "slices"])
def test_a_figure_of_a_file(invoke, tmp_path: Path, kind: str):
    done = invoke("plot", sweep(tmp_path / "s.csv", 0.0), "--kind", kind, "-o", "x.svg")
    assert "figure: x.svg" in done.output
    assert "val_loss" in (tmp_path / "x.svg").read_text()


def test_metric_names_the_column_of_a_plot(invoke, tmp_path: Path):
    path = sweep(tmp_path / "s.csv", 0.0)
    frame = pd.read_csv(path)
    frame.assign(val_acc=1 - frame["val_loss"] / 10).to_csv(path, index=False)
    invoke("plot", path, "--metric", "val_acc", "-o", "x.svg")
    assert "val_acc" in (tmp_path / "x.svg").read_text()


def test_several_files_are_panels(invoke, tmp_path: Path):
    one = sweep(tmp_path / "one.csv", -1.0, "Adam")
    other = sweep(tmp_path / "other.csv", 0.0, "AdamW")
    done = invoke("compare", one, other)
    words = " ".join(done.output.split())
    assert "Adam coupled" in words
    assert "AdamW separable" in words
    assert "Adam → " in words
    invoke("report", one, other)
    assert "2 panels" in (tmp_path / "one.html").read_text()


def test_panels_of_a_file_are_compared_by_name(invoke, tmp_path: Path):
    one = sweep(tmp_path / "one.csv", -1.0, "Adam")
    other = sweep(tmp_path / "other.csv", 0.0, "AdamW")
    frame = pd.concat([pd.read_csv(one), pd.read_csv(other)])
    both = tmp_path / "both.csv"
    frame.to_csv(both, index=False)
    done = invoke("compare", both, "Adam", "AdamW", "-o", "d.svg")
    assert "figure: d.svg" in done.output
    done = invoke("compare", both, "Adam", "SGD", expected=2)
    assert "has no panel 'SGD': it has Adam, AdamW" in done.output


def test_show_tells_how_a_file_is_understood(invoke, tmp_path: Path):
    done = invoke("show", sweep(tmp_path / "s.csv", 0.0))
    assert 'task = "imported"' in done.output
    assert f"# imported from {tmp_path / 's.csv'}; s: α = lr" in done.output


def test_imported_it_is_a_study_like_any(invoke, tmp_path: Path):
    path = sweep(tmp_path / "s.csv", -1.0)
    done = invoke("import", path, "--name", "mine")
    assert "stored as study mine" in done.output
    assert "mine\t49 of 49 cells\ttask imported\tAdamW" in invoke("list").output
    invoke("report", "mine", "-o", "of-store.html")
    invoke("report", path, "-o", "of-file.html")
    pages = [(tmp_path / f"of-{of}.html").read_text() for of in ("store", "file")]
    bodies = [page[page.index("<h2>Verdicts") : page.index("<h2>Make it")] for page in pages]
    assert bodies[0] == bodies[1]
    assert "all is well" in invoke("check").output
    for command in ("extend", "refine"):
        assert invoke(command, "mine", expected=2).output.startswith(
            "Error: study 'mine' was imported: nothing of it can be trained here"
        )
    done = invoke("import", path, "--name", "mine", expected=2)
    assert "study 'mine' is there already, nothing was stored" in done.output


def test_a_file_that_cannot_be_understood_stores_nothing(invoke, tmp_path: Path):
    path = tmp_path / "s.csv"
    path.write_text("a,b\n1,2\n")
    done = invoke("import", path, expected=2)
    assert "no column looks like α" in done.output
    assert not (tmp_path / "own.db").exists()


@pytest.mark.some(1)
@pytest.mark.parametrize("label", ["=1+1", "<script>alert(1)</script>", "\x1b[31mred", "a|b`c"])
def test_hostile_names_are_text_everywhere(invoke, tmp_path: Path, label: str):
    path = tmp_path / "s.json"
    with sweep(tmp_path / "s.csv", 0.0, "x").open() as file:
        rows = [dict(row, optimizer=label) for row in csv.DictReader(file)]
    path.write_text(json.dumps(rows))
    done = invoke("report", path)
    assert "\x1b" not in done.output
    assert "<script>" not in (tmp_path / "s.html").read_text()
    invoke("report", path, "--format", "md")
    headings = [line for line in (tmp_path / "s.md").read_text().split("\n") if "script" in line]
    assert not any("<script>" in line.replace("\\<", "") for line in headings)
    invoke("export", path, "-o", "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        fields = [field for row in csv.reader(file) for field in row]
    assert not any(field.startswith(("=", "@", "+")) for field in fields)
    assert invoke("import", path, "--name", "mine").exit_code == 0
    (panel,) = Store(str(tmp_path / "own.db")).study("mine").panels
    assert panel.name.isascii()
    assert panel.pair.isprintable()


@pytest.mark.parametrize("factor", [1e-3, 1e6])
def test_verdicts_know_no_unit(tmp_path: Path, factor: float):
    path = sweep(tmp_path / "s.csv", -1.0)
    plain = ls.verdicts(None, str(path)).iloc[0]
    frame = pd.read_csv(path)
    frame.assign(val_loss=frame["val_loss"] * factor).to_csv(path, index=False)
    found = ls.verdicts(None, str(path)).iloc[0]
    assert found["verdict"] == plain["verdict"] == "coupled"
    assert found["regret"] == pytest.approx(factor * plain["regret"])
    assert found["tilt_high"] == pytest.approx(plain["tilt_high"])


def test_options_of_columns_are_refused_for_studies(invoke):
    done = invoke("report", "mine", "--alpha", "lr", expected=2)
    assert "options of columns are for files of results, and 'mine' is a study" in done.output
    done = invoke("report", "mine", "x.csv", expected=2)
    assert "name one study, or files of results only" in done.output


def scattered(path: Path, count: int = 40) -> Path:
    """A table of random trials."""
    rng = np.random.default_rng(0)
    rows = [
        {"lr": lr, "wd": wd, "val_loss": loss(lr, wd, -1.0)}
        for lr, wd in 0.01 * 2.0 ** rng.uniform(-4, 4, (count, 2))
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_scattered_trials_have_a_heatmap_and_no_slices(invoke, tmp_path: Path):
    path = scattered(tmp_path / "s.csv")
    invoke("report", path, "--format", "md")
    text = (tmp_path / "s.md").read_text()
    assert "s/s-heatmap.svg" in text
    assert "slices" not in text
    assert "neighbours" not in text
    done = invoke("plot", path, "--kind", "slices", expected=2)
    assert "panel 's': its trials lie scattered" in done.output


def test_scattered_trials_are_stored_and_say_the_same(invoke, tmp_path: Path):
    path = scattered(tmp_path / "s.csv")
    of_file = ls.verdicts(None, str(path))
    invoke("import", path, "--name", "mine")
    of_store = ls.verdicts(str(tmp_path / "own.db"), "mine")
    pd.testing.assert_frame_equal(of_file, of_store)
    assert of_file["verdict"].tolist() == ["coupled"]


def test_of_a_file_there_are_no_schedules_and_no_reference(invoke, tmp_path: Path):
    path = sweep(tmp_path / "s.csv", 0.0)
    done = invoke("plot", path, "--kind", "schedule", expected=2)
    assert "its schedules are not known here" in done.output
    done = invoke("plot", path, "--reference", "fig2", expected=2)
    assert "leave out --reference" in done.output


def test_an_empty_folder_is_told(invoke, tmp_path: Path):
    (tmp_path / "runs").mkdir()
    assert "runs: no results in this folder" in invoke("report", "runs", expected=2).output


def test_pruned_runs_are_counted_as_such(invoke, tmp_path: Path):
    path = sweep(tmp_path / "s.csv", 0.0)
    frame = pd.read_csv(path)
    frame.assign(State=["pruned", *frame["State"][1:]]).to_csv(path, index=False)
    words = invoke("import", path, "--name", "mine").output.split()
    assert words[words.index("pruned") - 1] == "failed"
    assert words[words.index("AdamW") : words.index("AdamW") + 8] == [
        "AdamW",
        "49",
        "48",
        "0",
        "0",
        "0",
        "0",
        "1",
    ]
    assert "mine\t48 of 49 cells, 1 pruned\t" in invoke("list").output
    done = invoke("compare", "mine")
    assert "48 of 49 runs ended with a result" in " ".join(done.output.split())
