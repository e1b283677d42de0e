"""The data sets on the command line: listed, brought, and found by what trains."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from landscape_study.study.tasks import TASKS
from landscape_study.study.tasks.data_folder import DATA_FOLDER
from landscape_study.study.tasks.data_sets import DATA_SETS
from tests.commands.test_running_and_looking import SMALL_RUN, landscape
from tests.conftest import SPIRALS, Terminal
from tests.study.tasks.archives import SMALL_CIFAR10, cifar_files, official, tar_gz, with_archive
from tests.study.tasks.web import Web, serving

CONTENT = tar_gz(official(SMALL_CIFAR10, cifar_files(SMALL_CIFAR10)))


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch):
    """A server of a small CIFAR-10, which stands for the official one."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Web(CONTENT)) as served:
        small = with_archive(SMALL_CIFAR10, CONTENT, served.url)
        monkeypatch.setitem(DATA_SETS, "cifar10", small)
        yield served


@pytest.mark.usefixtures("web")
def test_the_data_sets_are_listed_with_their_state_and_folder(tmp_path: Path):
    landscape("data", "cifar10", "--folder", tmp_path)
    lines = landscape("data", "--folder", tmp_path).output.splitlines()
    assert re.fullmatch(rf"cifar10 +complete +{tmp_path}/cifar-10-batches-bin", lines[0])
    assert re.fullmatch(rf"cifar100 +not there +{tmp_path}/cifar-100-binary", lines[2])
    assert re.fullmatch(rf"imagenet32 +not there +{tmp_path}/imagenet32", lines[4])
    assert "60,000 photographs of 10 classes" in lines[1]


@pytest.mark.usefixtures("web")
def test_data_are_brought_where_the_environment_says(tmp_path: Path, monkeypatch):
    monkeypatch.setenv(DATA_FOLDER, str(tmp_path / "new"))
    first, second = landscape("data", "cifar10"), landscape("data", "cifar10")
    assert first.exit_code == second.exit_code == 0
    assert first.output == f"cifar10: complete in {tmp_path}/new/cifar-10-batches-bin\n"
    assert second.output == first.output


def test_a_terminal_gets_a_bar(tmp_path: Path, web: Web, monkeypatch):
    from rich.console import Console

    terminal = Terminal()
    monkeypatch.setattr(
        "landscape_study.commands.data.terminal", lambda: Console(file=terminal, width=100)
    )
    monkeypatch.setenv("TERM", "xterm")
    landscape("data", "cifar10", "--folder", tmp_path)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    size = f"{len(CONTENT) / 1000:.1f}"
    assert f"{size}/{size} kB" in shown
    before = terminal.getvalue()
    landscape("data", "cifar10", "--folder", tmp_path)
    again = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()[len(before) :])
    assert "kB" not in again  # nothing to download, no bar
    assert len(web.asked) == 1


def test_a_download_that_breaks_off_says_how_to_go_on(tmp_path: Path, web: Web):
    web.stop_after = 100_000
    result = landscape("data", "cifar10", "--folder", tmp_path)
    assert result.exit_code == 1
    again = re.search(r"the connection broke off: `landscape (.*?)` goes on", result.output)
    assert again is not None
    web.stop_after = None
    assert landscape(*again[1].split()).exit_code == 0


@pytest.mark.usefixtures("web")
def test_ctrl_c_says_that_it_goes_on_from_here(tmp_path: Path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "landscape_study.study.tasks.download.ResumingDownloader._receive", interrupt
    )
    result = landscape("data", "cifar10", "--folder", tmp_path)
    assert result.exit_code == 130
    assert "stopped; cifar10 goes on from here when asked again" in result.output


def test_what_cannot_be_downloaded_is_told_with_what_to_put_where(tmp_path: Path):
    result = landscape("data", "imagenet32", "--folder", tmp_path)
    assert result.exit_code == 1
    assert f"unzip -j Imagenet32_val_npz.zip -d {tmp_path}/imagenet32" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("data", "mnist"), "unknown data set 'mnist': choose one of cifar10, cifar100", 2),
        (("data", "--folder", "{file}"), "Invalid value for '--folder'", 2),
        (("run", "--data", "{file}"), "Invalid value for '--data'", 2),
        (("data", "cifar10", "--folder", "{file}/below"), "below: cannot be written (Not a d", 1),
    ],
    ids=["unknown", "file", "file for run", "below a file"],
)
def test_a_wrong_request_gets_one_clear_message(tmp_path: Path, arguments, message, code):
    file = tmp_path / "file"
    file.write_text("")
    result = landscape(*(argument.format(file=file) for argument in arguments))
    assert result.exit_code == code
    assert message in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", [name for name, entry in TASKS.items() if entry.data_set])
def test_a_task_without_its_data_names_the_command_that_brings_them(tmp_path: Path, name: str):
    options = ("--data", tmp_path, "--store", tmp_path / "x.db", "--dry-run")
    result = landscape("run", "--task", name, *options)
    assert result.exit_code != 0
    needed = TASKS[name].data_set
    assert f"`landscape data {needed} --folder {tmp_path}`" in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_data_set_of_every_task_is_known():
    needed = {entry.data_set for entry in TASKS.values() if entry.data_set}
    assert needed == set(DATA_SETS)
    tasks = landscape("tasks").output
    for name in needed:
        assert f"(`landscape data {name}`)" in tasks


@pytest.mark.long
def test_workers_look_where_the_command_line_said(tmp_path: Path):
    (tmp_path / "marker").write_text("")
    task = "tests.study.user_tasks:needs_data"
    arguments = [task if argument == SPIRALS else argument for argument in SMALL_RUN]
    store = ("--store", tmp_path / "x.db", "--no-plot", "--workers", 2)
    assert "no marker" in landscape(*arguments, *store).output
    result = landscape(*arguments, *store, "--data", tmp_path)
    assert result.exit_code == 0
    assert os.environ[DATA_FOLDER] == str(tmp_path)
    assert re.search(r"sgd +4 +4 +0", result.output)
