"""Folders with a file or a folder a run, as tools write them."""

from __future__ import annotations

import csv
import enum
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from landscape_study.cli import main
from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.sweep import read_sweep
from landscape_study.landscapes.reading.foreign.tables.name_settings import settings_in
from landscape_study.study.errors import UsageError
from tests.landscapes.reading.foreign.conftest import ALPHAS, LAMBDAS, loss

Run = dict[str, Any]
EPOCHS = 3


class Optimizers(enum.StrEnum):
    """As `transformers.training_args.OptimizerNames`."""

    ADAMW = "adamw_torch"


@dataclass
class Arguments:
    """As `transformers.TrainingArguments`, which checkpoints hold as a pickle."""

    learning_rate: float
    weight_decay: float
    seed: int
    optim: Optimizers = Optimizers.ADAMW
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    report_to: tuple[str, ...] = ("wandb",)


def curve(run: Run) -> list[float]:
    return [run["val_loss"] + 2 - epoch for epoch in range(EPOCHS)]


def written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def lightning(folder: Path, i: int, run: Run) -> None:
    at = folder / f"version_{i}"
    settings = f"lr: {run['lr']}\nweight_decay: {run['wd']:.0e}\nseed: {run['seed']}\n"
    written(at / "hparams.yaml", settings + "model: !!python/object:x.Net {size: 3}\n")
    rows = [f"{e},{9 * e},1.5,\n{e},{9 * e},,{v}\n" for e, v in enumerate(curve(run))]
    written(at / "metrics.csv", "epoch,step,train_loss,val_loss\n" + "".join(rows))
    written(at / "checkpoints" / "x.json", "{}")


def hydra(folder: Path, i: int, run: Run) -> None:
    at = folder / "2026-01-01" / "10-00-00" / str(i)
    settings = f"optim:\n  lr: {run['lr']}\n  wd: {run['wd']}\nseed: {run['seed']}\n"
    written(at / ".hydra" / "config.yaml", settings)
    history = {"epoch": list(range(EPOCHS)), "val_loss": curve(run)}
    written(at / "history.json", json.dumps(history))


def ray_results_only(folder: Path, i: int, run: Run) -> None:
    at = folder / f"train_{i:05d}_lr={run['lr']:.2f}"
    written(at / "params.json", json.dumps({key: run[key] for key in ("lr", "wd", "seed")}))
    lines = [
        json.dumps({"val_loss": v, "training_iteration": e, "pid": 3, "time_total_s": e})
        for e, v in enumerate(curve(run))
    ]
    written(at / "result.json", "\n".join(lines) + "\n")
    written(folder / "experiment_state-2026.json", "{}")
    written(folder / "basic-variant-state.json", '{"a": 1}')


def mlflow(folder: Path, i: int, run: Run) -> None:
    at = folder / "0" / f"{i:032x}"
    written(folder / "0" / "meta.yaml", "name: Default\n")
    written(at / "meta.yaml", "lifecycle_stage: active\nstatus: 3\n")
    for name, value in (("lr", "lr"), ("weight_decay", "wd"), ("seed", "seed")):
        written(at / "params" / name, str(run[value]))
    points = [f"17000000{e} {v!r} {e}\n" for e, v in enumerate(curve(run))]
    written(at / "metrics" / "val" / "loss", "".join(points))
    written(at / "tags" / "mlflow.runName", "x")


def wandb_files(folder: Path, i: int, run: Run) -> None:
    at = folder / f"run-2026_{i}" / "files"
    text = "".join(f"{key}:\n  desc: null\n  value: {run[key]}\n" for key in ("lr", "wd", "seed"))
    written(at / "config.yaml", f"wandb_version: 1\n{text}")
    written(at / "wandb-summary.json", json.dumps({"val_loss": run["val_loss"], "_step": 9}))
    written(at / "wandb-metadata.json", json.dumps({"os": "Linux"}))


def yaml_files(folder: Path, i: int, run: Run) -> None:
    at = folder / str(i)
    written(at / "config.yaml", f"lr: {run['lr']}\nwd: {run['wd']}\nseed: {run['seed']}\n")
    written(at / "metrics.yaml", f"val:\n  loss: {run['val_loss']}\n")
    written(at / "dataset.yaml", "classes: 10\n")


def names_of_folders(folder: Path, i: int, run: Run) -> None:
    at = folder / f"lr={run['lr']},wd={run['wd']}" / f"seed={run['seed']}"
    with_epochs = "".join(f"{e},{v}\n" for e, v in enumerate(curve(run)))
    written(at / "log.csv", f"epoch,val_loss\n{with_epochs}")


def names_of_files(folder: Path, i: int, run: Run) -> None:
    name = f"resnet18-lr{run['lr']:.0e}-wd{run['wd']:.0e}-s{run['seed']}.json"
    written(folder / name, json.dumps({"val_loss": run["val_loss"]}))


def records(folder: Path, i: int, run: Run) -> None:
    settings = {**{key: run[key] for key in ("lr", "wd", "seed")}, "layers": [64, 64]}
    history = [{"epoch": e, "val_loss": v} for e, v in enumerate(curve(run))]
    written(folder / f"{i}.json", json.dumps({"args": settings, "history": history}))


def trainer_state(run: Run, epochs: int, search: Run | None = None) -> str:
    """What Hugging Face's Trainer writes into each checkpoint: α falls, by its schedule."""
    log: list[Run] = []
    for e, value in enumerate(curve(run)[:epochs]):
        for part in (0.5, 1.0):
            scheduled = run["lr"] * (1 - (e + part) / EPOCHS)
            at = {"epoch": e + part, "step": int(100 * (e + part))}
            log.append({**at, "learning_rate": scheduled, "loss": 1 / (e + part), "grad_norm": 1})
        log.append({"epoch": e + 1.0, "eval_loss": value, "eval_runtime": 2.0, "step": at["step"]})
    if epochs == EPOCHS:
        log.append({"epoch": 3.0, "step": 300, "train_loss": 0.5, "train_runtime": 9.0})
    return json.dumps({"best_metric": None, "log_history": log, "trial_params": search})


def trainer_run(at: Path, run: Run, search: Run | None = None) -> None:
    """The checkpoints of a run; the third one is the last one, though not by the alphabet."""
    for epochs, step in ((1, 80), (2, 200), (3, 1000)):
        checkpoint = at / f"checkpoint-{step}"
        written(checkpoint / "trainer_state.json", trainer_state(run, epochs, search))
        written(checkpoint / "config.json", '{"architectures": ["Bert"], "learning_rate": 7}')


def trainer_search(folder: Path, i: int, run: Run) -> None:
    search = {"learning_rate": run["lr"], "weight_decay": run["wd"], "seed": run["seed"]}
    trainer_run(folder / f"run-{i}", run, search)


def trainer_names(folder: Path, i: int, run: Run) -> None:
    trainer_run(folder / f"bert-lr{run['lr']}-wd{run['wd']}-seed{run['seed']}", run)


def trainer_arguments(folder: Path, i: int, run: Run) -> None:
    """Arguments in a file; the folder's name bears rounded ones."""
    at = folder / f"lr={run['lr']:.0f},seed={run['seed']}"
    at = at / str(i)
    written(at / "trainer_state.json", trainer_state(run, EPOCHS))
    written(at / "checkpoint-1" / "trainer_state.json", trainer_state(run, 1))
    settings = {"learning_rate": run["lr"], "weight_decay": run["wd"], "optim": "adamw_torch"}
    written(at / "args.json", json.dumps(settings))
    written(at / "all_results.json", json.dumps({"train_loss": 0.5, "train_runtime": 9.0}))
    written(at / "tokenizer.json", "{}")


def trainer_pickles(folder: Path, i: int, run: Run) -> None:
    at = folder / f"run-{i}"
    trainer_run(at, run)
    arguments = Arguments(run["lr"], run["wd"], run["seed"])
    torch.save(arguments, at / "checkpoint-1000" / "training_args.bin")


def keras_tuner(folder: Path, i: int, run: Run) -> None:
    values = {"learning_rate": run["lr"], "weight_decay": run["wd"], "seed": run["seed"]}
    observed = [{"step": e, "value": [v - 1, v + 1]} for e, v in enumerate(curve(run))]
    metrics = {
        "loss": {"direction": "min", "observations": [{"step": 2, "value": [0.0]}]},
        "val_thing": {"direction": "min", "observations": observed},
    }
    trial = {
        "trial_id": f"{i:02d}",
        "hyperparameters": {"space": [], "values": values},
        "metrics": {"metrics": metrics},
        "score": run["val_loss"],
        "status": "COMPLETED",
    }
    written(folder / f"trial_{i:02d}" / "trial.json", json.dumps(trial))
    written(folder / "oracle.json", "{}")
    written(folder / "tuner0.json", "{}")


def sacred(folder: Path, i: int, run: Run) -> None:
    at = folder / str(i)
    written(at / "config.json", json.dumps({key: run[key] for key in ("lr", "wd", "seed")}))
    written(at / "run.json", json.dumps({"status": "COMPLETED", "result": 1.0, "host": {}}))
    series = {"steps": list(range(EPOCHS)), "timestamps": ["2026"] * EPOCHS}
    metrics = {
        "val.loss": {**series, "values": curve(run)},
        "train.loss": {**series, "values": [1, 2, 3]},
    }
    written(at / "metrics.json", json.dumps(metrics))
    written(at / "cout.txt", "hello")
    written(at / "info.json", "{}")


def tables(folder: Path, i: int, run: Run) -> None:
    path = folder / f"part{run['seed']}.csv"
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        rows = csv.DictWriter(file, list(run))
        if is_new:
            rows.writeheader()
        rows.writerow(run)


WRITERS = {
    **{one.__name__: (one, True) for one in (lightning, hydra, ray_results_only, mlflow)},
    **{one.__name__: (one, True) for one in (names_of_folders, records)},
    **{one.__name__: (one, True) for one in (trainer_search, trainer_names, trainer_arguments)},
    **{one.__name__: (one, True) for one in (trainer_pickles, keras_tuner, sacred)},
    **{one.__name__: (one, False) for one in (wandb_files, yaml_files, names_of_files, tables)},
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_tools_folder_holds_the_same_runs(folder_of: Callable[..., Path], name: str):
    write, has_curves = WRITERS[name]
    sweep = read_sweep([folder_of(write)])
    (panel,) = sweep.panels
    field = panel.landscape
    assert (field.alpha.values, field.lambda_.values) == (ALPHAS, LAMBDAS)
    assert (field.n == 2).all()
    assert field.error[2, 0] == pytest.approx(loss(0.1, 1e-4) + 0.005)
    assert len(sweep.curves) == (18 * EPOCHS if has_curves else 0)
    if has_curves:
        value = panel.metric.name
        lengths = sweep.curves.groupby(["alpha", "lambda", "seed"])[value].count()
        assert lengths.tolist() == [EPOCHS] * 18


def test_of_a_trainer_the_curves_are_by_evaluation(folder_of):
    sweep = read_sweep([folder_of(trainer_search)])
    first = sweep.curves.iloc[:EPOCHS]
    assert first["epoch"].tolist() == [1, 2, 3]
    assert first["loss"].tolist() == pytest.approx([1, 1 / 2, 1 / 3])
    assert "train_loss" not in sweep.curves


def test_a_trainers_optimizer_makes_panels(folder_of):
    (panel,) = read_sweep([folder_of(trainer_pickles)]).panels
    assert panel.name == "adamw_torch"


def test_a_hostile_pickle_runs_nothing(folder_of, tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    def write(folder: Path, i: int, run: Run) -> None:
        trainer_names(folder, i, run)
        for at in folder.glob("*/checkpoint-1000"):
            torch.save({"learning_rate": Evil(), "x": [Evil()]}, at / "training_args.bin")
        if i == 0:
            (at / "training_args.bin").write_bytes(b"PK\x03\x04 no archive")

    assert read_sweep([folder_of(write)]).panels[0].landscape.n.sum() == 18
    assert not (tmp_path / "touched").exists()


def test_a_failed_run_of_sacred_has_no_result(folder_of):
    def write(folder: Path, i: int, run: Run) -> None:
        sacred(folder, i, run)
        if i == 0:
            written(folder / "0" / "run.json", '{"status": "INTERRUPTED"}')

    (panel,) = read_sweep([folder_of(write)]).panels
    assert (panel.cells["state"] == "failed").sum() == 1


class TestRunsWithoutResult:
    def test_of_ray_tune(self, folder_of):
        def write(folder: Path, i: int, run: Run) -> None:
            ray_results_only(folder, i, run)
            (at,) = folder.glob(f"train_{i:05d}*")
            if i < 2:
                (at / "result.json").write_text("")
            if i == 0:
                (at / "error.txt").write_text("Traceback")

        (panel,) = read_sweep([folder_of(write)]).panels
        assert panel.cells["state"].value_counts().to_dict() == {
            "finished": 16,
            "failed": 1,
            "open": 1,
        }
        assert panel.landscape.n[0, 0] == 0

    def test_of_mlflow(self, folder_of):
        def write(folder: Path, i: int, run: Run) -> None:
            mlflow(folder, i, run)
            meta = folder / "0" / f"{i:032x}" / "meta.yaml"
            if i == 0:
                meta.write_text("lifecycle_stage: active\nstatus: 4\n")
            if i == 1:
                meta.write_text("lifecycle_stage: deleted\nstatus: 3\n")

        (panel,) = read_sweep([folder_of(write)]).panels
        assert (panel.cells["state"] == "failed").sum() == 2


def test_settings_of_a_group_are_no_run(folder_of):
    def write(folder: Path, i: int, run: Run) -> None:
        lightning(folder / "group", i, run)
        written(folder / "group" / "config.yaml", "project: x\n")

    assert read_sweep([folder_of(write)]).panels[0].landscape.n.sum() == 18


def test_files_named_by_optimizer_are_panels(tmp_path: Path, frame):
    for optimizer in ("adam", "sgd"):
        frame.to_csv(tmp_path / f"sweep-{optimizer}.csv", index=False)
    sweep = read_sweep([tmp_path])
    assert [one.name for one in sweep.panels] == ["adam", "sgd"]
    assert all(one.landscape.n.sum() == 18 for one in sweep.panels)


REFUSED: list[tuple[dict[str, str], str]] = [  # files, what is said
    ({"a.md": "x"}, "no results in this folder: expected files that end in one of .csv"),
    ({"r/config.json": "[1]", "r/a.csv": "x\n1\n"}, "holds no settings by name: mend it"),
    ({"r/config.json": "{", "r/a.csv": "x\n1\n"}, "config.json: holds no settings"),
    ({"r/config.yaml": "a: &x 1\nb: *x\n", "r/a.csv": "x\n1\n"}, "holds aliases"),
    ({"r/config.yaml": "lr: 1", "r/a.csv": "x\n1\n", "r/b.csv": "x\n1\n"}, "a.csv, b.csv could"),
    ({"lr=1_wd=1/log.txt": "step 9: train loss 1.5, val loss 1.6\n"}, "a log in words, expected"),
    ({"lr=1_wd=1.csv": "loss\n1,2\n"}, "lr=1_wd=1.csv, line 2: 2 fields"),
    ({"r/meta.yaml": "", "r/params/lr": "1", "r/metrics/a": "1 2 x"}, "a, line 1: expected time"),
]


@pytest.mark.parametrize(("files", "message"), REFUSED)
def test_of_a_folder_one_message(tmp_path: Path, files: dict[str, str], message: str):
    for name, text in files.items():
        written(tmp_path / "sweep" / name, text)
    with pytest.raises(UsageError) as refused:
        read_sweep([tmp_path / "sweep"])
    assert message in str(refused.value)
    assert str(tmp_path / "sweep") in str(refused.value)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("width=256_lr=0.1_wd=0.01", {"width": "256", "lr": "0.1", "wd": "0.01"}),
        ("lr0.1-wd0.01", {"lr": "0.1", "wd": "0.01"}),
        ("lr_1e-05_weight_decay_0", {"lr": "1e-05", "weight_decay": "0"}),
        ("adamw_lr0.1_s3", {"optimizer": "adamw", "lr": "0.1", "seed": "3"}),
        ("opt=SGD,lr=.1,l2=1e-4", {"optimizer": "SGD", "lr": ".1", "l2": "1e-4"}),
        ("resnet18_lr0p1", {"resnet": "18", "lr": "0.1"}),
        ("train_lr=0.1,wd=0.2_2026-05-01_10-00-00", {"lr": "0.1", "wd": "0.2"}),
        ("bs128_beta10.9_lr3e-4", {"bs": "128", "beta1": "0.9", "lr": "3e-4"}),
        ("latest", {}),
    ],
)
def test_settings_in_names(name: str, settings: dict[str, str]):
    assert settings_in([name]) == settings


def test_compare_takes_a_folder(folder_of, monkeypatch):
    monkeypatch.chdir(folder_of(lightning).parent)
    done = CliRunner().invoke(main, ["compare", "sweep", "--keep", "best", "--where", "seed == 0"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "epoch: 54 rows of 9 runs, the best of each counts" in said
    assert "cannot tell" in said


def test_options_of_rows_are_for_files(tmp_path: Path):
    for option in (["--where", "a > 1"], ["--keep", "each"], ["--fidelity", "epoch"]):
        store = ["--store", str(tmp_path / "x.db")]
        done = CliRunner().invoke(main, ["compare", "x", *option, *store])
        assert done.exit_code == 2
        assert "options of columns are for files of results" in done.output


def test_two_files_with_panels_of_one_name(tmp_path: Path, frame):
    for name in ("first", "second"):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        frame.assign(optimizer="adam").to_csv(tmp_path / f"{name}-adam.csv", index=False)
    sweep = read_sweep([tmp_path / "first-adam.csv", tmp_path / "second-adam.csv"])
    assert [one.name for one in sweep.panels] == ["first-adam: adam", "second-adam: adam"]
    assert [one.landscape.panel for one in sweep.panels] == [one.name for one in sweep.panels]
    assert sweep.panels[0].cells["panel"].unique().tolist() == ["first-adam: adam"]
    other = tmp_path / "other"
    other.mkdir()
    frame.to_csv(other / "first.csv", index=False)
    sweep = read_sweep([tmp_path / "first.csv", other / "first.csv"], Asked())
    assert [one.name for one in sweep.panels] == [
        str(tmp_path / "first.csv"),
        str(other / "first.csv"),
    ]


def test_what_repeats_a_column_that_is_used_is_not_listed(folder_of):
    def write(folder: Path, i: int, run: dict[str, Any]) -> None:
        optimizer = "adam" if i % 2 else "sgd"
        name = f"lr{run['lr']}_wd{run['wd']}_seed{run['seed']}.json"
        content = {"config": {"seed": run["seed"], "opt": optimizer, "loader": optimizer[::-1]}}
        (folder / name).write_text(json.dumps(content | {"val_loss": run["val_loss"]}))

    (said,) = read_sweep([folder_of(write)]).said
    assert "seed = seed" in said
    assert said.endswith("panels by config.opt; not looked at, though they vary: config.loader")
