"""Databases that others wrote, or that a disk changed: the truth, a message, or nothing."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from landscape_study.cli import main
from landscape_study.study.errors import StoreError
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from landscape_study.study.store.merging import merge
from landscape_study.study.store.prior_state import how_begun
from tests.conftest import make_study
from tests.crashes.damage import false_results, truth
from tests.study.store.test_store import WITNESS, create, train_all

pytestmark = pytest.mark.slow

ESCAPE = "\x1b]0;PWNED\x07"
READING = (
    "list",
    "status",
    "show small",
    "check",
    "report small -o r.html",
    "export small -o e.csv",
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with a finished study, one half done, and a witness."""
    monkeypatch.chdir(tmp_path)
    found = tmp_path / "foreign.db"
    with closing(Store(str(found), create=True)) as store:
        train_all(store, make_study())
        train_all(store, make_study(name="half", pairs=("sgd",)))
        create(store, make_study(name="half"))
        store.record_witness("small", WITNESS)
    return found


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def landscape(command: str, path: Path) -> tuple[int, str]:
    """Exit code and output; a traceback fails the test."""
    found = CliRunner().invoke(main, [*command.split(), "--store", str(path)])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, found.output


TEXTS = {
    "host": f"UPDATE landscape_chunk SET host = '{ESCAPE}', owner = 'x', state = 'open', "
    "expires = 9e9, beaten = 1, pid = 1, device = 'cpu'",
    "device": f"UPDATE landscape_chunk SET device = '{ESCAPE}', owner = 'x', state = 'open', "
    "expires = 9e9, beaten = 1, pid = 1, host = 'there'",
    "reason": f"UPDATE landscape_chunk SET reason = '{ESCAPE}', state = 'failed'",
    "panel": f"UPDATE landscape_chunk SET panel = '{ESCAPE}'",
    "name": f"UPDATE landscape_study SET name = '{ESCAPE}' WHERE name = 'half'",
    "task": "UPDATE landscape_study SET spec = replace(spec, 'examples.spirals', "
    "'\\u001b]0;PWNED\\u0007')",
    "key": "UPDATE landscape_study SET spec = "
    "'\"\\u001b]0;PWNED\\u0007\" = 1' || char(10) || spec",
    "provenance": "UPDATE landscape_run SET provenance = replace(provenance, "
    '\'"host": "\', \'"host": "\\u001b]0;PWNED\\u0007\')',
    "why": f"UPDATE landscape_witness SET why = '{ESCAPE}', agrees = 0, seal = NULL",
    "metric": f"UPDATE landscape_curve SET metric = '{ESCAPE}' || metric",
    "Optuna's name": f"UPDATE studies SET study_name = '{ESCAPE}' || study_name",
    "Optuna's state": f"UPDATE trials SET state = '{ESCAPE}'",
    "a trigger": f'CREATE TRIGGER "{ESCAPE}" AFTER INSERT ON trials BEGIN SELECT 1; END',
}


@pytest.mark.long
@pytest.mark.parametrize("statement", TEXTS.values(), ids=TEXTS)
def test_text_steers_no_terminal(path: Path, statement: str):
    execute(path, statement)
    for command in READING:
        _, output = landscape(command, path)
        assert "\x1b]" not in output, command
        assert "\x07" not in output, command
    for written in ("r.html", "e.csv"):
        if Path(written).exists():
            assert "\x1b" not in Path(written).read_text("utf-8")


SPECS = {
    "nested": "x=" + "[" * 5000,
    "digits": "seeds=" + "9" * 5000,
    "many seeds": "seeds=3000000000",
    "more digits": "seeds=" + "9" * 4000,
    "long": "epochs=1000000000",
    "many cells": "seeds=10000\nx=1",
    "other bytes": "\x00",
}


@pytest.mark.some(2)
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_what_is_no_study_does_not_hide_the_others(path: Path, spec: str):
    with closing(sqlite3.connect(path)) as connection, connection:
        text = f'name = "half"\n{spec}'
        change = "UPDATE landscape_study SET spec = ? WHERE name = 'half'"
        connection.execute(change, (text,))
    began = time.monotonic()
    for command, code in (("list", 1), ("status", 1), ("status half", 2), ("check", 1)):
        found, output = landscape(command, path)
        assert found == code, (command, output)
        assert "study 'half'" in output
        assert ("small" in output or "2 studies" in output) == (code != 2)
    assert time.monotonic() - began < 5
    assert "what is stored of it is no study" in landscape("check", path)[1]


PROVENANCES = ["{", "[]", "7", '{"engine": 3}', '{"devices": "cpu", "engine": "vmap"}', "{}"]


@pytest.mark.parametrize("text", PROVENANCES)
def test_a_broken_provenance_hides_nothing(path: Path, text: str):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE landscape_run SET provenance = ?", (text,))
    code, output = landscape("show small", path)
    assert code == 0
    assert "a run of which nothing can be read" in output
    assert how_begun(str(path), "half") is None


REPLACED = {
    "an endless view": (
        "ALTER TABLE landscape_study RENAME TO kept",
        "CREATE VIEW landscape_study AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
        "FROM n) SELECT i AS study_id, 'a' AS name, 'b' AS spec, 'c' AS fingerprint FROM n",
    ),
    "a trigger": (
        "CREATE TRIGGER mine AFTER UPDATE ON landscape_chunk "
        "BEGIN DELETE FROM landscape_cell; END",
    ),
    "a virtual table": (
        "DROP TABLE landscape_curve",
        "CREATE VIRTUAL TABLE landscape_curve USING fts5(trial_id, metric, n, data)",
    ),
}


@pytest.mark.parametrize("statements", REPLACED.values(), ids=REPLACED)
def test_what_stands_in_the_place_of_a_table_is_refused_at_once(
    path: Path, statements: tuple[str, ...]
):
    execute(path, *statements)
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"is not this tool's: nothing was read; name another"):
        Store(str(path))
    assert time.monotonic() - began < 1


SPOILT = {
    "an error": "UPDATE trial_values SET value = 1.25",
    "an error, no number": "UPDATE trial_values SET value = 'best'",
    "a loss": "UPDATE landscape_cell SET train_loss = 1.25",
    "a divergence": "UPDATE landscape_cell SET diverged_epoch = 2",
    "an α": "UPDATE landscape_cell SET alpha = alpha * 3",
    "a seed": "UPDATE landscape_chunk SET seed = 7",
    "a panel": "UPDATE landscape_chunk SET panel = 'adam'",
}


@pytest.mark.some(6)
@pytest.mark.parametrize("statement", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("read", ["cells", "means", "progress", "seed_noise"])
def test_changed_results_are_not_shown(path: Path, statement: str, read: str):
    execute(path, statement)
    with closing(Store(str(path))) as store, pytest.raises(StoreError) as caught:
        getattr(store, read)("small")
    told = str(caught.value)
    assert "were changed since they were recorded" in told or "a number belongs" in told


def test_an_inner_point_of_a_curve_is_not_shown_once_changed(path: Path):
    with closing(Store(str(path))) as store:
        data = store.curves("small")[0]["values"]
        inner = data.copy()
        inner[1] += 1e-3
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE landscape_curve SET data = ? WHERE rowid = (SELECT min(rowid) FROM "
            "landscape_curve)",
            (inner.astype("<f4").tobytes(),),
        )
    with (
        closing(Store(str(path))) as store,
        pytest.raises(StoreError, match="were changed since they were recorded"),
    ):
        store.curves("small")


def test_a_changed_witness_is_not_shown_and_stays_behind(path: Path):
    execute(path, "UPDATE landscape_witness SET found = found + 1")
    with (
        closing(Store(str(path))) as store,
        closing(Store(f"{path}.new", create=True)) as new,
    ):
        assert store.witnesses("small") == []
        (fault,) = [finding.what for finding in check(store, ["small"]) if finding.is_fault]
        assert "witnesses that were changed since they were recorded: 1" in fault
        assert [merged.taken for merged in merge(new, store, ())] == [12, 6]
        assert [finding for finding in check(new, new.names()) if finding.is_fault] == []


def test_one_changed_cell_does_not_hide_the_other_studies(path: Path):
    execute(
        path,
        "UPDATE trial_values SET value = value + 1 WHERE trial_id = "
        "(SELECT min(trial_id) FROM landscape_cell)",
    )
    for command in ("list", "status"):
        code, output = landscape(command, path)
        assert code == 1
        assert "study 'small': the results of panel 'sgd'" in output
        assert "half" in output


# ---- any byte -----------------------------------------------------------------------------------


@pytest.mark.long
def test_whatever_byte_is_changed_nothing_false_is_read(path: Path):
    """`python -m tests.crashes --bytes` does so ten thousand times."""
    expected, content = truth(path), path.read_bytes()
    dice, readable = random.Random(0), 0
    for _ in range(60):
        damaged = bytearray(content)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        wrong = false_results(path, expected)
        assert not wrong
        readable += wrong is not None
    assert readable  # most bytes are of no account
