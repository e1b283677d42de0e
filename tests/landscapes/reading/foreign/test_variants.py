"""Tables of tools and of hands that nobody gave an example of: what is out there."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.sweep import Sweep, read_sweep
from landscape_study.landscapes.reading.foreign.tables.foreign_table import number
from landscape_study.study.errors import LandscapeError, UsageError
from tests.landscapes.reading.foreign.conftest import ALPHAS, CASES, LAMBDAS, loss, runs

Row = dict


def ray_results(i: int, run: Row) -> Row:
    """As `ResultGrid.get_dataframe` gives it."""
    return {
        **{"loss": run["val_loss"], "time_this_iter_s": i / 7, "done": True, "pid": 99},
        **{"training_iteration": 10, "trial_id": f"ab_{i}", "timestamp": 1000 + i},
        **{f"config/{key}": run[key] for key in ("lr", "wd", "seed")},
        "logdir": f"/x/{i}",
    }


def ax(i: int, run: Row) -> Row:
    status = {"trial_status": "COMPLETED", "generation_method": "Sobol", "arm_name": f"{i}_0"}
    settings = {"lr": run["lr"], "weight_decay": run["wd"], "seed": run["seed"]}
    return {"trial_index": i, **status, "objective_loss": run["val_loss"], **settings}


def dashboard(i: int, run: Row) -> Row:
    """As optuna-dashboard exports a study."""
    params = {"Param lr": run["lr"], "Param weight_decay": run["wd"], "User seed": run["seed"]}
    return {"Number": i, "State": "COMPLETE", "Value": run["val_loss"], **params}


def repetitions(i: int, run: Row) -> Row:
    return {"lr": run["lr"], "wd": run["wd"], "run": run["seed"], "loss": run["val_loss"]}


def percent(i: int, run: Row) -> Row:
    return {**run, "val_loss": f"{run['val_loss']} %"}


def camel_case(i: int, run: Row) -> Row:
    return {
        **{"learningRate": run["lr"], "weightDecay": run["wd"]},
        **{"randomSeed": run["seed"], "valLoss": run["val_loss"], "trainLoss": 0},
    }


def greek(i: int, run: Row) -> Row:
    return {"α": run["lr"], "λ": run["wd"], "seed": run["seed"], "Loss": run["val_loss"]}


def splits(i: int, run: Row) -> Row:
    """As scikit-learn's `cv_results_`."""
    return {
        **{"mean_fit_time": i / 7, "param_mlp__alpha": run["wd"]},
        **{"param_mlp__learning_rate_init": run["lr"], "param_seed": run["seed"]},
        "params": str({"mlp__alpha": run["wd"], "mlp__learning_rate_init": run["lr"]}),
        **{"split0_test_score": 0.5, "split1_test_score": 0.6},
        **{"mean_test_score": run["val_loss"], "std_test_score": 0.05, "rank_test_score": i},
    }


def row_numbers(i: int, run: Row) -> Row:
    return {"Unnamed: 0": i % 9, "index": i % 3, **run}


def curves_in_cells(i: int, run: Row) -> Row:
    return {**run, "val_loss": [run["val_loss"] + 1, None, run["val_loss"]]}


KINDS = (ray_results, ax, dashboard, repetitions, percent, camel_case, greek, splits)
KINDS += (row_numbers, curves_in_cells)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_all_hold_the_same_runs(tmp_path: Path, kind: Callable[[int, Row], Row], ending: str):
    frame = pd.DataFrame([kind(i, run) for i, run in enumerate(runs())])
    path = tmp_path / f"s.{ending}"
    if ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        getattr(frame, f"to_{ending}")(path)
    sweep = read_sweep([path], Asked(goal="minimize"))
    (panel,) = sweep.panels
    assert panel.landscape.n.tolist() == [[2] * 3] * 3
    assert panel.landscape.error[0, 2] == pytest.approx(loss(0.001, 1e-2) + 0.005)
    assert "vary" not in sweep.said[0]
    assert len(sweep.curves) == (36 if kind is curves_in_cells else 0) or "epoch" in sweep.curves


def test_more_studies_than_panels_are_not_mixed(tmp_path: Path, frame):
    many = pd.concat([frame.assign(study_name=f"s{i}") for i in range(13)])
    many.to_csv(tmp_path / "s.csv")
    with pytest.raises(UsageError, match="13 studies in 'study_name', and at most 12 can be"):
        read_sweep([tmp_path / "s.csv"])
    asked = Asked(where="study_name in ('s0', 's12')")
    assert [one.name for one in read_sweep([tmp_path / "s.csv"], asked).panels] == ["s0", "s12"]


def test_of_a_tidy_table_one_metric_is_selected(tmp_path: Path, frame):
    tidy = frame.assign(accuracy=1 - frame["val_loss"] / 9).melt(
        ["lr", "wd", "seed"], var_name="metric_name", value_name="metric_value"
    )
    tidy.to_csv(tmp_path / "s.csv")
    with pytest.raises(UsageError, match="is less or more of 'metric_value' better"):
        read_sweep([tmp_path / "s.csv"])
    (panel,) = read_sweep([tmp_path / "s.csv"], Asked(where="metric_name == 'accuracy'")).panels
    assert (panel.metric.title, panel.metric.goal) == ("accuracy", "maximize")
    assert panel.landscape.n.sum() == 18


def test_settings_in_keys(tmp_path: Path):
    found = {f"lr={r['lr']}_wd={r['wd']}_seed={r['seed']}": r["val_loss"] for r in runs()}
    (tmp_path / "a.json").write_text(json.dumps(found))
    deep = {key: {"val_loss": value} for key, value in found.items()}
    (tmp_path / "b.json").write_text(json.dumps(deep))
    flat = read_sweep([tmp_path / "a.json"], Asked(goal="minimize")).panels[0].landscape
    assert flat.n.sum() == 18
    assert read_sweep([tmp_path / "b.json"]).panels[0].landscape.error.tolist() == (
        flat.error.tolist()
    )


@pytest.mark.parametrize(
    ("corner", "columns", "turned"),
    [
        (r"lr\wd", "{}", False),
        ("lr", "wd={}", False),
        ("learning_rate", "{:.0e}", False),
        ("weight_decay", "{}", True),
        ("wd / lr", "{}", True),
        ("alpha", "{}", False),
    ],
)
def test_a_matrix(tmp_path: Path, frame, corner: str, columns: str, turned: bool):
    index, names = ("wd", "lr") if turned else ("lr", "wd")
    matrix = frame[frame["seed"] == 0].pivot_table(index=index, columns=names, values="val_loss")
    matrix.columns = [columns.format(value) for value in matrix.columns]
    matrix.iloc[0, 0] = None
    matrix.to_csv(tmp_path / "m.csv", index_label=corner)
    (panel,) = read_sweep([tmp_path / "m.csv"], Asked(goal="minimize")).panels
    field = panel.landscape
    assert (field.alpha.values, field.lambda_.values) == (ALPHAS, LAMBDAS)
    assert field.n.tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 1]]
    assert field.error[2, 1] == loss(0.1, 1e-3)
    assert field.error[1, 2] == loss(0.01, 1e-2)


class TestFoldersOfTrainingScripts:
    def test_a_schedule_is_no_setting(self, folder_of):
        def write(folder: Path, i: int, run: Row) -> None:
            at = folder / f"lr{run['lr']}_wd{run['wd']}_seed{run['seed']}"
            at.mkdir()
            rows = [
                {"epoch": e, "learning_rate": run["lr"] / (e + 1), "eval_loss": run["val_loss"]}
                for e in range(4)
            ]
            pd.DataFrame(rows).to_csv(at / "log.csv")

        sweep = read_sweep([folder_of(write)])
        assert sweep.said[0].startswith("sweep: α = lr, λ = wd, metric = eval_loss")
        assert "learning_rate" not in sweep.said[0]
        assert sweep.panels[0].landscape.n.sum() == 18

    def test_free_text_beside_results(self, folder_of):
        def write(folder: Path, i: int, run: Row) -> None:
            at = folder / str(i)
            at.mkdir()
            (at / "args.yaml").write_text(f"lr: {run['lr']}\nwd: {run['wd']}\nseed: {run['seed']}")
            (at / "log.txt").write_text("epoch 1: loss\nfree text, here, 1\n")
            pd.DataFrame([{"epoch": 1, "eval_loss": run["val_loss"]}]).to_csv(at / "summary.csv")

        assert read_sweep([folder_of(write)]).panels[0].landscape.n.sum() == 18

    def test_records_in_a_log(self, folder_of):
        def write(folder: Path, i: int, run: Row) -> None:
            at = folder / f"lr{run['lr']}_wd{run['wd']}" / f"s{run['seed']}"
            at.mkdir(parents=True)
            lines = [
                {"train_lr": run["lr"] / (e + 1), "test_loss": run["val_loss"], "epoch": e}
                for e in range(3)
            ]
            (at / "log.txt").write_text("\n".join(map(json.dumps, lines)))

        sweep = read_sweep([folder_of(write)])
        assert "α = lr, λ = wd, metric = test_loss (less is better), seed = seed" in sweep.said[0]
        assert len(sweep.curves) == 54

    def test_a_history_of_records(self, folder_of):
        def write(folder: Path, i: int, run: Row) -> None:
            at = folder / f"lr{run['lr']}_wd{run['wd']}_seed{run['seed']}"
            at.mkdir()
            history = [
                part
                for e in (1, 2)
                for part in (
                    {"epoch": e, "loss": 1.0, "learning_rate": run["lr"] / e, "step": 9 * e},
                    {"epoch": e, "eval_loss": run["val_loss"] + 1 / e, "step": 9 * e},
                )
            ]
            state = {"best_metric": None, "global_step": 18, "log_history": history}
            (at / "trainer_state.json").write_text(json.dumps(state))

        sweep = read_sweep([folder_of(write)])
        assert sweep.panels[0].landscape.error[1, 1] == pytest.approx(loss(0.01, 1e-3) + 0.505)
        assert len(sweep.curves) == 36


@pytest.mark.parametrize(
    ("text", "value"),
    [("-nan(ind)", "nan"), ("1.#QNAN", "nan"), ("12,5 %", 12.5), ("N/A", None), ("1e400", "inf")],
)
def test_numbers_as_other_programs_write_them(text: str, value):
    found = number(text)
    assert (repr(found) if isinstance(value, str) else found) == value


def test_dates_that_a_spreadsheet_made_are_named_with_their_line(tmp_path: Path):
    (tmp_path / "s.csv").write_text(
        "lr,wd,loss\n0.1,0.1,1\n1-Mar,0.1,2\n0.1,0.2,3\n0.2,0.2,3\n0.2,0.1,4\n"
    )
    with pytest.raises(UsageError, match=r"s.csv, line 3: '1-Mar' in column lr is no number"):
        read_sweep([tmp_path / "s.csv"])


def outcome(path: Path) -> Sweep | str:
    """What is read of a file; the message if it is refused. Anything else is raised."""
    try:
        return read_sweep([path], Asked(goal="minimize"))
    except LandscapeError as refused:
        return str(refused)


@pytest.mark.parametrize("name", [path.name for path in sorted(CASES.iterdir()) if path.is_file()])
def test_of_a_damaged_file_one_message_or_what_is_left(tmp_path: Path, name: str):
    """Changed bytes, lost pieces, and pieces that stand twice."""
    whole, dice = (CASES / name).read_bytes(), random.Random(name)
    messages = []
    for _ in range(30):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(content))
            end = at + dice.randint(1, 40)
            match dice.randrange(4):
                case 0:
                    content[at] = dice.choice(b'\x00\xff",;\n{}[]=-#e0')
                case 1:
                    del content[at:end]
                case 2:
                    content[at:at] = content[at:end]
                case _:
                    content[at:at] = dice.choice([b"NaN", b'"', b"\n\n", b"1e999", b"{", b"[1,2]"])
        (tmp_path / name).write_bytes(content)
        found = outcome(tmp_path / name)
        if isinstance(found, str):
            messages.append(found)
        else:
            assert all(one.landscape.n.sum() <= len(one.cells) for one in found.panels)
    assert messages
    assert all(one.isprintable() and Path(name).stem in one for one in messages)
