"""Questions about what is unclear of a file, at a terminal and elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from landscape_study.cli import main
from landscape_study.commands import questions

HEADER = "lr,max_lr,wd,val_loss,val_acc,train_loss,score_gap\n"
ROWS = "".join(
    f"{a},{2 * a},{b},{abs(a - 0.02) + b},{1 - a * b},{a},{b * a}\n"
    for a in (0.01, 0.02, 0.04)
    for b in (0.001, 0.01, 0.1)
)


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sweep.csv"
    path.write_text(HEADER + ROWS)
    return path


@pytest.fixture
def terminal(monkeypatch) -> None:
    """Somebody sits there."""
    monkeypatch.setattr(questions, "is_somebody_there", lambda: True)


def test_without_a_terminal_the_options_are_told(sweep: Path):
    done = CliRunner().invoke(main, ["compare", "sweep.csv", "--alpha", "lr"])
    assert done.exit_code == 2
    assert done.stderr == (
        "Error: sweep: 'val_loss', 'val_acc' could each be the metric: say --metric val_loss or "
        "--metric val_acc\n"
    )


def test_at_a_terminal_a_number_says_it(sweep: Path, terminal):
    done = CliRunner().invoke(main, ["compare", "sweep.csv"], input="1\n7\n2\n")
    assert done.exit_code == 0, done.output
    assert "sweep: 'lr', 'max_lr' could each be α, the learning rate\n  1  lr\n  2  max_lr\n" in (
        done.stderr
    )
    assert "7 is not in the range 1<=x<=2" in done.stderr
    assert "without questions the next time: --alpha lr --metric val_acc" in done.stderr
    assert "α = lr, λ = wd, metric = val_acc (more is better)" in " ".join(done.stdout.split())


def test_the_direction_is_asked_for_too(sweep: Path, terminal):
    options = ["--alpha", "lr", "--metric", "score_gap"]
    done = CliRunner().invoke(main, ["compare", "sweep.csv", *options], input="2\n")
    assert "is less or more of 'score_gap' better?\n  1  minimize\n  2  maximize\n" in done.stderr
    assert "metric = score_gap (more is better)" in " ".join(done.stdout.split())


def test_what_is_printed_to_be_kept_holds_no_question(sweep: Path, terminal):
    done = CliRunner().invoke(main, ["show", "sweep.csv"], input="1\n1\n")
    assert done.stdout.startswith('name = "sweep"')
    done = CliRunner().invoke(main, ["import", "sweep.csv", "--store", "x.db"], input="1\n2\n")
    assert done.exit_code == 0, done.output
    assert "stored as study sweep" in done.stdout


def test_somebody_who_goes_away(sweep: Path, terminal):
    done = CliRunner().invoke(main, ["report", "sweep.csv"], input="1\n")
    assert done.exit_code == 1
    assert "Aborted" in done.stderr
    assert not list(sweep.parent.glob("*.html"))


def test_a_study_comes_before_a_folder_of_its_name(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{a},{b},{e},{a * b + 1 / e}\n" for a in (1, 2) for b in (1, 4) for e in (1, 2)]
    Path("mine").mkdir()
    Path("mine/other.csv").write_text(HEADER + ROWS)
    Path("a.csv").write_text("lr,wd,epoch,val_loss\n" + "".join(rows))
    stored = ["import", "a.csv", "--name", "mine", "--store", "x.db"]
    assert CliRunner().invoke(main, stored).exit_code == 0
    options = ["--kind", "anytime", "--metric", "val_loss", "--store", "x.db", "-o", "a.png"]
    done = CliRunner().invoke(main, ["plot", "mine", *options])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["plot", "mine", *options[:-3], "y.db", "-o", "a.png"])
    assert "mine: 'lr', 'max_lr' could each be α" in done.stderr  # where there is no such study


@pytest.mark.parametrize("name", ["sweep.xlsx", "results", "log.out"])
def test_a_file_of_no_known_kind_is_no_study(tmp_path: Path, monkeypatch, name: str):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("lr,wd,loss\n")
    done = CliRunner().invoke(main, ["report", name])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {name}: is of no kind that is read: save it as .csv")
