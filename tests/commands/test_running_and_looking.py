"""The command line: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from landscape_study.cli import main
from landscape_study.study.pairs.placements import PLACEMENTS
from landscape_study.study.pairs.rules import RULES
from landscape_study.study.planning.plan import Plan, make_plan
from landscape_study.study.planning.probing import Choice
from landscape_study.study.planning.request import Changes, changed_study, named_study
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.records.provenance import TRAINING_EXAMPLES, Worker, provenance
from landscape_study.study.running.driver import OnProgress
from landscape_study.study.spec.presets import PRESETS, load_preset
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.store.database import Database
from landscape_study.study.tasks import TASKS, load_task
from landscape_study.study.tasks.task import identify
from landscape_study.study.training.compiling import library
from landscape_study.study.training.engines import ENGINES
from tests.conftest import SPIRALS, Terminal, make_outcome, make_study
from tests.study.store.test_store import create, train_all

EXAMPLES = Path(__file__).parents[2] / "examples"
BRANCHING = "tests.study.user_tasks:branching"


def landscape(*arguments: object) -> Result:
    """Run a command in this process; a traceback fails the test."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def filled(tmp_path: Path, small_study: Study) -> Path:
    """A database with the finished small study."""
    path = tmp_path / "filled.db"
    store = Store(str(path), create=True)
    train_all(store, small_study)
    store.close()
    return path


@pytest.fixture
def half_done(tmp_path: Path) -> Path:
    """A database where one of two panels is finished."""
    path = tmp_path / "half.db"
    store = Store(str(path), create=True)
    task = load_task(SPIRALS)
    own = identify(SPIRALS, task, task.data())
    train_all(store, make_study(pairs=("sgd",)), own)
    create(store, make_study(), own)
    store.close()
    return path


SMALL_RUN = (
    *("run", "--task", SPIRALS, "--name", "small", "--pair", "sgd", "--pair", "adamw"),
    *("--seeds", 1, "--epochs", 2, "--alpha", "[0.05, 0.1]", "--lambda", "[0, 0.01]"),
)


@pytest.mark.long
def test_run_trains_draws_and_a_second_run_does_nothing(tmp_path: Path):
    path = tmp_path / "new" / "runs.db"
    first = landscape(*SMALL_RUN, "--store", path)
    assert first.exit_code == 0
    figure = tmp_path / "new" / "small.png"
    assert first.output.rstrip().endswith(f"figure: {figure}")
    assert figure.stat().st_size > 10_000
    before = Store(str(path)).cells("small")
    assert {row["state"] for row in before} == {"finished"}
    second = landscape(*SMALL_RUN, "--store", path)
    assert "8 cells, 8 of them finished" in second.output
    assert Store(str(path)).cells("small") == before
    assert len(Store(str(path)).runs("small")) == 1


@pytest.mark.slow
def test_a_regression_is_reported_in_its_own_unit(tmp_path: Path):
    store = "--store", tmp_path / "r.db"
    grid = "--alpha", "[0.02, 0.1]", "--lambda", "[0, 0.1]", "--pair", "adamw", "--epochs", 3
    settings = "--workers", 1, "--engine", "vmap", "--seeds", 1, "--no-plot"
    run = "run", "--task", "diabetes", *grid, *settings, *store
    found = landscape(*run).output
    assert re.search(r"witness of adamw: agrees, [\d.e-]+ points of progression", found)
    cells = Store(str(store[1])).cells("diabetes")
    assert all(40 < row["value"] < 90 for row in cells)
    page = tmp_path / "r.html"
    assert landscape("report", "diabetes", "-o", page, *store).exit_code == 0
    text = page.read_text("utf-8")
    assert "points of progression" in text
    assert "mean absolute error" in text
    metrics = "--kind", "anytime", "--metric", "mae", "--metric", "test_loss"
    drawn = landscape("plot", "diabetes", *metrics, "-o", tmp_path / "a.png", *store)
    assert drawn.exit_code == 0
    assert "all is well" in landscape("check", *store).output
    refused = landscape(*run, "--name", "other", "--metric", "test_error")
    assert refused.exit_code == 2
    assert 'metric = "test_error" is not recorded: choose one of train_loss, test_loss, mae' in (
        " ".join(refused.output.split())
    )


@pytest.mark.long
def test_one_cell_of_a_regression_is_tried_in_its_own_metric(tmp_path: Path):
    task = "--task", EXAMPLES / "regression.py:ninth_decile", "--alpha", 0.1, "--lambda", 0.01
    settings = "--matters", 2, "--engine", "vmap", "--workers", 1, "--store", tmp_path / "t.db"
    found = landscape("try", *task, *settings).output
    assert re.search(r"^pinball: \d+\.\d+$", found, re.MULTILINE)
    speed = r"trained by engine vmap, one cell at a time: [\d.]+ ms a cell and step, [\d.]+ × as"
    assert re.search(speed, found)


def test_dry_run_prints_cells_chunks_memory_and_time_and_writes_nothing(tmp_path: Path):
    result = landscape(*SMALL_RUN, "--store", tmp_path / "x.db", "--dry-run", "--workers", 1)
    assert result.exit_code == 0
    words = " ".join(result.output.split())
    assert re.search(r"sgd sgd cosine 2 2 × 2 × 1 4 1 ", words)
    assert "1,218 parameters" in words
    assert "MB" in words
    assert re.search(r"about \d+ s", words)
    assert list(tmp_path.iterdir()) == []


def test_a_schedule_with_its_options(tmp_path: Path):
    schedule = '{ kind = "restarts", t_0 = 10 }'
    options = ("--schedule", schedule, "--store", tmp_path / "x.db", "--dry-run", "--workers", 1)
    result = landscape(*SMALL_RUN, *options)
    assert result.exit_code == 0
    words = " ".join(result.output.split())
    assert "sgd sgd restarts (T₀ = 10, ×2) 2 2 × 2 × 1 4 1 " in words
    assert words.endswith("on these CPU workers")


def test_dry_run_counts_only_what_is_missing(half_done: Path):
    arguments = ("run", "--task", SPIRALS, "--name", "small", "--pair", "sgd", "--pair", "adamw")
    grid = ("--alpha", "[0.05, 0.1, 0.2]", "--lambda", "[0, 0.001, 0.01]")
    options = ("--seeds", 1, "--epochs", 3, "--dry-run", "--workers", 1)
    result = landscape(*arguments, *grid, *options, "--store", half_done)
    words = " ".join(result.output.split())
    assert re.search(r"sgd sgd cosine 3 3 × 3 × 1 3 1 ", words)
    assert re.search(r"adamw adamw cosine 3 3 × 3 × 1 9 1 ", words)


@pytest.mark.long
def test_resume_finishes_what_is_open(half_done: Path):
    result = landscape("resume", "small", "--task", SPIRALS, "--store", half_done, "--no-plot")
    assert result.exit_code == 0
    cells = Store(str(half_done)).cells("small")
    assert {row["state"] for row in cells} == {"finished"}
    assert not half_done.with_name("small.png").exists()


@pytest.fixture
def trained_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of training, made-up outcomes, of which no witness knows."""

    def run(plan: Plan, store: Store, on_progress: OnProgress, *_: Any, **__: Any) -> None:
        on_progress(store.progress(plan.study.name))
        train_all(store, plan.study, plan.identity)
        on_progress(store.progress(plan.study.name))

    monkeypatch.setattr("landscape_study.study.running.training_run.run", run)
    monkeypatch.setattr("landscape_study.study.running.training_run.call_witnesses", lambda *_: [])


@pytest.mark.parametrize("option", [(), ("--no-live",)], ids=["", "no live"])
@pytest.mark.usefixtures("trained_at_once")
def test_a_pipe_gets_plain_lines(tmp_path: Path, option: tuple[str, ...]):
    path = tmp_path / "x.db"
    result = landscape(*SMALL_RUN, *option, "--store", path, "--workers", 1, "--no-plot")
    assert "\x1b" not in result.output
    assert [line.rstrip() for line in result.output.splitlines()[:6]] == [
        f"study small: 8 cells, 0 of them finished; 1 worker, engine vmap; database {path}",
        f"study small · task {SPIRALS} · 1 seed",
        "panel  cells  finished  running  open  diverged  failed  best %  time",
        "sgd        4         4        0     0         0       0    0.00   2 s",
        "adamw      4         4        0     0         0       0   10.00   2 s",
        "best: lowest test error of one cell and seed; time: summed over workers",
    ]


@pytest.mark.usefixtures("trained_at_once")
def test_a_run_ends_with_what_the_studys_own_figure_says(tmp_path: Path):
    study = make_study(pairs=("sgd", "adamw"), epochs=3).change(figure={"kind": "anytime"})
    (tmp_path / "any.toml").write_text(study.to_toml(), encoding="utf-8")
    arguments = ("run", tmp_path / "any.toml", "--store", tmp_path / "x.db", "--workers", 1)
    lines = landscape(*arguments).output.splitlines()
    assert lines[-3:] == [
        "SGD + L2: 0.00 % at α = 0.05, λ = 0.",
        "AdamW: 10.00 % at α = 0.05, λ = 0.",
        f"figure: {tmp_path / 'small.png'}",
    ]
    assert not [line for line in lines if "cannot tell" in line or "border" in line]


@pytest.mark.parametrize(
    ("option", "term", "live"),
    [
        ((), "xterm-256color", True),
        (("--no-live",), "xterm-256color", False),
        ((), "xterm-16color", False),
    ],
    ids=["live", "no live", "16 colours"],
)
@pytest.mark.usefixtures("trained_at_once")
def test_a_terminal_gets_the_live_view_unless_it_shall_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str], term: str, live: bool
):
    terminal = Terminal()
    console = Console(file=terminal, width=80, height=24, _environ={"TERM": term})
    monkeypatch.setattr("landscape_study.commands.running.terminal", lambda: console)
    options = (*option, "--workers", 1, "--no-plot", "--store", tmp_path / "x.db")
    landscape(*SMALL_RUN, *options)
    assert ("α ↑ λ →" in terminal.getvalue()) is live
    assert ("best 0.00 % at" in terminal.getvalue()) is live
    assert "8 of 8 cells" in terminal.getvalue()


def test_resume_does_not_import_user_code_that_only_the_database_names(half_done: Path):
    result = landscape("resume", "--store", half_done)
    assert result.exit_code == 2
    assert f"add --task {SPIRALS}" in result.output


def test_stopped_while_the_study_is_created_it_says_no_more_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def put(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("landscape_study.study.running.training_run.put", put)
    result = landscape(*SMALL_RUN, "--store", tmp_path / "x.db", "--workers", 1)
    assert result.exit_code == 130
    assert result.output.splitlines()[-1] == "stopped"


def test_resume_without_any_study(tmp_path: Path):
    Store(str(tmp_path / "empty.db"), create=True).close()
    result = landscape("resume", "--store", tmp_path / "empty.db")
    assert result.exit_code == 2
    assert "start one with `landscape run`" in result.output


def test_status_shows_states_and_best(half_done: Path):
    words = " ".join(landscape("status", "small", "--store", half_done).output.split())
    assert "study small · task examples.spirals:spirals · 1 seed" in words
    assert "sgd 6 6 0 0 0 0 0.00" in words
    assert "adamw 6 0 0 6 0 0 – 0 s" in words
    assert landscape("status", "--store", half_done).exit_code == 0


def test_status_shows_who_trains_and_since_when_nothing_was_heard(half_done: Path):
    store = Store(str(half_done))
    store.claim("small", Worker("cuda:1"), store.start_run("small", {}))
    store.claim("small", Worker("cpu"), store.start_run("small", {}), lease=-1)
    words = " ".join(landscape("status", "--store", half_done).output.split())
    place = f"{socket.gethostname()} {os.getpid()}"
    assert re.search(rf"{place} cuda:1 adamw 0 2 \d+ s ago (?!: lost)", words)
    assert re.search(rf"{place} cpu adamw 0 2 \d+ s ago: lost", words)


def test_status_says_which_cells_failed_why_and_how_to_go_on(half_done: Path):
    store = Store(str(half_done))
    claim = store.claim("small", Worker(), store.start_run("small", {}))
    assert claim is not None
    store.fail(claim, "out of memory, alone: 2 GiB")
    output = landscape("status", "--store", half_done).output
    alpha, lambda_ = claim.cells[0].alpha, claim.cells[0].lambda_
    place = f"adamw, seed 0, α = {alpha:g}, λ = {lambda_:g}"
    assert f"failed: {place}: out of memory, alone: 2 GiB\n" in output
    retry = f"landscape resume small --retry-failed --task {SPIRALS} --store {half_done}"
    assert f"try again:  {retry}\n" in output


@pytest.mark.usefixtures("trained_at_once")
def test_failed_cells_are_tried_again_only_when_asked_to(half_done: Path):
    store = Store(str(half_done))
    claim = store.claim("small", Worker(), store.start_run("small", {}))
    assert claim is not None
    store.fail(claim, "no reason")
    resume = ("resume", "small", "--task", SPIRALS, "--store", half_done, "--no-plot")
    assert "failed: adamw" in landscape(*resume).output
    again = landscape(*resume, "--retry-failed").output
    assert "failed cells to be tried again: 2\n" in again
    assert "failed: adamw" not in again
    assert {row["state"] for row in store.cells("small")} == {"finished"}


def test_cells_can_be_queued_for_workers(tmp_path: Path):
    path = tmp_path / "x.db"
    result = landscape(*SMALL_RUN, "--store", path, "--queue")
    assert result.output == "study small: 8 cells in the database, 8 new\n"
    assert {row["state"] for row in Store(str(path)).cells("small")} == {"open"}
    again = landscape(*SMALL_RUN, "--store", path, "--queue")
    assert again.output == "study small: 8 cells in the database, none of them new\n"
    assert Store(str(path)).runs("small") == []


def test_what_is_only_queued_needs_no_cluster(tmp_path: Path):
    options = ("--store", tmp_path / "x.db", "--queue", "--dask", "tcp://localhost:1")
    result = landscape(*SMALL_RUN, *options)
    assert result.exit_code == 2
    assert "--queue trains nothing: leave out --dask" in result.output


@pytest.mark.long
@pytest.mark.parametrize("option", [("--task", SPIRALS), ("--trust-task",)], ids=["task", "trust"])
def test_a_worker_trains_what_is_open(half_done: Path, option: tuple[str, ...]):
    result = landscape("worker", "small", *option, "--store", half_done, "--workers", 1)
    assert result.exit_code == 0
    first, *_, last = result.output.splitlines()
    assert first.startswith("study small: 12 cells, 6 of them finished; 1 worker, engine ")
    assert last.endswith("12 of 12 cells")
    assert {row["state"] for row in Store(str(half_done)).cells("small")} == {"finished"}
    assert list(half_done.parent.glob("*.png")) == []


def test_a_worker_does_not_import_user_code_that_only_the_database_names(half_done: Path):
    result = landscape("worker", "small", "--store", half_done)
    assert result.exit_code == 2
    assert f"add --task {SPIRALS}" in result.output


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense", "no address: write tcp://nonsense, or the like"),
        ("tcp://nonsense", "it names no port, as in tcp://HOST:8786"),
        pytest.param("tcp://localhost:1", "dask scheduler", marks=pytest.mark.long),
    ],
)
def test_a_cluster_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, message: str
):
    monkeypatch.setattr("landscape_study.study.running.pools.CONNECTING", 1)
    result = landscape(*SMALL_RUN, "--store", tmp_path / "x.db", "--dask", address)
    assert result.exit_code == 2
    assert f"--dask {address}: no " in result.output
    assert message in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("trained_at_once")
def test_a_database_on_a_network_file_system_is_warned_of(
    half_done: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Database, "network_file_system", lambda self: "nfs4")
    resume = ("resume", "small", "--task", SPIRALS, "--store", half_done, "--no-plot")
    assert (
        f"warning: {half_done} lies on a network file system (nfs4)" in landscape(*resume).output
    )


def test_check_says_that_all_is_well(half_done: Path):
    result = landscape("check", "--store", half_done)
    assert result.output == f"{half_done}: 1 study, 12 cells: all is well\n"
    assert result.exit_code == 0


def test_check_says_what_is_wrong_and_what_to_do(half_done: Path):
    store = Store(str(half_done))
    store.database.write(lambda c: c.exec_driver_sql("DELETE FROM trial_values"))
    result = landscape("check", "small", "--store", half_done)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert (
        "study small, panel 'sgd', seed 0: 6 cells are finished, but without an error" in lines[0]
    )
    assert lines[1] == f"  save what is whole:  landscape merge NEW.db {half_done}"
    assert lines[-1] == f"{half_done}: 1 study, 12 cells: 1 fault"


def test_merge_says_what_it_took(half_done: Path, filled: Path, tmp_path: Path):
    into = tmp_path / "new" / "all.db"
    result = landscape("merge", into, half_done)
    open_cells = f"6 open (landscape resume small --task {SPIRALS} --store {into})"
    assert result.output == f"study small: 6 cells taken, 0 were there, {open_cells}\n"
    again = landscape("merge", into, half_done)
    assert again.output == f"study small: 0 cells taken, 6 were there, {open_cells}\n"
    assert landscape("check", "--store", into).exit_code == 0
    other = landscape("merge", into, filled)
    assert other.exit_code == 2
    assert "other data or another network" in other.output
    unknown = landscape("merge", tmp_path / "none.db", half_done, "--study", "nosuch")
    assert "no study 'nosuch'" in unknown.output
    missing = landscape("merge", into, tmp_path / "none.db")
    assert "no such database" in missing.output


def test_list_names_the_studies(half_done: Path):
    output = landscape("list", "--store", half_done).output
    assert output == f"small\t6 of 12 cells\ttask {SPIRALS}\tsgd, adamw\n"


def test_show_prints_a_study_that_can_be_run_again(filled: Path, small_study: Study):
    output = landscape("show", "small", "--store", filled).output
    assert Study.from_toml(output, "show") == small_study
    assert re.search(r"# run .* landscape-study .* torch .* optuna ", output)


def test_show_prints_a_preset(tmp_path: Path):
    output = landscape("show", "digits-fig2", "--store", tmp_path / "none.db").output
    assert Study.from_toml(output, "show") == load_preset("digits-fig2")


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_plot_writes_the_figure(filled: Path, tmp_path: Path, suffix: str):
    output = tmp_path / "figures" / f"out.{suffix}"
    result = landscape("plot", "small", "-o", output, "--panel", "sgd", "--store", filled)
    assert result.output.splitlines()[-1] == f"figure: {output}"
    assert "adamw" not in result.output
    magic = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix]
    assert output.read_bytes().startswith(magic)


def test_plot_of_a_half_done_study(half_done: Path):
    result = landscape("plot", "small", "--cmap", "jet", "--span", 2, "--store", half_done)
    assert result.output.splitlines()[-1] == f"figure: {half_done.with_name('small.png')}"


@pytest.mark.parametrize(("what", "rows"), [("cells", 12), ("curves", 36), ("mechanism", 36)])
def test_export_writes_tables_that_read_back_alike(filled: Path, what: str, rows: int):
    csv, parquet = filled.with_suffix(".csv"), filled.with_suffix(".parquet")
    for output in (csv, parquet):
        result = landscape("export", "small", "-o", output, "--what", what, "--store", filled)
        assert result.output == f"{output}: {rows} rows\n"
    one, other = pd.read_csv(csv), pd.read_parquet(parquet)
    pd.testing.assert_frame_equal(one, other, check_dtype=False)
    assert one["weight_norm" if what == "mechanism" else "test_error"].min() < 0.2


def test_plot_of_what_happened_inside(filled: Path):
    result = landscape("plot", "small", "--kind", "mechanism", "--store", filled)
    assert result.output.splitlines()[-1] == f"figure: {filled.with_name('small-mechanism.png')}"
    result = landscape("plot", "small", "--kind", "mechanism", "--contours", "--store", filled)
    assert result.exit_code == 2
    assert "mechanism figures have no --contours: leave it out" in result.output


@pytest.mark.parametrize("kind", ["heatmaps", "mechanism"])
def test_plot_over_a_timescale_that_no_run_tells(filled: Path, kind: str):
    over = ("--kind", kind, "--over", "timescale")
    result = landscape("plot", "small", *over, "--store", filled)
    assert result.exit_code == 2
    assert "panel 'sgd': how long its weights remember is not known" in result.output
    result = landscape("plot", "small", "--kind", "slices", *over[2:], "--store", filled)
    assert "slices have no --over: leave it out" in result.output


def test_compare_over_a_timescale(filled: Path, tmp_path: Path):
    drawn = ("sgd", "adamw", "-o", tmp_path / "both.svg", "--over", "timescale")
    result = landscape("compare", "small", *drawn, "--store", filled)
    assert result.exit_code == 2
    assert "panel 'sgd': how long its weights remember is not known" in result.output
    store = Store(str(filled))
    store.start_run("small", {TRAINING_EXAMPLES: 500})
    store.close()
    result = landscape("compare", "small", *drawn, "--store", filled)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "both.svg").read_text(encoding="utf-8").count("timescale of the decay") == 2


def test_a_figure_that_cannot_be_written(filled: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    result = landscape("plot", "small", "-o", tmp_path / "file" / "x.png", "--store", filled)
    assert result.exit_code == 1
    assert "cannot be written" in result.output


@pytest.mark.usefixtures("trained_at_once")
def test_brackets_in_a_path_are_printed_as_they_are(tmp_path: Path):
    path = tmp_path / "a [b]" / "[/c].db"
    result = landscape(*SMALL_RUN, "--store", path, "--no-plot", "--workers", 1)
    assert result.exit_code == 0
    assert f"database {path}" in result.output


def test_an_empty_database_is_said_to_be_so(tmp_path: Path):
    Store(str(tmp_path / "empty.db"), create=True).close()
    for command in ("status", "list"):
        output = landscape(command, "--store", tmp_path / "empty.db").output
        assert "no studies yet: start one with `landscape run`" in output


@pytest.mark.long
def test_another_task_brings_its_own_budget_and_batch_size():
    study = changed_study(named_study("digits-fig2"), Changes(task=SPIRALS))
    resolved = make_plan(study, RunSettings(device="cpu")).study
    assert (study.name, resolved.batch_size, resolved.panels[0].epochs) == ("spirals", 20, 60)
    assert {panel.epochs for panel in study.panels} == {None}


def test_pairs_tasks_and_presets_are_listed():
    said = landscape("pairs").output
    assert all(f"\n  {name} " in said for name in (*RULES, *PLACEMENTS, "adamw-torch"))
    for command, names in (("tasks", TASKS), ("presets", PRESETS)):
        lines = landscape(command).output.splitlines()
        assert [line.split()[0] for line in lines][: len(names)] == list(names)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_valid_study_of_its_name(preset: str):
    assert load_preset(preset).name == preset


def test_the_embedded_study_is_as_large_as_the_paper_figure():
    study = load_preset("digits-fig2")
    assert [panel.pair for panel in study.panels] == ["sgd", "sgdw", "adam", "adamw"]
    assert len(study.seeds) == 3
    for panel in study.panels:
        assert len(panel.grid.alpha.values) == len(panel.grid.lambda_.positive) == 11
        assert len(panel.cells()) == 132


@pytest.mark.parametrize("command", [None, *main.commands])
def test_every_command_has_help(command: str | None):
    result = landscape(*([command] if command else []), "--help")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4


@pytest.mark.parametrize("command", ["run", "extend", "refine", "plot", "compare"])
def test_help_shows_each_example_in_its_own_line(command: str):
    lines = landscape(command, "--help").output.partition("Examples:\n")[2].splitlines()
    examples = lines[: lines.index("")]
    assert len(examples) > 1
    assert {line.split()[:2] == ["landscape", command] for line in examples} == {True}


def test_help_imports_nothing_heavy():
    code = (
        "import sys, cli; sys.exit(any(m in sys.modules for m in ('torch', 'optuna', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


ENGINE_HELP = "--engine [compiled|captured|vmap|referee]"


@pytest.mark.parametrize("command", ["run", "resume", "extend", "refine"])
def test_the_engines_are_those_of_the_help(command: str):
    words = " ".join(landscape(command, "--help").output.split())
    assert f"{ENGINE_HELP} How cells are trained together." in words
    assert "|".join(ENGINES) in ENGINE_HELP


@pytest.mark.usefixtures("trained_at_once")
def test_the_engine_that_is_asked_for_is_taken_and_said(tmp_path: Path):
    options = ("--engine", "referee", "--workers", 1, "--no-plot", "--store", tmp_path / "x.db")
    line = landscape(*SMALL_RUN, *options).output.splitlines()[0]
    assert "; 1 worker, engine referee; database " in line
    dry = landscape(*SMALL_RUN, *options, "--dry-run")
    assert "a cell, engine referee, at most" in " ".join(dry.output.split())


@pytest.mark.usefixtures("trained_at_once")
@pytest.mark.parametrize("engine", [(), ("--engine", "referee")], ids=["chosen", "asked for"])
def test_why_no_faster_engine_is_chosen_is_said(tmp_path: Path, engine: tuple[str, ...]):
    arguments = ("run", "--task", BRANCHING, "--name", "b", "--pair", "sgd", "--seeds", 1)
    grid = ("--epochs", 1, "--alpha", "[0.1]", "--lambda", "[0]", "--workers", 1, "--no-plot")
    result = landscape(*arguments, *grid, *engine, "--store", tmp_path / "x.db")
    first, second = result.output.splitlines()[:2]
    assert "engine referee" in first
    assert second.startswith("engine vmap: RuntimeError: ") is (engine == ())
    assert second.endswith(": trained by the plain loop instead") is (engine == ())


@pytest.mark.usefixtures("trained_at_once")
def test_an_engine_may_be_called_by_its_former_name(tmp_path: Path):
    options = ("--engine", "one-by-one", "--workers", 1, "--no-plot", "--store", tmp_path / "x.db")
    assert "; 1 worker, engine referee; database " in landscape(*SMALL_RUN, *options).output


@pytest.mark.usefixtures("trained_at_once")
def test_a_study_begun_by_the_former_engine_goes_on(half_done: Path):
    store = Store(str(half_done))
    store.start_run("small", provenance(["cpu"], "one-by-one"))
    store.close()
    command = ("resume", "small", "--task", SPIRALS, "--store", half_done, "--no-plot")
    assert "engine referee" in landscape(*command).output


class TestWitness:
    @pytest.mark.slow
    def test_each_panel_has_one_at_the_end_and_the_next_run_adds_none(self, tmp_path: Path):
        options = ("--workers", 1, "--no-plot", "--store", tmp_path / "x.db")
        lines = landscape(*SMALL_RUN, *options).output.splitlines()
        assert [line for line in lines if line.startswith("witness of sgd: agrees, ")]
        store = Store(str(tmp_path / "x.db"))
        found = store.witnesses("small")
        assert len(found) == len(store.study("small").panels)
        assert landscape(*SMALL_RUN, *options).exit_code == 0
        assert store.witnesses("small") == found
        store.close()

    @pytest.mark.slow
    def test_it_may_be_left_out(self, tmp_path: Path):
        options = ("--workers", 1, "--no-plot", "--no-witness", "--store", tmp_path / "x.db")
        assert "witness" not in landscape(*SMALL_RUN, *options).output
        store = Store(str(tmp_path / "x.db"))
        assert store.witnesses("small") == []
        store.close()


@pytest.mark.usefixtures("trained_at_once")
def test_what_takes_longer_is_said_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def choose(_shares: Any, _hash: str, tell: Any) -> tuple[int, Choice]:
        tell("this takes longer")
        return 0, Choice("vmap", 6)

    monkeypatch.setattr("landscape_study.study.planning.probing.choose", choose)
    options = ("--workers", 1, "--no-plot", "--store", tmp_path / "x.db")
    lines = landscape(*SMALL_RUN, *options).output.splitlines()
    assert lines[0] == "this takes longer"
    assert lines[1].startswith("study small: ")


def test_resume_goes_on_by_the_engine_that_the_study_began_with(
    half_done: Path, monkeypatch: pytest.MonkeyPatch
):
    plans: list[Plan] = []
    monkeypatch.setattr(
        "landscape_study.commands.running._train_and_tell", lambda plan, *_: plans.append(plan)
    )
    store = Store(str(half_done))
    store.start_run("small", provenance(["cpu"], "referee"))
    store.close()
    command = ("resume", "small", "--task", SPIRALS, "--store", half_done)
    for engine in ((), ("--engine", "vmap")):
        assert landscape(*command, *engine).exit_code == 0
    assert [plan.choice.engine for plan in plans] == ["referee", "vmap"]


@pytest.mark.long
@pytest.mark.skipif(library.why_not() is not None, reason=str(library.why_not()))
def test_two_workers_train_by_code_that_one_of_them_compiled(tmp_path: Path, own_programs: Path):
    """In processes of their own, which leave no warning."""
    command = [sys.executable, "-W", "error", "-m", "landscape_study", *map(str, SMALL_RUN)]
    command += ["--engine", "compiled", "--workers", "2", "--chunk", "2", "--no-plot"]
    path = tmp_path / "x.db"
    done = subprocess.run(
        [*command, "--store", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    store = Store(str(path))
    assert {row["state"] for row in store.cells("small")} == {"finished"}
    (noted,) = store.runs("small")
    assert noted["provenance"]["engine"] == "compiled"
    kept = {path.suffix for path in own_programs.iterdir()}
    assert {".so", ".facts", ".o"} <= kept


BAD_REQUESTS = {
    "preset": (["run", "nope"], "unknown preset 'nope': choose one of digits-fig1, digits-fig2"),
    "study file": (["run", "nope.toml"], "nope.toml: cannot be read (No such file"),
    "pair": (["run", "--pair", "foo"], "--pair foo: study 'digits-fig2' has no grid for it"),
    "new pair": (
        ["run", "--pair", "foo", "--alpha", "[1]", "--lambda", "[1]"],
        "unknown pair 'foo': `landscape pairs` lists all",
    ),
    "task": (["run", "--task", "foo"], "unknown task 'foo': choose one of digits"),
    "import": (
        ["run", "--task", "no.such:task"],
        "importing 'no.such' failed (ModuleNotFoundError",
    ),
    "attribute": (["run", "--task", "examples.spirals:x"], "has no 'x': it has spirals"),
    "not a task": (
        ["run", "--task", "tests.study.user_tasks:no_task"],
        "Tensor object is no task, it lacks classes, batch_size",
    ),
    "wrong shape": (
        ["run", "--task", "tests.study.user_tasks:wrong_shape"],
        "tensor of shape [20, 5]; expected outputs of shape [20, 2]",
    ),
    "schedule": (
        ["run", "--schedule", "cosin"],
        "unknown schedule 'cosin': choose one of constant",
    ),
    "restarts": (
        ["run", "--schedule", "restarts"],
        'restarts need t_0: write { kind = "restarts", t_0 = 10 }',
    ),
    "schedule option": (
        ["run", "--schedule", '{ kind = "restarts", t_0 = 0 }'],
        "schedule, restarts, t_0: Input should be greater than or equal to 1, found 0",
    ),
    "schedule kind": (
        ["run", "--schedule", '{ kind = "poly" }'],
        "unknown schedule 'poly': choose one of constant",
    ),
    "schedule table": (
        ["run", "--schedule", "{ kind = restarts }"],
        "--schedule { kind = restarts }: broken TOML:",
    ),
    "epochs": (["run", "--epochs", "0"], "epochs: Input should be greater than or equal to 1"),
    "batch": (["run", "--batch-size", "0"], "batch_size: Input should be greater than or equal"),
    "seeds": (["run", "--seeds", "0"], "Invalid value for '--seeds'"),
    "alpha 0": (["run", "--alpha", "[0, 1]"], "alpha: 0 is no learning rate"),
    "negative": (["run", "--lambda", "[-1]"], "lambda: -1.0 is not a finite number of 0 or more"),
    "nan": (["run", "--lambda", "[nan]"], "lambda: nan is not a finite number"),
    "duplicate": (["run", "--alpha", "[1, 2, 1]"], "alpha: 1.0 stands there more than once"),
    "axis": (["run", "--alpha", "[1"], "--alpha [1: broken TOML: Unclosed array"),
    "engine": (["run", "--engine", "fast"], "Invalid value for '--engine': 'fast' is not one of"),
    "engine that cannot": (
        ["run", "--task", BRANCHING, "--engine", "captured"],
        f"--engine captured: it does not train task '{BRANCHING}' as a plain loop does: ",
    ),
    "cuda": (["run", "--device", "cuda"], "PyTorch sees no CUDA device here"),
    "store url": (["run", "--store", "x://y"], "--store x://y: no database URL"),
    "study": (["status", "nope", "--store", "{db}"], "no study 'nope': it holds small"),
    "plot": (["plot", "nope", "--store", "{db}"], "no study 'nope': it holds small"),
    "resume": (["resume", "nope", "--store", "{db}"], "no study 'nope': it holds small"),
    "panel": (
        ["plot", "small", "--panel", "x", "--store", "{db}"],
        "has no panel 'x': it has sgd",
    ),
    "suffix": (["plot", "small", "-o", "x.gif", "--store", "{db}"], "ends in .png, .pdf or .svg"),
    "span": (["plot", "small", "--span", "0", "--store", "{db}"], "Invalid value for '--span'"),
    "infinite span": (["plot", "small", "--span", "inf", "--store", "{db}"], "span = inf: give"),
    "metric to plot": (
        ["plot", "small", "--kind", "anytime", "--metric", "nope", "--store", "{db}"],
        "metrics = ['nope']: give some of train_loss, test_loss, test_error",
    ),
    "cmap": (["plot", "small", "--cmap", "jett", "--store", "{db}"], "unknown colour map 'jett'"),
    "export": (["export", "small", "-o", "x.xls", "--store", "{db}"], "neither in .csv nor in"),
}


@pytest.mark.some(18)
@pytest.mark.parametrize(("arguments", "message"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_wrong_request_gets_one_clear_message(
    arguments: list[str], message: str, filled: Path, request: pytest.FixtureRequest
):
    import torch

    if "cuda" in request.node.callspec.id and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    before = filled.read_bytes()
    command = [argument.replace("{db}", str(filled)) for argument in arguments]
    if "--store" not in command:
        command += ["--store", str(filled)] if command[0] != "pairs" else []
    result = landscape(*command)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert filled.read_bytes() == before


def test_a_broken_study_file_names_the_line(tmp_path: Path):
    path = tmp_path / "broken.toml"
    path.write_text('name = "x"\ntask = "digits"\nseeds = = 3\n')
    result = landscape("run", path)
    assert result.exit_code == 2
    assert f"{path}: broken TOML: Invalid value (at line 3, column 9)" in result.output


BAD_STORES = {
    "missing": (lambda path: None, "no such database: `landscape run` creates it"),
    "other file": (lambda path: path.write_text("text " * 1000), "file is not a database"),
    "folder": (lambda path: path.mkdir(), "a folder, not a database"),
}


@pytest.mark.parametrize(("make", "message"), BAD_STORES.values(), ids=BAD_STORES)
@pytest.mark.parametrize("command", ["status", "list", "plot small", "resume small"])
def test_a_store_that_is_none(tmp_path: Path, command: str, make, message: str):
    path = tmp_path / "bad.db"
    make(path)
    result = landscape(*command.split(), "--store", path)
    assert result.exit_code == 1
    assert f"{path}: " in result.output
    assert message in result.output


def test_another_budget_under_the_same_name_is_refused(filled: Path):
    arguments = list(SMALL_RUN)
    arguments[arguments.index("--epochs") + 1] = 7
    result = landscape(*arguments, "--store", filled)
    assert result.exit_code == 2
    message = f"{filled}: study 'small' was run with panel 'sgd': epochs = 3, this asks for 7"
    assert message in result.output
    assert {row["state"] for row in Store(str(filled)).cells("small")} == {"finished"}


def test_diverged_cells_are_told(tmp_path: Path, small_study: Study):
    path = tmp_path / "diverged.db"
    store = Store(str(path), create=True)
    create(store, small_study)
    from landscape_study.study.records.provenance import Worker

    claim = store.claim("small", Worker(), store.start_run("small", {}))
    assert claim is not None
    outcome = make_outcome(2, start=3)
    outcome.diverged_epoch[:] = (0, 1)
    store.record(claim, outcome)
    words = " ".join(landscape("status", "--store", path).output.split())
    assert "sgd 6 2 0 4 1 0 3.00" in words
