"""Files as people's tools write them: what must come of each."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.sweep import Sweep, read_sweep
from landscape_study.landscapes.statistics.separability import panel_separability
from landscape_study.study.errors import UsageError
from tests.landscapes.reading.foreign.conftest import CASES


def read(*names: str, **asked) -> Sweep:
    return read_sweep([CASES / name for name in names], Asked(**asked))


def scaled(name: str, size: float, tmp_path) -> Sweep:
    whole = json.loads((CASES / name).read_text())
    for run in whole["results"]:
        run["final_test_loss"] *= size
    (tmp_path / name).write_text(json.dumps(whole))
    return read_sweep([tmp_path / name])


def test_two_loss_grids_are_two_panels():
    sweep = read("loss_grid_adam_l2.json", "loss_grid_adamw.json")
    assert [one.name for one in sweep.panels] == ["Adam", "AdamW"]
    assert [one.landscape.error.shape for one in sweep.panels] == [(12, 12)] * 2
    assert all(one.landscape.lambda_.values[0] == 0 for one in sweep.panels)
    assert all((one.landscape.n == 1).all() for one in sweep.panels)


@pytest.mark.parametrize("size", [0.01, 1, 1000])
def test_a_coupled_loss_in_any_unit(tmp_path, size):
    (panel,) = scaled("loss_grid_adam_l2.json", size, tmp_path).panels
    found = panel_separability(panel)
    assert found.verdict == "coupled"
    assert found.law.allowed == ("α·λ",)


def test_best_cells_at_the_border(tmp_path):
    for size in (0.01, 1000):
        (panel,) = scaled("loss_grid_border.json", size, tmp_path).panels
        assert panel_separability(panel).verdict == "cannot tell"


def test_a_score_with_seeds():
    (panel,) = read("maximize_15_seeds.csv").panels
    assert (panel.metric.title, panel.metric.goal) == ("macro_f1", "maximize")
    assert panel.landscape.n.tolist() == [[15] * 3] * 3


def test_three_optimizers_by_tpe():
    sweep = read("tpe_three_optimizers.csv")
    assert [one.name for one in sweep.panels] == ["sgd", "rmsprop", "adamw"]
    assert sum(int(one.landscape.n.sum()) for one in sweep.panels) == 100
    assert sweep.said[0].endswith("not looked at, though they vary: batch_size, layers")


def test_optunas_trials():
    with pytest.raises(UsageError, match="is less or more of 'value' better"):
        read("optuna_trials_dataframe.csv")
    sweep = read("optuna_trials_dataframe.csv", goal="minimize")
    (panel,) = sweep.panels
    with (CASES / "optuna_trials_dataframe.csv").open() as file:
        states = [row["state"] for row in csv.DictReader(file)]
    cells = panel.cells
    assert cells["clipped"].sum() == states.count("PRUNED") > 0
    assert (cells["state"] == "failed").sum() == states.count("FAIL") > 0
    assert (cells["state"] == "open").sum() == states.count("RUNNING") > 0
    assert panel.landscape.n.sum() == states.count("COMPLETE")
    assert "params_momentum" in sweep.said[0]
    assert "datetime" not in sweep.said[0]


def test_wandbs_export():
    (panel,) = read("wandb_ui_export.csv").panels
    assert (panel.name, panel.metric.name) == ("adamw", "val/loss")
    assert panel.landscape.error.shape == (5, 5)
    assert (panel.landscape.n == 1).sum() == 2  # of two seeds one crashed
    assert panel.landscape.diverged[-1, -1] == 2
    assert panel.landscape.diverged.sum() == 2


def test_ray_tunes_folder():
    sweep = read("ray_experiment")
    (panel,) = sweep.panels
    assert panel.landscape.alpha.values == (0.01, 0.03, 0.1, 0.3)
    assert panel.landscape.lambda_.values == (1e-5, 1e-4, 1e-3)  # not the rounded ones of names
    assert (panel.metric.name, panel.metric.goal) == ("mean_accuracy", "maximize")
    assert (
        sweep.curves.groupby(["alpha", "lambda"])["epoch"].apply(list).tolist()
        == [[1, 2, 3, 4]] * 12
    )
    last = sweep.curves[sweep.curves["epoch"] == 4].set_index(["alpha", "lambda"])
    assert panel.landscape.error[2, 1] == last.loc[(0.1, 1e-4), "mean_accuracy"]


class TestBudgets:
    def test_which_is_lambda_is_asked(self):
        with pytest.raises(UsageError, match=r"'config.weight_decay', 'config.l2_decay' could"):
            read("budgets_nan.jsonl")

    def test_the_last_counts_and_what_was_stopped_is_at_least_so_bad(self):
        sweep = read("budgets_nan.jsonl", lambda_="config.weight_decay")
        (panel,) = sweep.panels
        ends = sweep.curves.groupby(["alpha", "lambda"])["epoch"].max()
        lost = panel.cells["diverged"]
        assert lost.sum() == (panel.cells["alpha"] > 0.6).sum() > 0
        assert panel.cells.loc[lost, "loss"].isna().all()
        clipped = panel.cells[panel.cells["clipped"]].set_index(["alpha", "lambda"])
        assert (ends.loc[clipped.index] < 27).all()
        assert panel.landscape.n.sum() == len(ends) - len(clipped)
        assert "stopped, at least this bad" in " ".join(sweep.said)

    def test_each_is_a_panel(self):
        sweep = read("budgets_nan.jsonl", lambda_="config.weight_decay", keep="each")
        names = [one.name for one in sweep.panels]
        assert sorted(names) == ["budget=1", "budget=27", "budget=3", "budget=9"]
        sizes = {one.name: int(one.landscape.n.sum()) for one in sweep.panels}
        assert sizes["budget=1"] > sizes["budget=3"] > sizes["budget=9"] > sizes["budget=27"]
        assert sum(sizes.values()) == 150

    def test_the_best_counts(self):
        sweep = read("budgets_nan.jsonl", lambda_="config.weight_decay", keep="best")
        best = sweep.curves.groupby(["alpha", "lambda"])["loss"].min().dropna()
        (panel,) = sweep.panels
        found = panel.cells.set_index(["alpha", "lambda"])["loss"].dropna()
        assert found.sort_index().tolist() == best.sort_index().tolist()


def test_settings_in_names_with_one_product():
    sweep = read("runs_in_names")
    assert [one.name for one in sweep.panels] == ["width=1024", "width=512"]
    for panel in sweep.panels:
        rows, columns = np.nonzero(panel.landscape.n)
        assert rows.tolist() == columns[::-1].tolist() == [0, 1, 2, 3, 4]  # one diagonal
        assert panel.landscape.n.max() == 2
    assert len(sweep.curves) == 20 * 11
    assert panel_separability(sweep.panels[0]).verdict == "cannot tell"


def test_a_word_beside_the_learning_rate_and_a_sentinel(tmp_path):
    sweep = read("sentinel_and_word.csv")
    assert "α = learning_rate_init, λ = alpha" in sweep.said[0]
    (panel,) = sweep.panels
    assert panel.cells["cost"].max() < 1
    text = (CASES / "sentinel_and_word.csv").read_text().replace(",crash", ",ok")
    (tmp_path / "s.csv").write_text(text)
    unsaid = read_sweep([tmp_path / "s.csv"])
    failed = text.count("2147483647")
    assert f"value 2147483647 in {failed} rows: taken as failed" in unsaid.said[-1]
    assert np.array_equal(unsaid.panels[0].landscape.n, panel.landscape.n)


def test_a_spreadsheets_table():
    (panel,) = read("spreadsheet.csv").panels
    assert panel.landscape.alpha.values == (0.001, 0.002, 0.004, 0.008)
    assert (panel.landscape.n == 1).sum() == 12
    assert (panel.metric.unit, panel.metric.matters) == ("%", 0.25)


def test_a_ragged_table_is_refused_with_its_line():
    with pytest.raises(UsageError, match=r"ragged.csv, line 14: 6 fields where the header has 3"):
        read("ragged.csv")


def test_float_dust_is_told_and_not_averaged():
    with pytest.raises(UsageError, match=r"line 3 and line 4: α = 0.1, λ = 0.001 stands there tw"):
        read("float_dust.csv")


def test_a_cross():
    (panel,) = read("cross_design.csv").panels
    assert panel.landscape.error.shape == (6, 5)
    assert panel.landscape.n.sum() == 10
    assert panel_separability(panel).verdict == "cannot tell"


def test_text_is_text():
    (panel,) = read("hostile_text.csv").panels
    assert panel.landscape.n.tolist() == [[1, 1]] * 3
    with pytest.raises(UsageError) as refused:
        read("hostile_text.csv", panel="run")
    assert "panel '=HYPERLINK(\"x\")' has one α only" in str(refused.value)
    assert str(refused.value).isprintable()
