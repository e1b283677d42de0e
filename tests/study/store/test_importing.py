"""Results that were trained elsewhere, in the database: whole, or nothing of them."""

import math
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from landscape_study.study.errors import UsageError
from landscape_study.study.planning.request import resumed_study
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store, optuna_study_name
from landscape_study.study.store.checking import check
from landscape_study.study.store.importing import ImportedRun, import_study
from landscape_study.study.store.merging import merge

pytestmark = pytest.mark.slow

UP = np.array([0.5, 0.7], np.float32)


def imported(metric: object = "test_loss", **fields: object) -> Study:
    panel = {"name": "a", "pair": "AdamW (mine)", "design": "imported"}
    axes = {"alpha": [0.1, 0.2], "lambda": [0.0, 0.01]}
    return Study.from_dict(
        {"name": "far", "task": "imported", "metric": metric, "panel": [panel | axes]} | fields,
        "x",
    )


RUNS = [
    ImportedRun(("a", 0, Cell(0.1, 0.0)), "finished", 0.7, 0, {"test_loss": UP, "lr": UP}),
    ImportedRun(("a", 0, Cell(0.1, 0.01)), "finished", math.inf, -1, {}),
    ImportedRun(("a", 0, Cell(0.2, 0.0)), "pruned", 0.9, 0, {}),
    ImportedRun(("a", 0, Cell(0.2, 0.01)), "failed", math.nan, 0, {}),
]


@pytest.fixture
def far(store: Store) -> Store:
    """A database with an imported study."""
    import_study(store, imported(), RUNS, {"imported": ["s.csv"], "said": ["α = lr"]})
    return store


def test_cells_and_curves_come_back(far: Store):
    cells = {Cell(row["alpha"], row["lambda"]): row for row in far.cells("far")}
    assert [cells[run.place[2]]["state"] for run in RUNS] == [run.state for run in RUNS]
    assert [cells[run.place[2]]["value"] for run in RUNS[:3]] == [0.7, math.inf, 0.9]
    assert cells[Cell(0.1, 0.01)]["diverged_epoch"] == -1
    curves = {row["metric"]: row["values"] for row in far.curves("far")}
    assert curves.keys() == {"test_loss", "lr"}
    np.testing.assert_array_equal(curves["test_loss"], UP)
    (progress,) = far.progress("far")
    assert (progress.total, progress.finished, progress.diverged, progress.failed) == (4, 2, 1, 1)
    assert progress.best == 0.7
    (run,) = far.runs("far")
    assert run["provenance"]["imported"] == ["s.csv"]


def test_all_is_well_with_it(far: Store):
    assert list(check(far, ["far"])) == []


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("goal", "lost", "direction"),
    [("minimize", math.inf, "MINIMIZE"), ("maximize", -math.inf, "MAXIMIZE")],
)
def test_optuna_reads_it(store: Store, goal: str, lost: float, direction: str):
    runs = [RUNS[0], ImportedRun(("a", 0, Cell(0.1, 0.01)), "finished", lost, -1, {}), *RUNS[2:]]
    import_study(store, imported({"name": "test_loss", "goal": goal}), runs, {})
    name = optuna_study_name("far", "a", 0)
    study = optuna.load_study(study_name=name, storage=store.url)
    assert study.direction.name == direction
    states = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert [trial.state for trial in study.trials] == states
    assert [trial.value for trial in study.trials[:3]] == [0.7, lost, 0.9]
    assert study.best_trial.params == {"alpha": 0.1, "lambda": 0.0}
    assert list(check(store, ["far"])) == []


def test_a_name_that_is_taken_is_refused_and_nothing_changes(far: Store):
    before = far.cells("far")
    with pytest.raises(UsageError, match="'far' is there already, nothing was stored: choose"):
        import_study(far, imported(), RUNS[:1], {})
    assert far.cells("far") == before


def test_what_goes_wrong_in_the_middle_leaves_nothing(store: Store):
    broken = ImportedRun(
        ("a", 1, Cell(0.1, 0.0)), "finished", 0.7, 0, {"test_loss": np.array(["x"])}
    )
    with pytest.raises(ValueError, match="could not convert"):
        import_study(store, imported(), [*RUNS, broken], {})
    assert store.names() == []


def test_nothing_of_it_can_be_trained(far: Store):
    with pytest.raises(UsageError, match="'far' was imported: nothing of it can be trained here"):
        resumed_study(far, "far", None)
    with pytest.raises(UsageError, match="no study to resume"):
        resumed_study(far, None, None)


def test_merging_takes_it_once(far: Store, tmp_path: Path):
    other = Store(str(tmp_path / "other.db"), create=True)
    assert [(one.taken, one.there) for one in merge(other, far, [])] == [(4, 0)]
    assert [(one.taken, one.there) for one in merge(other, far, [])] == [(0, 4)]
    assert other.cells("far") == far.cells("far")
    assert other.study("far") == far.study("far")
    assert list(check(other, ["far"])) == []
    other.close()


def test_merging_does_not_mind_the_order_of_trials(store: Store, tmp_path: Path):
    import_study(store, imported(), RUNS[::-1], {})
    other = Store(str(tmp_path / "other.db"), create=True)
    assert [(one.taken, one.there) for one in merge(other, store, [])] == [(4, 0)]
    assert [(one.taken, one.there) for one in merge(other, store, [])] == [(0, 4)]
    other.close()


def test_merging_refuses_another_study_of_the_name(far: Store, tmp_path: Path):
    other = Store(str(tmp_path / "other.db"), create=True)
    import_study(other, imported(), RUNS[:2], {})
    with pytest.raises(UsageError, match="another study 'far' is there, nothing was taken"):
        list(merge(other, far, []))
    assert len(other.cells("far")) == 2
    other.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "digits"}, 'the task "imported" and the design "imported" go together'),
        (
            {"panel": [{"pair": "sgd", "alpha": [1], "lambda": [0]}]},
            'the task "imported" and the design "imported" go together',
        ),
    ],
)
def test_trained_here_or_elsewhere(changes: dict, message: str):
    with pytest.raises(Exception, match=message):
        imported(**changes)
