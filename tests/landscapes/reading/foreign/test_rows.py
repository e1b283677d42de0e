"""Which rows count: conditions, states, and values that stand for failure."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.row_filter import condition
from landscape_study.landscapes.reading.foreign.run_states import sentinels
from landscape_study.landscapes.reading.foreign.sweep import read_sweep
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Column, Places, Table
from landscape_study.study.errors import UsageError


def table(**columns) -> Table:
    size = len(next(iter(columns.values())))
    at = np.arange(size)
    places = Places(("t.csv, line",), np.zeros(size, dtype=np.int64), at)
    return Table("t", "t.csv", {key: Column.of(v) for key, v in columns.items()}, places)


T = table(
    lr=["0.1", "0.2", "", "nan"],
    state=["COMPLETE", "FAIL", "COMPLETE", "it's"],
    done=["True", "false", True, None],
    **{"val/loss": [1, 2, 3, 4], "config.wd": [0, 1e-4, 1e-3, -1]},
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("lr == 0.1", [0]),
        ("lr == '0.1'", [0]),
        ("lr != 0.1", [1, 2, 3]),
        ("lr > 0.05", [0, 1]),
        ("0.15 < lr", [1]),
        ("0.05 < lr <= 0.1", [0]),
        ("lr is None", [2]),
        ("lr != None and lr < 1", [0, 1]),
        ("state == 'COMPLETE' and `val/loss` >= 2", [2]),
        ('state in ("FAIL", "it\'s")', [1, 3]),
        ("state not in ['FAIL']", [0, 2, 3]),
        ("not (state == 'FAIL' or lr == 0.1)", [2, 3]),
        ("config.wd == 1e-4 or config.wd < 0", [1, 3]),
        ("config.wd == -1", [3]),
        ("done", [0, 2]),
        ("done == True", [0, 2]),
        ("done == False", [1]),
        ("state > 'D'", [1, 3]),
        ("`val/loss` in (1, 4)", [0, 3]),
        ("state == '`FAIL`'", []),
        ("wd >= 0", [0, 1, 2]),
    ],
)
def test_conditions(text: str, rows: list[int]):
    assert np.flatnonzero(condition(text).rows(T)).tolist() == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr = 0.1", "'==' compares; write it as in --where"),
        ("lr ==", "cannot be read: write it as in"),
        ("", "cannot be read"),
        ("stat == 'FAIL'", "no column 'stat': did you mean 'state'"),
        ("x == 1", "t: no column 'x': it has 'lr', 'state', 'done', 'val/loss', 'config.wd'"),
        ("val/loss < 3", "'val / loss' is no comparison of a column with"),
        ("__import__('os').system('id')", "'__import__('os').system('id')' is no comparison"),
        ("lr == open('x')", "'open('x')' is no comparison"),
        ("lr == (lambda: 1)()", "is no comparison"),
        ("[x for x in lr]", "is no comparison"),
        ("lr < state", "'state' is no comparison"),
        ("1 == 1", "'1' is no comparison"),
        ("lr in state", "'state' is no comparison"),
        ("lr == f'{state}'", "is no comparison"),
        ("`val/loss` + 1 == 2", "'`val/loss` + 1' is no comparison"),
        ("not " * 200 + "lr == 1", "the condition is too long"),
        ("(" * 5000, "cannot be read"),
        ("lr == 1 or " * 2000 + "lr == 1", "cannot be read|too long"),
    ],
)
def test_what_is_no_condition(text: str, message: str):
    with pytest.raises(UsageError) as refused:
        condition(text).rows(T)
    assert any(part in str(refused.value) for part in message.split("|"))


@given(st.text(max_size=30))
def test_no_text_does_more_than_compare(text: str):
    """Any text selects rows or is refused with a message."""
    with suppress(UsageError):
        assert condition(text).rows(T).shape == (4,)


def test_no_row_left(tmp_path: Path, frame):
    frame.to_csv(tmp_path / "s.csv")
    with pytest.raises(UsageError, match=r'no row of 18 fulfils --where "lr > 5": change the'):
        read_sweep([tmp_path / "s.csv"], Asked(where="lr > 5"))


def test_lines_are_those_of_the_file_after_a_condition(tmp_path: Path):
    text = "lr,wd,loss,state\n0.1,1,bad,FAIL\n0.1,1,1,OK\n0.2,1,bad,OK\n0.2,2,1,OK\n0.3,1,1,OK\n"
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(UsageError, match=r"line 4: 'bad' in column loss"):
        read_sweep([tmp_path / "s.csv"], Asked(where="state == 'OK'", metric="loss"))


GOOD = [0.2, 0.31, 0.5, 0.44, 0.9]


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        (GOOD, []),
        ([*GOOD, 2147483647.0, 2147483647.0], [2147483647.0]),
        ([*GOOD, 2147483647.0], [2147483647.0]),  # known, and beyond any doubt
        ([*GOOD, 99999, 99999, 1e308], [99999, 1e308]),
        ([*GOOD, 1e308], [1e308]),
        ([*GOOD, -1, -1], [-1]),
        ([*GOOD, -1], []),  # once: it could be a value
        ([*GOOD, -0.4, -1, -1], []),  # others are negative too
        ([*GOOD, 123.0, 123.0], [123.0]),  # unknown, but far and twice
        ([*GOOD, 1.2, 1.2], []),  # near
        ([*GOOD, 7.8], []),  # diverged with a finite loss
        ([*GOOD, 1e6, 2e6, 3e6], []),  # a long tail
        ([0.1] * 9 + [0.9], []),  # chance level
        ([3.0] * 9, []),
        ([*GOOD, math.nan, math.inf], []),
        ([100000.0 * x for x in GOOD], []),
        ([], []),
    ],
)
@pytest.mark.parametrize("size", [1, 0.01])
def test_values_that_stand_for_failure(values, failed, size):
    scaled = [value if value in failed else size * value for value in values]
    mark, found = sentinels(np.array(scaled, dtype=float))
    assert sorted(one.value for one in found) == sorted(failed)
    assert mark.sum() == sum(scaled.count(value) for value in failed)


STATES = [  # word, state in the frame
    *(("finished", "finished"), ("COMPLETE", "finished"), ("TrialState.COMPLETE", "finished")),
    *(("StatusType.SUCCESS", "finished"), ("TERMINATED", "finished"), ("", "finished")),
    *(("crashed", "failed"), ("KILLED", "failed"), ("StatusType.TIMEOUT", "failed")),
    *(("RUNNING", "open"), ("PENDING", "open"), ("who knows", "open")),
]


@pytest.mark.parametrize(("word", "state"), STATES)
def test_states(tmp_path: Path, frame: pd.DataFrame, word: str, state: str):
    frame["status"] = [word, *["finished"] * 17]
    frame.to_csv(tmp_path / "s.csv")
    sweep = read_sweep([tmp_path / "s.csv"])
    assert sweep.panels[0].cells["state"][0] == state
    assert ("status 'who knows': taken as not finished" in " ".join(sweep.said)) == (
        word == "who knows"
    )


def test_a_column_of_states_without_one_is_not_one(tmp_path: Path, frame):
    frame["state"] = ["Texas", "Ohio"] * 9
    frame.to_csv(tmp_path / "s.csv")
    assert read_sweep([tmp_path / "s.csv"]).panels[0].landscape.n.sum() == 18


@pytest.mark.parametrize("how", ["word", "column"])
def test_what_is_said_to_have_diverged_did(tmp_path: Path, frame, how: str):
    lost = frame["lr"] > 0.05
    if how == "word":
        frame["state"] = np.where(lost, "diverged", "finished")
        frame.loc[lost, "val_loss"] = None
    else:
        frame["diverged"] = lost
    frame.to_csv(tmp_path / "s.csv")
    (panel,) = read_sweep([tmp_path / "s.csv"]).panels
    assert panel.landscape.diverged.tolist() == [[0] * 3, [0] * 3, [2] * 3]


def test_failed_runs_need_no_settings(tmp_path: Path, frame):
    rows = frame.assign(state="finished").astype({"lr": object})
    rows.loc[0, ["state", "lr", "val_loss"]] = ["crashed", None, None]
    rows.to_csv(tmp_path / "s.csv")
    sweep = read_sweep([tmp_path / "s.csv"])
    assert sweep.panels[0].landscape.n.sum() == 17
    assert "1 rows without result and without α or λ: left out" in sweep.said[-1]


class TestScattered:
    def test_every_value_is_one_of_the_axes(self, tmp_path: Path):
        rng = np.random.default_rng(0)
        lr, wd = 10 ** rng.uniform(-4, 0, 60), 10 ** rng.uniform(-6, -1, 60)
        rows = pd.DataFrame({"lr": lr, "wd": wd, "loss": rng.random(60)})
        rows.to_csv(tmp_path / "s.csv")
        (panel,) = read_sweep([tmp_path / "s.csv"]).panels
        assert panel.landscape.error.shape == (60, 60)
        assert (panel.landscape.n == 1).sum() == 60
        assert panel.landscape.alpha.values == tuple(sorted(lr))

    def test_too_many_values_are_moved_to_equal_steps(self, tmp_path: Path):
        rng = np.random.default_rng(0)
        lr, wd = 10 ** rng.uniform(-4, 0, 2000), [0, 1e-4, 1e-3, 1e-2] * 500
        rows = pd.DataFrame({"lr": lr, "wd": wd, "loss": rng.random(2000)})
        rows.to_csv(tmp_path / "s.csv")
        sweep = read_sweep([tmp_path / "s.csv"])
        field, cells = sweep.panels[0].landscape, sweep.panels[0].cells
        assert "2000 different α: moved to the nearest of 64 equal steps" in sweep.said[-1]
        assert len(field.alpha.values) <= 64
        assert field.lambda_.values == (0, 1e-4, 1e-3, 1e-2)
        assert field.n.sum() == 2000
        assert not cells.duplicated(["alpha", "lambda", "seed"]).any()
        step = np.log(lr.max() / lr.min()) / 63
        steps = np.diff(np.log(field.alpha.values)) / step
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
        assert np.abs(np.log(cells["alpha"].to_numpy() / lr)).max() < 0.5 * step + 1e-5

    def test_a_panel_with_one_value_is_left_out(self, tmp_path: Path, frame):
        other = frame.head(4).assign(optimizer="sgd")
        pd.concat([frame.assign(optimizer="adam"), other]).to_csv(tmp_path / "s.csv")
        sweep = read_sweep([tmp_path / "s.csv"])
        assert [one.name for one in sweep.panels] == ["adam"]
        assert "panel 'sgd' has one α only: left out" in sweep.said[-1]


def test_columns_that_say_the_same_are_one(tmp_path: Path, frame):
    frame.assign(learning_rate=frame["lr"], **{"config.wd": frame["wd"]}).to_csv(
        tmp_path / "s.csv"
    )
    assert "α = lr, λ = config.wd" in read_sweep([tmp_path / "s.csv"]).said[0]


def test_names_may_be_given_without_what_tools_put_before(tmp_path: Path, frame):
    frame.rename(columns=lambda name: f"config.{name}").to_csv(tmp_path / "s.csv")
    asked = Asked(alpha="lr", lambda_="wd", metric="val_loss", seed="seed")
    assert "metric = config.val_loss" in read_sweep([tmp_path / "s.csv"], asked).said[0]


def test_a_row_that_is_listed_twice_counts_once(tmp_path: Path, frame):
    single = frame[frame["seed"] == 0].drop(columns="seed").assign(train_loss=1.5)
    again = pd.concat([single, single.iloc[:2]])
    again.to_csv(tmp_path / "s.csv", index=False)
    sweep = read_sweep([tmp_path / "s.csv"])
    assert sweep.panels[0].landscape.n.tolist() == [[1] * 3] * 3
    assert sweep.said[-1].endswith(
        "s.csv, line 11 and 1 more: the same as an earlier row in all numbers, left out"
    )
    again.iloc[-1, again.columns.get_loc("train_loss")] = 1.25  # so that it is another run
    again.to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(UsageError, match=r"line 3 and line 12: .* stands there twice"):
        read_sweep([tmp_path / "s.csv"])
