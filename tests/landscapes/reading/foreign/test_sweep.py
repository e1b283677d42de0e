"""Sweeps as people's tools write them: what is understood, and what is refused with a remedy."""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import landscape_study as ls
from landscape_study.cli import main
from landscape_study.landscapes.reading.foreign.asked import Asked, UnclearError
from landscape_study.landscapes.reading.foreign.metric_column import guessed_goal
from landscape_study.landscapes.reading.foreign.sweep import Sweep, read_sweep
from landscape_study.landscapes.reading.foreign.tables.foreign_table import number
from landscape_study.landscapes.statistics.separability import panel_separability
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.results_files import is_table_file

OCTAVES = [0.1 * 2.0**-k for k in range(9)]
LAMBDAS = [0.01 * 2.0**-k for k in range(9)]


def bowl(alpha: float, lambda_: float, slope: float, noise: float = 0.0) -> float:
    """A loss between 0.01 and 0.06, best at 1/16 of both; `slope` octaves of λ per octave of α."""
    x, y = math.log2(alpha / 0.1) + 4, math.log2(lambda_ / 0.01) + 4
    z = 0.5 * (x / 3) ** 2 + 0.5 * ((y - slope * x) / 1.5) ** 2
    return 0.05 * (1.2 - math.exp(-z)) + noise * random.gauss(0, 1)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a table as a file of a name."""

    def written(
        name: str, header: Sequence[str], rows: Iterable[Sequence[Any]], **format_: Any
    ) -> Path:
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, **format_)
            writer.writerow(header)
            writer.writerows(rows)
        return path

    return written


def rows_of(slope: float, noise: float = 0.001, size: float = 1.0) -> list[list[float]]:
    random.seed(0)
    return [[a, b, size * bowl(a, b, slope, noise)] for a in OCTAVES for b in LAMBDAS]


def only(sweep: Sweep) -> Any:
    (panel,) = sweep.panels
    return panel


class TestVerdicts:
    @pytest.mark.parametrize("size", [0.01, 1, 1000])
    @pytest.mark.parametrize(("slope", "verdict"), [(-1.0, "coupled"), (0.0, "separable")])
    def test_of_a_loss_whatever_its_unit(self, write, slope, verdict, size):
        path = write("s.csv", ["lr", "weight_decay", "val_loss"], rows_of(slope, size=size))
        found = panel_separability(only(read_sweep([path])))
        assert found.verdict == verdict
        assert found.units.metric.title == "val_loss"
        assert found.law.allowed == (("α·λ",) if slope else ("λ",))

    def test_best_cells_on_the_border_are_never_separable(self, write):
        rows = [row for row in rows_of(-1.0) if row[0] < 0.1 / 16]
        found = panel_separability(only(read_sweep([write("s.csv", ["lr", "wd", "loss"], rows)])))
        assert found.verdict == "cannot tell"

    def test_of_a_score_to_maximize_with_seeds(self, write):
        random.seed(1)
        rows = [
            [a, b, seed, "macro_f1", 1 - 10 * bowl(a, b, 0.0, 0.001)]
            for a in OCTAVES
            for b in LAMBDAS
            for seed in range(3)
        ]
        header = ["lr", "weight_decay", "seed", "metric_key_used", "metric_value"]
        sweep = read_sweep([write("s.csv", header, rows)])
        panel = only(sweep)
        assert (panel.metric.title, panel.metric.goal) == ("macro_f1", "maximize")
        assert int(panel.landscape.n.min()) == 3
        assert panel_separability(panel).verdict == "separable"
        metric = "metric = macro_f1, in column metric_value (more is better)"
        assert f"{metric}, seed = seed" in sweep.said[0]

    @pytest.mark.parametrize(("slope", "verdict"), [(-1.0, "coupled"), (0.0, "separable")])
    def test_of_trials_that_lie_scattered(self, write, slope, verdict):
        random.seed(2)
        octaves = [(random.uniform(-9, 1), random.uniform(-9, 1)) for _ in range(80)]
        places = [(0.1 * 2**x, 0.01 * 2**y) for x, y in octaves]
        rows = [(a, b, bowl(a, b, slope, 0.001)) for a, b in places]
        panel = only(read_sweep([write("s.csv", ["lr", "wd", "loss"], rows)]))
        assert panel.landscape.is_scattered
        assert int(panel.landscape.n.sum()) == 80
        assert panel_separability(panel).verdict == verdict


class TestFiles:
    def test_nested_json_with_what_all_share(self, tmp_path: Path):
        paths = []
        for pair, slope in (("Adam", -1.0), ("AdamW", 0.0)):
            results = [
                {"learning_rate": a, "weight_decay": b, "train_loss": 0.0, "final_test_loss": loss}
                for a, b, loss in rows_of(slope)
            ]
            whole = {"config": {"optimizer": pair, "epochs": 30}, "results": results}
            paths.append(tmp_path / f"{pair}.json")
            paths[-1].write_text(json.dumps(whole))
        sweep = read_sweep(paths)
        assert [one.name for one in sweep.panels] == ["Adam", "AdamW"]
        assert [panel_separability(one).verdict for one in sweep.panels] == [
            "coupled",
            "separable",
        ]

    def test_json_lines_with_nan(self, tmp_path: Path):
        lines = [
            {
                "config": {"learning_rate": a, "weight_decay": b},
                "loss": math.nan if a > 0.09 else loss,
            }
            for a, b, loss in rows_of(0.0)
        ]
        path = tmp_path / "s.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)))
        field = only(read_sweep([path])).landscape
        assert field.diverged.sum() == len(LAMBDAS)
        assert field.diverged[-1].all()

    def test_every_field_quoted_open_and_crashed_runs(self, write):
        rows = []
        for i, (a, b, loss) in enumerate(rows_of(0.0)):
            state = "crashed" if i == 3 else "running" if i == 4 else "finished"
            rows.append(
                [f"run-{i}", state, f"{a:g}", f"{b:g}", "adamw", "" if 3 <= i <= 4 else loss, 9]
            )
        header = ["Name", "State", "config.lr", "config.optim.weight_decay", "config.optim.name"]
        path = write("s.csv", [*header, "val/loss", "val/loss.max"], rows, quoting=csv.QUOTE_ALL)
        panel = only(read_sweep([path]))
        assert (panel.name, panel.metric.name) == ("adamw", "val/loss")
        assert panel.cells["state"].value_counts().to_dict() == {
            "finished": 79,
            "failed": 1,
            "open": 1,
        }
        assert int((panel.landscape.n == 0).sum()) == 2

    def test_a_spreadsheets_commas_and_mark(self, tmp_path: Path):
        text = "Lernrate;Weight Decay;Val Error (%)\r\n" + "".join(
            f"{a:.3f};{b:.0E};{10 + a:.2f}\r\n".replace(".", ",")
            for a in (0.001, 0.002, 0.004)
            for b in (1e-4, 1e-3, 1e-2)
        )
        path = tmp_path / "s.csv"
        path.write_text(text, encoding="utf-8-sig")
        panel = only(read_sweep([path]))
        assert (panel.metric.title, panel.metric.unit, panel.metric.matters) == (
            "Val Error",
            "%",
            0.25,
        )
        assert panel.landscape.alpha.values == (0.001, 0.002, 0.004)
        assert panel.landscape.lambda_.values == (1e-4, 1e-3, 1e-2)

    def test_pruned_runs_are_at_least_so_bad(self, write):
        rows = [[a, b, loss, "PRUNED" if a > 0.09 else "COMPLETE"] for a, b, loss in rows_of(0.0)]
        header = ["params_lr", "params_weight_decay", "value", "state"]
        panel = only(read_sweep([write("s.csv", header, rows)], Asked(goal="minimize")))
        assert panel.cells["clipped"].sum() == len(LAMBDAS)
        assert np.isnan(panel.landscape.error[-1]).all()
        assert panel_separability(panel).verdict == "separable"

    def test_rounding_makes_no_new_value(self, write):
        rows = [[a, b, 1.0] for a in (0.1, 0.2, 0.1 + 0.2) for b in (0.01, 9.999999999999999e-4)]
        rows += [[0.3, 0.02, 1.0], [0.1, 0.02, 1.0], [0.2, 0.001 * 20, 1.0]]
        field = only(read_sweep([write("s.csv", ["lr", "wd", "error"], rows)])).landscape
        assert field.alpha.values == (0.1, 0.2, 0.3)
        assert len(field.lambda_.values) == 3

    def test_text_of_others_steers_nothing(self, write):
        rows = [[f"\x1b[31m{name}", a, b, loss] for name in "xy" for a, b, loss in rows_of(0.0)]
        sweep = read_sweep([write("s.csv", ["optimizer", "lr", "wd", "loss"], rows)])
        assert [one.name for one in sweep.panels] == ["\\x1b[31mx", "\\x1b[31my"]

    def test_scikit_learns_alpha_is_lambda(self, write):
        rows = [["adaptive", a, b, loss] for a, b, loss in rows_of(0.0)]
        header = ["learning_rate", "learning_rate_init", "alpha", "cost"]
        sweep = read_sweep([write("s.csv", header, rows)])
        assert "α = learning_rate_init, λ = alpha" in sweep.said[0]

    def test_settings_that_vary_besides_are_named(self, write):
        rows = [[*row, 16 * (1 + i % 2)] for i, row in enumerate(rows_of(0.0))]
        sweep = read_sweep([write("s.csv", ["lr", "wd", "loss", "batch_size"], rows)])
        assert sweep.said[0].endswith("not looked at, though they vary: batch_size")


REFUSED: list[tuple[str, str]] = [  # text of a CSV file, what is said
    ("lr,wd,acc\n0.1,0.01,0.5\n0.2,0.01,0.5,x,y\n", "line 3: 5 fields where the header has 3"),
    ("lr,wd,loss\n0.1,0.01,good\n0.2,0.02,1\n0.3,0.1,2\n", "line 2: 'good' in column loss is no"),
    (
        "lr,wd,loss\n0.1,0.01,1\n-0.2,0.02,1\n0.3,0.1,2\n",
        "line 3: -0.2 in column lr, expected a p",
    ),
    ("lr,wd,loss\n0.1,0.01,1\n0.2,-0.02,1\n0.3,0.1,2\n", "line 3: -0.02 in column wd, expected a"),
    (
        "lr,wd,loss\n0.1,0.01,1\n,0.02,1\n0.3,0.1,2\n",
        "line 3: nothing in column lr, expected a po",
    ),
    ("lr,wd,loss\n0.1,0.01,1\n0.2,0.01,1\n0.1,0.01,2\n0.2,0.2,2\n", "line 2 and line 4: α = 0.1"),
    ("epoch,wd,loss\n1,0.01,1\n2,0.02,1\n", "no column looks like α, the learning rate: name it"),
    (
        "lr,x,loss\n0.1,1,1\n0.2,2,1\n",
        "no column looks like λ, the weight decay: say --lambda x",
    ),
    ("lr,wd,x\n0.1,1,1\n0.2,2,1\n", "no column looks like a metric: name it with --metric COLUMN"),
    ("lr,wd,x\n0.1,1,1\n0.2,2,2\n", "no column looks like a metric: say --metric x"),
    ("lr,max_lr,wd,loss\n0.1,1,1,1\n0.2,2,2,1\n", "'lr', 'max_lr' could each be α, the learning"),
    (
        "lr,wd,l2_decay,loss\n0.1,1,1,1\n0.2,2,3,1\n",
        "'wd', 'l2_decay' could each be λ, the weight",
    ),
    (
        "lr,wd,val_loss,val_acc\n0.1,1,1,1\n0.2,2,2,1\n",
        "could each be the metric: say --metric val",
    ),
    (
        "lr,wd,value\n0.1,1,1\n0.2,2,2\n",
        "is less or more of 'value' better? Say --minimize or --ma",
    ),
    (
        "lr,wd,seed,val_loss\n0.1,1,0,0.83 nats\n0.2,2,1,0.9 nats\n",
        "column val_loss holds text, such as '0.83 nats', expected numbers: write the numbers",
    ),
    (
        "lr,wd,loss,val acc\n0.1,1,,71 of 99\n0.2,2,,65 of 99\n",
        "column val acc holds text, such as '71 of 99', expected numbers",
    ),
    (
        "lr,wd,val_loss,train_loss\n0.1,1,0.83 nats,1\n0.2,2,0.9 nats,2\n",
        "column val_loss holds text, such as '0.83 nats'",
    ),
    (
        "lr,wd,loss_fn,x\n0.1,1,mse,1\n0.2,2,huber,2\n",
        "no column looks like a metric: say --metric x",
    ),
    ("lr,wd,seed,x\n0.1,1,0,1\n0.2,2,1,2\n", "no column looks like a metric: say --metric x"),
    ("lr,seed,x,loss\n0.1,0,1,1\n0.2,1,2,2\n", "looks like λ, the weight decay: say --lambda x"),
    ("lr,lr,loss\n0.1,1,1\n", "2 columns are called 'lr': rename them"),
    ("lr,wd,loss\n", "holds no row"),
    ("lr,wd,loss\n0.1,1,\n0.2,2,\n", "no column looks like a metric"),
    ('lr,wd,loss\n0.1,"1,2\n', "mend that line"),
    ("lr,wd,loss\n0.1,1,1\n0.1,2,1\n", "α, the learning rate, is 0.1 in all rows ('lr'): a land"),
    ("lr,wd,loss\n0.1,1,1\n0.2,1,1\n", "λ, the weight decay, is 1 in all rows ('wd'): a landsc"),
]


class TestRefusals:
    @pytest.mark.parametrize(("text", "message"), REFUSED)
    def test_of_a_table(self, tmp_path: Path, text, message):
        path = tmp_path / "s.csv"
        path.write_text(text)
        with pytest.raises(UsageError) as refused:
            read_sweep([path])
        assert message in str(refused.value)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('[{"lr": 1}, 3]', "record 2: is no record"),
            ('{"lr": 1, "wd": 2, "val_loss": 3}', "s.json: holds one run only, expected a sweep"),
            ('{"config": {"lr": 1}, "summary": {"loss": 3}}', "name the folder with the files"),
            ('{"lr": 1, "loss": [3, 2]}', "holds one run only"),
            ("{}", "0 lists of records, expected one"),
            ('{"a": [{"lr": 1}], "b": [{"lr": 2}]}', "2 lists of records, expected one"),
            ('{"lr": 1}\nnonsense', "line 2: no JSON: mend that line"),
            ("[" * 100_000, "no JSON|nested too deeply"),
        ],
    )
    def test_of_json(self, tmp_path: Path, text, message):
        path = tmp_path / "s.json"
        path.write_text(text)
        with pytest.raises(UsageError, match=message):
            read_sweep([path])

    def test_of_what_cannot_be_read(self, tmp_path: Path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_sweep([tmp_path / "none.csv"])
        with pytest.raises(UsageError, match=r"README\.md: is of no kind that is read: save"):
            read_sweep(["README.md"])

    def test_of_a_column_that_is_not_there(self, write):
        path = write("s.csv", ["lr", "wd", "loss"], rows_of(0.0))
        with pytest.raises(UsageError, match="no column 'x': it has 'lr', 'wd', 'loss'"):
            read_sweep([path], Asked(alpha="x"))

    def test_what_is_the_seed_is_offered_as_nothing_else(self, write):
        rows = [[a, b, draw, a * b] for a in (0.1, 0.2) for b in (1, 2) for draw in (7, 9)]
        path = write("s.csv", ["lr", "wd", "draw", "x"], rows)
        with pytest.raises(UnclearError, match="no column looks like a metric") as unclear:
            read_sweep([path], Asked(seed="draw"))
        assert [one.metric for one in unclear.value.answers] == ["x"]

    @pytest.mark.parametrize(
        ("header", "rows", "message"),
        [
            (
                ["lr", "wd", "loss"],
                [[a, b, a + b + k] for a in (1, 2) for b in (1, 2) for k in (0, 1)],
                "stands there twice: no column tells them apart: add a column 'seed' that numbers",
            ),
            (
                ["lr", "wd", "seed", "loss"],
                [[a, b, b, a + b + k] for a in (1, 2) for b in (1, 2) for k in (0, 1)],
                "with seed 1 stands there twice: no column tells them apart: add a column 'seed'",
            ),
            (
                ["lr", "wd", "draw", "loss"],
                [[a, b, 9 * a + k, a + k] for a in (1, 2) for b in (1, 2) for k in (0, 1)],
                "with --seed COLUMN or --panels-by COLUMN, add a column 'seed' that numbers the",
            ),
        ],
    )
    def test_of_repeats_without_a_seed(self, write, header, rows, message):
        with pytest.raises(UsageError, match="stands there twice") as refused:
            read_sweep([write("s.csv", header, rows)])
        assert message in str(refused.value)

    @pytest.mark.parametrize(
        ("alpha", "lambda_", "message"),
        [
            ("log_lr", "wd", "'log_lr' is called like a logarithm of α, the learning rate, and"),
            ("log10_lr", "wd", "add a column lr = 10 ** log10_lr, or name a column that holds"),
            ("config.log10_lr", "wd", "add a column lr = 10 ** log10_lr"),
            ("learning_rate_log2", "wd", "add a column learning_rate = 2 ** learning_rate_log2"),
            ("ln(lr)", "wd", "add a column lr = exp(ln(lr))"),
            ("lr", "log10(weight_decay)", "logarithm of λ, the weight decay"),
        ],
    )
    def test_of_a_logarithm(self, write, alpha, lambda_, message):
        signed, positive = (-2, -1, 1), (1, 2, 3)
        alphas, lambdas = (positive, signed) if alpha == "lr" else (signed, positive)
        rows = [[a, b, 64, 1 - a * b] for a in alphas for b in lambdas]
        path = write("s.csv", [alpha, lambda_, "batch", "loss"], rows)
        with pytest.raises(UsageError) as refused:
            read_sweep([path])
        assert message in str(refused.value)

    def test_a_logarithm_beside_the_value_is_none_of_it(self, write):
        rows = [[10.0**a, a, b, 3 - a * b] for a in (-2, -1) for b in (1, 2)]
        sweep = read_sweep([write("s.csv", ["lr", "log_lr", "log/wd", "loss"], rows)])
        assert "α = lr, λ = log/wd" in sweep.said[0]

    def test_of_one_file_twice(self, write):
        path = write("s.csv", ["lr", "wd", "loss"], rows_of(0.0))
        with pytest.raises(UsageError, match=r"s.csv: the same file is named twice"):
            read_sweep([path, path])


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), (" 2 ", 2.0), ("0,5", 0.5), ("", None), ("nan", math.nan)]
)
def test_numbers(text, value):
    assert number(text) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("text", ["1_000", "=1+1", "x", True])
def test_what_is_no_number(text):
    with pytest.raises(ValueError, match=r"."):
        number(text)


class TestCommand:
    def test_a_verdict_for_a_sweep_that_was_run_elsewhere(self, write, tmp_path: Path):
        path = write("s.csv", ["lr", "wd", "loss"], rows_of(-1.0))
        done = CliRunner().invoke(main, ["compare", str(path), "-o", str(tmp_path / "s.png")])
        assert done.exit_code == 0, done.output
        words = " ".join(done.output.split())
        assert "s: α = lr, λ = wd, metric = loss (less is better)" in words
        assert "Double α: halve λ (b = −1.0" in words
        assert "regret: loss lost by tuning" in words
        assert "what matters is taken to be 0.00" in words
        assert (tmp_path / "s.png").stat().st_size > 10_000

    def test_options_say_otherwise(self, write):
        path = write("s.csv", ["a", "b", "c"], rows_of(0.0))
        options = [
            "--alpha",
            "a",
            "--lambda",
            "b",
            "--metric",
            "c",
            "--minimize",
            "--matters",
            "0.01",
        ]
        done = CliRunner().invoke(main, ["compare", str(path), *options])
        assert done.exit_code == 0, done.output
        assert "separable" in done.output
        assert "taken to be" not in done.output

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["none.csv"], "none.csv: cannot be read (No such file or directory): name a file"),
            (["none.csv", "more.csv"], "none.csv: cannot be read (No such file or directory)"),
        ],
    )
    def test_what_is_no_sweep_is_told(self, arguments, message):
        done = CliRunner().invoke(main, ["compare", *arguments])
        assert done.exit_code == 2
        assert message in done.output

    def test_options_of_columns_are_for_files(self, tmp_path: Path):
        done = CliRunner().invoke(
            main, ["compare", "x", "--alpha", "a", "--store", str(tmp_path / "x.db")]
        )
        assert done.exit_code == 2
        assert "options of columns are for files of results, and 'x' is a study" in done.output


def test_python_takes_a_file_for_a_name(write):
    path = write("s.csv", ["lr", "wd", "loss"], rows_of(0.0))
    assert is_table_file(str(path))
    assert ls.verdicts(None, str(path))["verdict"].tolist() == ["separable"]
    (field,) = ls.load(None, str(path), ["s"])
    assert field.error.shape == (9, 9)
    assert ls.heatmaps(None, str(path), top=3).axes
    with pytest.raises(ls.LandscapeError, match="has no panel 'x': it has s"):
        ls.load(None, str(path), "x")


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("mean_test_neg_log_loss", "maximize"),
        ("neg_val_loss", "maximize"),
        ("val_loss", "minimize"),
        ("val_acc", "maximize"),
        ("top5_err", "minimize"),
        ("Top-1 accuracy", "maximize"),
        ("accuracy_drop", None),
        ("loss_improvement", None),
        ("loss_vs_accuracy", None),
        ("metrics/mAP50-95(B)", "maximize"),
        ("mAP@0.5:0.95", "maximize"),
        ("val/mIoU", "maximize"),
        ("AP75", "maximize"),
    ],
)
def test_the_direction_by_the_name(name: str, goal: str | None):
    assert guessed_goal(name) == goal


@pytest.mark.parametrize("name", ["lr_decay", "ema_decay", "mixup_alpha"])
def test_what_only_ends_like_a_weight_decay_is_none(write, name: str):
    with pytest.raises(UsageError, match="no column looks like λ"):
        read_sweep([write("s.csv", ["lr", name, "loss"], rows_of(0.0))])


def test_a_random_state_is_a_seed(write):
    rows = [[*row, seed] for row in rows_of(0.0) for seed in (17, 23)]
    panel = only(read_sweep([write("s.csv", ["lr", "wd", "loss", "random_state"], rows)]))
    assert set(panel.cells["seed"]) == {"17", "23"}


def test_commas_group_digits_where_commas_separate_fields(write, tmp_path: Path):
    path = tmp_path / "s.csv"
    lines = [f'{a},{w},"1,{200 + i}.5"' for i, (a, w) in enumerate(product((1, 2), (3, 4)))]
    path.write_text("\n".join(["lr,wd,loss", *lines]))
    assert only(read_sweep([path])).cells["loss"].tolist() == [1200.5, 1201.5, 1202.5, 1203.5]


def test_a_share_is_no_percentage_whatever_it_is_called(write):
    rows = [[a, w, loss / 100] for a, w, loss in rows_of(0.0)]
    metric = only(read_sweep([write("s.csv", ["lr", "wd", "val_error_pct"], rows)])).metric
    assert (metric.unit, metric.matters) == ("", None)


@pytest.mark.parametrize(
    ("name", "write_value", "goal"),
    [
        ("accuracy", lambda loss: f"{loss:.1f}%", "maximize"),
        ("Top-1 Acc.", lambda loss: f"{loss:.1f} %", "maximize"),
        ("val_err", lambda loss: f"{loss / 100:.2f}%", "minimize"),  # no share, though below 1
    ],
)
def test_a_percent_sign_in_the_cells_is_the_unit(write, name, write_value, goal):
    rows = [[a, w, write_value(loss)] for a, w, loss in rows_of(0.0)]
    metric = only(read_sweep([write("s.csv", ["lr", "wd", name], rows)])).metric
    assert (metric.unit, metric.goal, metric.matters) == ("%", goal, 0.25)


def values_of(write, name: str, low: float, high: float, *more: float, **asked: Any) -> Sweep:
    """A sweep whose metric lies between two values; a few more stand in the first cells."""
    rows, values = rows_of(0.0), np.linspace(low, high, len(rows_of(0.0)))
    values[: len(more)] = more
    table = [[a, w, value] for (a, w, _), value in zip(rows, values, strict=True)]
    return read_sweep([write("s.csv", ["lr", "wd", name], table)], Asked(**asked))


@pytest.mark.parametrize(
    ("name", "values", "is_percent"),
    [
        ("val_acc", (60, 92), True),
        ("eval/top1", (0.1, 76), True),  # chance of a thousand classes
        ("f1_score", (20, 100), True),
        ("error_rate", (3, 100), True),
        ("top5_err", (0.4, 9), True),
        ("val_acc", (60, 92, -1, -1, 2147483647.0), True),  # of runs that failed
        ("val_acc", (0.6, 0.92), False),
        ("val_acc", (0.6, 1.0000001), False),
        ("val_acc", (0.6, 0.92, 71), False),  # a typing error
        ("val_acc", (60, 120), False),  # whatever that is
        ("top1_loss", (2, 9), False),
        ("val_error", (3, 80), False),
        ("word_error_cost", (3, 80), False),
    ],
)
def test_what_is_a_share_by_its_name_and_exceeds_1_is_in_percent(write, name, values, is_percent):
    read = values_of(write, name, *values)
    unit = ("%", 0.25) if is_percent else ("", None)
    assert (only(read).metric.unit, only(read).metric.matters) == unit
    assert ("is better, in percent)" in read.said[0]) == is_percent


@pytest.mark.parametrize(
    ("name", "high", "asked", "hint"),
    [
        ("val_error", 80, {}, True),
        ("val_error", 80, {"matters": 0.25}, False),
        ("val_error", 0.8, {}, False),
        ("val_error", 800, {}, False),
        ("mean_squared_error", 80, {}, False),
        ("val_loss", 80, {}, False),
    ],
)
def test_an_error_that_may_be_in_percent_is_told_how_to_say_so(write, name, high, asked, hint):
    (line,) = values_of(write, name, 0.01 * high, high, **asked).said
    assert line.endswith(f"; if {name} is in percent, --matters 0.25 judges it so") == hint


def test_an_accuracy_in_percent_is_judged_as_the_error_is(write):
    found = []
    for name, sign in (("accuracy", -1), ("error_pct", 1)):
        rows = [[a, w, 50 + sign * 10 * loss] for a, w, loss in rows_of(-1.0)]
        panel = only(read_sweep([write("s.csv", ["lr", "wd", name], rows)]))
        found.append(panel_separability(panel))
    accuracy, error = found
    assert (accuracy.verdict, accuracy.tau) == (error.verdict, error.tau)
    assert accuracy.regret.value == pytest.approx(error.regret.value)


def test_a_percent_sign_in_some_cells_only_is_told(write):
    rows = [[a, w, f"{loss}{'%' * (i % 2)}"] for i, (a, w, loss) in enumerate(rows_of(0.0))]
    with pytest.raises(UsageError, match="some values of 'val_err' end in %, others do not"):
        read_sweep([write("s.csv", ["lr", "wd", "val_err"], rows)])


@pytest.mark.parametrize(
    ("columns", "counts", "told"),
    [
        (
            ("model", "data"),
            (4, 4),
            r"'model' \(4 values\) and 'data' \(4 values\) would make 16 panels of them, at most "
            r"12 are made unasked: choose some with --where, such as --where \"data == 'v0'\"$",
        ),
        (("optimizer", "data"), (3, 5), r"'optimizer' \(3 values\) and 'data' \(5 values\)"),
        (("model",), (20,), r"20 panels .*, or take them all with --panels-by model$"),
    ],
)
def test_too_many_panels_are_told_by_the_columns_that_make_them(write, columns, counts, told):
    kinds = list(product(*([f"v{i}" for i in range(count)] for count in counts)))
    rows = [[*kind, *row] for kind in kinds for row in rows_of(0.0)]
    path = write("s.csv", [*columns, "lr", "wd", "loss"], rows)
    with pytest.raises(UsageError, match=told):
        read_sweep([path])
    assert len(read_sweep([path], Asked(where=f"{columns[-1]} == 'v0'")).panels) <= 12


def test_excels_western_text_is_read(tmp_path: Path):
    lines = ["Lernrate;wd;Fehler für alle loss", *(f"{a};{w};1,5" for a in (1, 2) for w in (1, 2))]
    (tmp_path / "s.csv").write_bytes("\n".join(lines).encode("cp1252"))
    panel = only(read_sweep([tmp_path / "s.csv"]))
    assert panel.metric.title == "Fehler für alle loss"


def test_what_is_no_text_is_told(tmp_path: Path):
    (tmp_path / "s.csv").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(UsageError, match=r"s\.csv: holds NUL bytes, so that it is no text"):
        read_sweep([tmp_path / "s.csv"])


def test_a_weight_decay_in_words_is_told(write):
    rows = [[a, f"10^{w}", loss] for a, w, loss in rows_of(0.0)]
    with pytest.raises(UsageError, match=r"'wd' is called like λ.*such as '10\^"):
        read_sweep([write("s.csv", ["lr", "wd", "loss"], rows)])


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["train_loss", "val_loss", "test_loss"], "val_loss"),
        (["train_acc", "train_loss", "test_acc"], "test_acc"),
        (["training/loss", "loss"], "loss"),
        (["train_loss", "val_loss.min", "eval/loss"], "eval/loss"),
        (["train_loss"], "train_loss"),
        (["train_loss", "val_loss", "val_acc", "test_acc"], None),
        (["train_loss", "train_acc"], None),
    ],
)
def test_held_out_data_come_before_those_of_training(tmp_path: Path, names, chosen):
    frame = pd.DataFrame({"lr": [1, 2, 1, 2], "wd": [1, 1, 2, 2]})
    for i, name in enumerate(names):
        frame[name] = [1.0, 2.0, 3.0, 4.5 + i]
    frame.to_csv(tmp_path / "s.csv", index=False)
    if chosen is None:
        with pytest.raises(UnclearError) as unclear:
            read_sweep([tmp_path / "s.csv"])
        asked = [one.metric for one in unclear.value.answers]
        assert asked == [name for name in names if name.startswith(asked[0][:4])]
    else:
        assert read_sweep([tmp_path / "s.csv"]).panels[0].metric.name == chosen
