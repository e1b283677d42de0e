"""Studies that Optuna itself ran: read from its database as from what it exports."""

from __future__ import annotations

import math
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner

from landscape_study.cli import main
from landscape_study.landscapes.reading.foreign.asked import Asked, UnclearError
from landscape_study.landscapes.reading.foreign.foreign_study import read_foreign
from landscape_study.landscapes.reading.foreign.sweep import read_sweep
from landscape_study.study.errors import LandscapeError, StoreError, UsageError
from landscape_study.study.store import Store
from tests.landscapes.reading.foreign.conftest import loss

NAMED = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
ESCAPE = "\x1b]0;PWNED\x07"


def trained(trial: optuna.Trial) -> float:
    """A trial that is pruned, infinite, NaN, or fails, by its number."""
    alpha = trial.suggest_float("lr", 1e-4, 1, log=True)
    lambda_ = trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True)
    trial.suggest_categorical("optimizer", ["adamw"])
    trial.set_user_attr("seed", trial.number % 2)
    for epoch in range(3):
        trial.report(math.nan if trial.number == 5 else loss(alpha, lambda_) + 3 - epoch, epoch)
    match trial.number:
        case 1:
            raise optuna.TrialPruned
        case 2:
            return math.inf
        case 3:
            return 1.7976931348623157e308
        case 4:
            raise RuntimeError("killed")
    return loss(alpha, lambda_)


def study(path: Path, name: str = "s", direction: str = "minimize") -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    sampler = optuna.samplers.RandomSampler(seed=0)
    found = optuna.create_study(
        study_name=name, storage=storage, direction=direction, sampler=sampler
    )
    found.optimize(trained, n_trials=12, catch=(RuntimeError,))
    found.ask()  # runs
    storage.engine.dispose()
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, optuna.Study]:
    path = tmp_path_factory.mktemp("optuna") / "sweep.db"
    return path, study(path)


@pytest.fixture
def path(made: tuple[Path, optuna.Study], tmp_path: Path) -> Path:
    """A database of its own with one study."""
    copy = tmp_path / "sweep.db"
    copy.write_bytes(made[0].read_bytes())
    return copy


def test_a_database(path: Path):
    before = path.read_bytes()
    sweep = read_sweep([path])
    (panel,) = sweep.panels
    cells = panel.cells
    assert (panel.name, panel.metric.goal) == ("adamw", "minimize")
    assert cells["state"].value_counts().to_dict() == {"finished": 11, "failed": 1}
    assert cells["clipped"].tolist() == [i == 1 for i in range(12)]
    assert cells["diverged"].tolist() == [i in (2, 3) for i in range(12)]
    expected = [loss(a, b) for a, b in zip(cells["alpha"], cells["lambda"], strict=True)]
    assert cells["value"][5:].tolist() == expected[5:]
    assert cells["seed"].tolist() == [str(i % 2) for i in range(12)]
    assert path.read_bytes() == before


def test_intermediate_values_are_curves(path: Path):
    curves = read_sweep([path]).curves
    assert len(curves) == 12 * 3
    assert curves["value"].isna().sum() == 3
    first = curves.iloc[:3]
    assert first["epoch"].tolist() == [0, 1, 2]
    assert first["value"].tolist() == pytest.approx(
        [loss(first["alpha"][0], first["lambda"][0]) + 3 - e for e in range(3)]
    )


def test_a_url_and_an_export_say_the_same(made, path: Path, tmp_path: Path):
    whole = read_sweep([path]).panels[0].landscape
    assert read_sweep([f"sqlite:///{path}"]).panels[0].landscape == whole
    made[1].trials_dataframe().to_csv(tmp_path / "t.csv")
    exported = read_sweep([tmp_path / "t.csv"], Asked(goal="minimize")).panels[0].landscape
    assert exported.n.tolist() == whole.n.tolist()
    assert exported.alpha == whole.alpha


def test_where_leaves_curves_with_their_runs(path: Path):
    sweep = read_sweep([path], Asked(where="number >= 6"))
    assert sweep.panels[0].cells["state"].tolist() == ["finished"] * 6
    runs = sweep.curves.groupby(["alpha", "lambda"])["value"].last()
    assert runs.tolist() == pytest.approx([loss(a, b) + 1 for a, b in runs.index])


@pytest.fixture(scope="module")
def two_ways(tmp_path_factory) -> Path:
    """A database with two studies: less is better in one, and more in the other."""
    path = tmp_path_factory.mktemp("two") / "two.db"
    for name, direction in (("it's a", "minimize"), ("b", "maximize")):
        study(path, name=name, direction=direction)
    return path


@pytest.mark.long
def test_several_studies_are_panels(two_ways: Path):
    execute(two_ways, "UPDATE study_directions SET direction = 'MINIMIZE'")
    assert [one.name for one in read_sweep([two_ways]).panels] == ["adamw, it's a", "adamw, b"]


def test_studies_of_different_directions_are_told_apart_by_their_names(two_ways: Path):
    execute(two_ways, "UPDATE study_directions SET direction = 'MAXIMIZE' WHERE study_id = 2")
    with pytest.raises(UnclearError) as unclear:
        read_sweep([two_ways])
    assert unclear.value.why == (
        "two: less of 'value' is better in some of its studies, more in others"
    )
    assert """say --where 'study_name == "it'"'"'s a"' or --where "study_name == 'b'\"""" in str(
        unclear.value
    )
    for answer, goal in zip(unclear.value.answers, ("minimize", "maximize"), strict=True):
        (panel,) = read_sweep([two_ways], answer).panels
        assert (panel.name, panel.metric.goal) == ("adamw", goal)


def objectives(path: Path, *goals: str, names: list[str] | None = None) -> None:
    """A study whose first objective is α, and whose second one is λ."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    found = optuna.create_study(storage=storage, directions=goals)
    if names:
        found.set_metric_names(names)
    for lr, wd in ((0.1, 0.1), (0.2, 0.1), (0.1, 0.3), (0.2, 0.3)):
        found.enqueue_trial({"lr": lr, "wd": wd})
    space = lambda t: (t.suggest_float("lr", 0.1, 1), t.suggest_float("wd", 0.1, 1))  # noqa: E731
    found.optimize(lambda t: space(t)[: len(goals)], n_trials=4)
    storage.engine.dispose()


def test_of_several_objectives_one_is_asked_for(tmp_path: Path):
    objectives(tmp_path / "x.db", "minimize", "maximize")
    with pytest.raises(UnclearError, match="say --metric values_0 or --metric values_1"):
        read_sweep([tmp_path / "x.db"])
    (panel,) = read_sweep([tmp_path / "x.db"], Asked(metric="values_1")).panels
    assert panel.cells["values_1"].tolist() == panel.cells["lambda"].tolist()
    assert panel.metric.goal == "maximize"


@NAMED
def test_objectives_have_names_and_directions(tmp_path: Path):
    objectives(tmp_path / "x.db", "maximize", "minimize", names=["quality", "latency (ms)"])
    with pytest.raises(UnclearError) as unclear:
        read_sweep([tmp_path / "x.db"])
    assert [one.metric for one in unclear.value.answers] == [
        "values_quality",
        "values_latency (ms)",
    ]
    assert str(unclear.value).endswith("--metric values_quality or --metric 'values_latency (ms)'")
    found = [read_sweep([tmp_path / "x.db"], one).panels[0] for one in unclear.value.answers]
    assert [one.metric.goal for one in found] == ["maximize", "minimize"]
    assert found[1].cells["values_latency (ms)"].tolist() == found[1].cells["lambda"].tolist()


@NAMED
def test_one_objective_bears_its_name(tmp_path: Path):
    objectives(tmp_path / "x.db", "maximize", names=["quality"])
    sweep = read_sweep([tmp_path / "x.db"])
    (panel,) = sweep.panels
    assert (panel.metric.name, panel.metric.title) == ("value", "quality")
    assert sweep.said[0] == (
        "x: α = lr, λ = wd, metric = quality, in column value (more is better, as the study says)"
    )


def test_without_names_the_direction_is_told_as_the_study_says(path: Path):
    sweep = read_sweep([path])
    assert sweep.said[0].startswith(
        "sweep: α = lr, λ = weight_decay, metric = value (less is better, as the study says), "
    )
    said = read_sweep([path], Asked(goal="maximize")).said[0]
    assert "metric = value (more is better)," in said


def test_parameters_have_their_own_names_and_may_be_named_as_in_an_export(path: Path):
    by_own = read_sweep([path], Asked(alpha="lr", lambda_="weight_decay"))
    by_export = read_sweep([path], Asked(alpha="params_lr", lambda_="params_weight_decay"))
    assert by_own.panels[0].landscape == by_export.panels[0].landscape
    assert by_own.said == by_export.said
    some = read_sweep([path], Asked(where="params_lr >= 0.01")).panels[0].cells
    assert 0 < len(some) < 12
    assert some["alpha"].min() >= 0.01


def test_a_parameter_that_would_read_as_something_else_keeps_its_prefix(path: Path):
    """As Optuna exports it: `state`, a metric's name, or that of an attribute."""
    for old, new in (("lr", "state"), ("weight_decay", "reg_loss")):
        execute(path, f"UPDATE trial_params SET param_name = '{new}' WHERE param_name = '{old}'")
    sweep = read_sweep([path], Asked(alpha="params_state", lambda_="params_reg_loss"))
    assert sweep.said[0].startswith("sweep: α = params_state, λ = params_reg_loss, metric = value")


def test_a_single_study_bears_its_name(path: Path):
    execute(path, "UPDATE trial_params SET param_value = 0 WHERE param_name = 'optimizer'")
    execute(path, "DELETE FROM trial_params WHERE param_name = 'optimizer'")
    execute(path, "UPDATE studies SET study_name = 'my sweep'")
    study = read_foreign([str(path)]).spec
    assert study.name == "my-sweep"
    assert [panel.pair for panel in study.panels] == ["my sweep"]
    assert read_foreign([str(path)], name="other").spec.name == "other"


def test_a_name_that_optuna_made_up_is_none(path: Path):
    execute(path, "UPDATE studies SET study_name = 'no-name-0d9d6a2c'")
    assert read_foreign([str(path)]).spec.name == "sweep"


def test_of_several_studies_one_that_is_chosen_bears_its_name(two_ways: Path):
    execute(two_ways, "UPDATE study_directions SET direction = 'MINIMIZE'")
    assert read_foreign([str(two_ways)]).spec.name == "two"
    assert read_foreign([str(two_ways)], Asked(where="study_name == 'b'")).spec.name == "b"


def test_too_many_studies_are_named(tmp_path: Path, path: Path):
    many = ", ".join(f"({i}, 's{i}')" for i in range(2, 15))
    execute(path, f"INSERT INTO studies (study_id, study_name) VALUES {many}")
    execute(path, "UPDATE trials SET study_id = trial_id")
    with pytest.raises(UnclearError, match="13 studies in 'study_name', and at most 12"):
        read_sweep([path])


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


HOSTILE = {
    "an endless view": (
        "ALTER TABLE trials RENAME TO kept",
        "CREATE VIEW trials AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT i AS trial_id, i AS number, 1 AS study_id, 'COMPLETE' AS state FROM n",
    ),
    "a trigger": ("CREATE TRIGGER mine AFTER UPDATE ON trials BEGIN DELETE FROM studies; END",),
    "a virtual table": (
        "DROP TABLE trial_params",
        "CREATE VIRTUAL TABLE trial_params USING fts5(trial_id, param_name, param_value)",
    ),
    "a computed column": (
        "DROP TABLE trial_values",
        "CREATE TABLE trial_values (trial_id, objective, value AS (zeroblob(9999999)))",
    ),
    "a choice that there is not": (
        "UPDATE trial_params SET param_value = 7 WHERE param_name = 'optimizer'",
    ),
    "no JSON": ("UPDATE trial_params SET distribution_json = '{'",),
    "nested JSON": (
        "UPDATE trial_user_attributes SET value_json = replace(hex(zeroblob(9999)), '00', '[')",
    ),
    "a list for a distribution": ("UPDATE trial_params SET distribution_json = '[1]'",),
    "a text for a number": ("UPDATE trials SET number = 'best'",),
    "no table": ("DROP TABLE trials",),
    "a text for a value": (f"UPDATE trial_values SET value = '{ESCAPE}'",),
    "a blob for α": ("UPDATE trial_params SET param_value = x'00ff' WHERE param_name = 'lr'",),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_of_a_hostile_database_one_message(path: Path, name: str):
    execute(path, *HOSTILE[name])
    began = time.monotonic()
    with pytest.raises(LandscapeError) as refused:
        read_sweep([path], Asked(alpha="params_lr"))
    assert time.monotonic() - began < 2
    assert "sweep" in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.long
def test_names_steer_no_terminal(path: Path):
    execute(path, f"UPDATE studies SET study_name = '{ESCAPE}'")
    study(path, name="other")
    done = CliRunner().invoke(main, ["compare", str(path)])
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output


def test_other_databases_are_told_apart(tmp_path: Path):
    with closing(Store(str(tmp_path / "own.db"), create=True)):
        pass
    with pytest.raises(UsageError, match=r"a database of this tool: name a study in it"):
        read_sweep([tmp_path / "own.db"])
    execute(tmp_path / "ml.db", "CREATE TABLE runs (x)", "CREATE TABLE experiments (x)")
    with pytest.raises(UsageError, match=r"as mlflow.search_runs\(\).to_csv"):
        read_sweep([tmp_path / "ml.db"])
    execute(tmp_path / "any.db", "CREATE TABLE a (x)")
    with pytest.raises(UsageError, match=r"no table studies\): write the table with its"):
        read_sweep([tmp_path / "any.db"])
    with pytest.raises(UsageError, match=r"none.db: cannot be read \(No such file"):
        read_sweep([tmp_path / "none.db"])
    with pytest.raises(StoreError, match=r"none.db: no such database"):
        read_sweep([f"sqlite:///{tmp_path / 'none.db'}"])


def test_a_study_of_a_former_version(path: Path):
    """Before 3.0 values had no type beside them."""
    execute(
        path,
        "UPDATE trial_values SET value = 1.7976931348623157e308 WHERE value_type = 'INF_POS'",
        "ALTER TABLE trial_values DROP COLUMN value_type",
        "ALTER TABLE trial_intermediate_values DROP COLUMN intermediate_value_type",
    )
    (panel,) = read_sweep([path]).panels
    assert panel.cells["diverged"].tolist() == [i in (2, 3) for i in range(12)]
