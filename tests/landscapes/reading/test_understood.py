"""How files were understood, where Python reads them."""

from __future__ import annotations

import logging
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


def test_it_is_silenced_as_any_logger_is(sweep: str, caplog):
    caplog.set_level(logging.ERROR, logger="landscape_study")
    ls.load(None, sweep)
    assert not caplog.records
