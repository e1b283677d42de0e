"""Top-1 and Top-5 error: from the outputs to the database and to figures."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
import torch
from torch import nn

from landscape_study.landscapes.figures.heatmaps.heatmap_record import error_label
from landscape_study.landscapes.figures.study_figure import study_figure
from landscape_study.landscapes.reading.frames import cells_frame, curves_frame
from landscape_study.landscapes.reading.panels import study_panels
from landscape_study.landscapes.reporting.sentences import figure_lines
from landscape_study.study.errors import UsageError
from landscape_study.study.planning.plan import make_plan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.running.driver import run
from landscape_study.study.spec.figure_kinds import FIGURE_KINDS
from landscape_study.study.spec.metric import (
    METRICS,
    RECORDED,
    TOP5,
    TOP5_ERROR,
    filled,
)
from landscape_study.study.spec.study import Cell, Figure, Study
from landscape_study.study.store import Store, optuna_study_name
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.task import metrics_of
from landscape_study.study.training import batches
from landscape_study.study.training.engines import ENGINES, Assignment
from tests.conftest import make_study
from tests.study.chunks import CELLS, assert_equals_plain_loop
from tests.study.user_tasks import many_classes

# Top-1 and Top-5


@pytest.mark.arithmetic
@pytest.mark.parametrize("engine", ["captured", "vmap", "referee"])
def test_top_5_is_recorded_where_there_are_more_than_10_classes(engine, make_panel, train):
    panel = make_panel("adamw")
    trained = train(many_classes, panel, engine=engine, metric=TOP5_ERROR)
    assert tuple(trained.outcome.curves) == (*RECORDED, TOP5)
    assert_equals_plain_loop(trained, many_classes, panel)
    curves = trained.outcome.curves
    assert (curves[TOP5] <= curves["test_error"]).all()
    assert (curves[TOP5] < curves["test_error"]).any()
    assert trained.outcome.metric == TOP5_ERROR


def test_top_5_is_a_hit_among_five(monkeypatch):
    """The target is ranked first, fifth, sixth and last."""
    outputs, targets = -torch.arange(12.0).expand(4, 12), torch.tensor([0, 4, 5, 11])
    data = Data(outputs, targets, outputs, targets)
    network = nn.Identity()
    network.weight = nn.Parameter(torch.zeros(1))
    task = replace(many_classes, network=lambda: network)
    engine = ENGINES["vmap"](Assignment(task, "sgd", [Cell(1, 0), Cell(2, 0)]))
    for most in (1, 3, 4):
        monkeypatch.setattr(batches, "TEST_SLICE", most)
        found = batches.evaluate(engine, data.test, 10)
        assert found["test_error"].tolist() == [75, 75]
        assert found[TOP5].tolist() == [50, 50]


def test_diverged_cells_have_the_chance_level_of_each_error(make_panel, train):
    panel, cells = make_panel("sgd", "constant", epochs=2), [Cell(1e200, 0.1), CELLS[0]]
    outcome = train(many_classes, panel, cells).outcome
    assert outcome.diverged_epoch.tolist() == [1, 0]
    assert outcome.curves["test_error"][0].tolist() == [np.float32(100 * (1 - 1 / 12))] * 2
    assert outcome.curves[TOP5][0].tolist() == [np.float32(100 * (1 - 5 / 12))] * 2
    assert np.isfinite(outcome.curves[TOP5][1]).all()


@pytest.mark.parametrize(("classes", "recorded"), [(2, False), (10, False), (11, True)])
def test_top_5_needs_more_than_10_classes(classes, recorded):
    assert (TOP5 in metrics_of(replace(many_classes, classes=classes))) is recorded


# From the study to its figure


def study_of_12(metric: str) -> Study:
    study = make_study(task="tests.study.user_tasks:many_classes", pairs=("adamw",), batch_size=5)
    return study.change(metric=filled(metric))


@pytest.fixture
def trained(store: Store, request: pytest.FixtureRequest) -> Study:
    """The small study on 12 classes, trained by a worker."""
    plan = make_plan(study_of_12(request.param), RunSettings(device="cpu", workers=1, chunk=6))
    store.create(plan.study, plan.identity, plan.chunks)
    run(plan, store)
    return plan.study


@pytest.mark.long
@pytest.mark.parametrize(
    ("trained", "metric", "label"),
    [
        (TOP5, TOP5, "Top-5 test error (%), 1 seed"),
        ("test_error", "test_error", "test error (%), 1 seed"),
        ("test_loss", "test_loss", "test loss, 1 seed"),
    ],
    indirect=["trained"],
)
def test_the_studys_error_is_what_is_recorded_and_drawn(
    store: Store, trained: Study, metric: str, label: str
):
    cells, curves = cells_frame(store, "small"), curves_frame(store, "small")
    assert len(cells) == 6
    assert curves[list(RECORDED)].notna().all(axis=None)
    assert (curves[TOP5] <= curves["test_error"]).all()
    assert (curves[TOP5] < curves["test_error"]).any()
    last = curves[curves["epoch"] == 3]
    place = ["alpha", "lambda"]
    both = cells.merge(last, on=place, suffixes=("", "_curve"))
    np.testing.assert_allclose(both[metric], both[f"{metric}_curve"], rtol=1e-6)
    name = optuna_study_name("small", "adamw", 0)
    for trial in optuna.load_study(study_name=name, storage=store.url).trials:
        at = {"alpha": trial.params["alpha"], "lambda": trial.params["lambda"]}
        own = curves[np.isclose(curves[place], list(at.values()), rtol=1e-9).all(axis=1)]
        assert trial.value == pytest.approx(own[metric].iloc[-1])
        assert list(trial.intermediate_values.values()) == pytest.approx(list(own[metric]))
    for kind in FIGURE_KINDS.keys() - {"law"}:  # which needs panels of several sizes
        assert study_figure(store, "small", kind=kind).axes
        assert figure_lines(store, "small", kind=kind) is not None
    (panel,) = study_panels(store, "small")
    assert panel.landscape.metric == METRICS[metric]
    assert error_label([panel.landscape]) == label


@pytest.mark.parametrize(
    ("field", "changes"),
    [("metric", {"metric": TOP5_ERROR}), ("figure.metrics", {"figure": Figure(metrics=(TOP5,))})],
)
def test_a_task_of_few_classes_has_no_top_5(field, changes):
    with pytest.raises(UsageError) as caught:
        make_plan(make_study().change(**changes), RunSettings(device="cpu"))
    assert str(caught.value) == (
        f"study 'small': {field} = \"top5_error\" needs more than 10 classes, task "
        "'examples.spirals:spirals' has 2: take a task that has more, or a study file that says "
        '"test_error" instead; `landscape show` prints a preset\'s'
    )
