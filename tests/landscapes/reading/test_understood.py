"""How files were understood, where Python reads them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

import landscape_study as ls
from landscape_study.landscapes.reading import understood

SAID = "sweep: α = lr, λ = wd, metric = val_loss (less is better)"
ROWS = "".join(f"{a},{b},{a + b}\n" for a in (0.1, 0.2) for b in (0.1, 0.3))


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch) -> str:
    monkeypatch.setattr(understood, "_told", set())
    path = tmp_path / "sweep.csv"
    path.write_text(f"lr,wd,val_loss\n{ROWS}")
    return str(path)


def test_it_is_logged_once(sweep: str, caplog):
    for call in (ls.load, ls.cells, ls.load):
        call(None, sweep)
    assert [(one.name, one.levelname) for one in caplog.records] == [("landscape_study", "INFO")]
    assert caplog.messages == [SAID]


def test_it_is_shown_where_nobody_has_set_up_logging(sweep: str, monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    ls.import_files(sweep.replace(".csv", ".db"), sweep)
    assert capsys.readouterr() == ("", f"{SAID}\n")


@pytest.mark.parametrize("propagate", [True, False])
def test_it_is_shown_once_by_a_handler_of_the_users_own(
    sweep: str, monkeypatch, capsys, propagate: bool
):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(understood.LOGGER, "propagate", propagate)
    own = logging.StreamHandler(sys.stderr)
    own.setFormatter(logging.Formatter("mine: %(message)s"))
    monkeypatch.setattr(understood.LOGGER, "handlers", [*understood.LOGGER.handlers, own])
    ls.load(None, sweep)
    assert capsys.readouterr() == ("", f"mine: {SAID}\n")


def test_handlers_of_the_root_do_not_count_where_nothing_comes_to_them(
    sweep: str, monkeypatch, capsys
):
    monkeypatch.setattr(understood.LOGGER, "propagate", False)
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(sys.stdout)])
    ls.load(None, sweep)
    assert capsys.readouterr() == ("", f"{SAID}\n")


@pytest.mark.parametrize(
    ("before", "after"), [(logging.NOTSET, logging.INFO), (logging.ERROR, logging.ERROR)]
)
def test_a_level_that_was_set_before_the_import_stays(before: int, after: int):
    logger = logging.Logger("other", before)
    understood.set_up(logger)
    assert logger.level == after


def test_it_is_silenced_as_any_logger_is(sweep: str, caplog):
    caplog.set_level(logging.ERROR, logger="landscape_study")
    ls.load(None, sweep)
    assert not caplog.records
