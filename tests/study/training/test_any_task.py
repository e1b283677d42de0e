"""Tasks of any kind train as plain loops do, by every engine; what is wrong is told before."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape_study.study.errors import TaskError
from landscape_study.study.spec.metric import LOSSES, Metric
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.measures import Measure, require_measures
from landscape_study.study.tasks.refusals import check_task
from landscape_study.study.tasks.task import Task, main_metric, metrics_of, require_task
from tests.study.agreement.trials import why_not
from tests.study.any_tasks import (
    EVERY,
    MAE,
    absolute,
    bigrams,
    drawn,
    language,
    multi_label,
    numbers,
    regression,
    segmentation,
    split,
    two_layers,
)
from tests.study.chunks import CELLS, assert_equals_plain_loop

# Training


def trainings():
    """Every task by every engine; compiled, which takes long, the sequences alone."""
    for name in EVERY:
        for engine in ("vmap", "captured", "referee"):
            yield pytest.param(EVERY[name], engine, id=f"{name}-{engine}")
    yield pytest.param(EVERY["language"], "compiled", id="compiled", marks=pytest.mark.long)


@pytest.mark.arithmetic
@pytest.mark.parametrize(("task", "engine"), list(trainings()))
def test_every_engine_equals_plain_loops(task, engine, make_panel, train):
    panel = make_panel("adamw")
    trained = train(task, panel, engine=engine)
    assert tuple(trained.outcome.curves) == (*LOSSES, task.metrics[0].name)
    assert_equals_plain_loop(trained, task, panel)


@pytest.mark.arithmetic
def test_what_is_measured_is_the_mean_over_all_test_examples(make_panel, train, monkeypatch):
    """By a formula of its own, whatever the slices of the test set are."""
    monkeypatch.setattr("landscape_study.study.training.batches.TEST_SLICE", 4)
    panel = make_panel("sgd")
    trained = train(regression, panel)
    network = two_layers(2).double()
    data = numbers()
    for k in range(len(CELLS)):
        nn.utils.vector_to_parameters(trained.theta[k], network.parameters())
        outputs = network(data.test_inputs.double()).detach().numpy()
        mean = np.abs(outputs - data.test_targets.numpy()).mean()
        assert trained.outcome.curves["mae"][k, -1] == pytest.approx(mean, rel=1e-6)


@pytest.mark.arithmetic
def test_metrics_beside_classes_and_with_tensors_of_their_own(make_task, make_panel, train):
    """A module as the measure: its weights follow the precision of the study."""

    class Costs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("costs", torch.tensor([0.3, 1.0, 2.0]))

        def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return (self.costs[targets] * (outputs.argmax(dim=-1) != targets)).sum()

    cost = Measure(Metric("cost", "cost"), Costs())
    task = make_task(partial(two_layers, 3), metrics=(cost,))
    trained = train(task, make_panel("adamw"))
    assert tuple(trained.outcome.curves) == (*LOSSES, "test_error", "cost")
    precise = replace(task, metrics=(replace(cost, total=Costs().double()),))
    assert_equals_plain_loop(trained, precise, make_panel("adamw"))


@pytest.mark.parametrize("engine", ["vmap", "referee"])
def test_diverged_cells_have_no_invented_value(engine, make_panel, train):
    panel = make_panel("sgd", "constant", epochs=2)
    for task, value in ((regression, np.nan), (multi_label, 0.0)):
        outcome = train(task, panel, [Cell(1e200, 0.1), CELLS[2]], engine=engine).outcome
        assert outcome.diverged_epoch.tolist() == [1, 0]
        np.testing.assert_array_equal(outcome.curves[task.metrics[0].name][0], [value] * 2)
        assert np.isfinite(outcome.curves[task.metrics[0].name][1]).all()


def test_a_cell_whose_metric_is_no_number_diverged(make_panel, train):
    """Where the loss is one still."""
    lost = Measure(MAE, lambda o, t: (o * torch.inf).sum())
    task = replace(regression, metrics=(lost,))
    outcome = train(task, make_panel("sgd", epochs=2)).outcome
    assert outcome.diverged_epoch.tolist() == [1] * len(CELLS)


@pytest.mark.parametrize("task", [regression, language], ids=lambda task: task.name)
def test_the_trial_finds_that_engines_train_it_as_the_referee(task):
    """With a stop and a restart from a checkpoint in between."""
    assert why_not("captured", task) is None


def test_a_metric_that_vmap_cannot_take_is_left_to_the_referee():
    branching = Measure(MAE, lambda o, t: absolute(o, t) if o.sum() > 0 else absolute(t, o))
    assert why_not("vmap", replace(regression, metrics=(branching,))) is not None


# What a study of it is of


def test_the_first_metric_is_the_studys_else_the_error_else_the_loss(make_task):
    assert main_metric(regression) == MAE
    assert main_metric(replace(regression, metrics=())).name == "test_loss"
    assert main_metric(make_task(partial(two_layers, 3))).name == "test_error"
    assert [*metrics_of(regression)] == ["train_loss", "test_loss", "mae"]


# Refusals


def of(**changes: object) -> Task:
    return replace(regression, **changes)  # type: ignore[arg-type]


def measured(total: object, **changes: object) -> Task:
    return of(metrics=(Measure(MAE, total),), **changes)  # type: ignore[arg-type]


def r_squared(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    spread = (targets - targets.mean(dim=0)).square().sum()
    return len(targets) * (1 - (outputs - targets).square().sum() / spread)


def flat_targets() -> Data:
    """[B], of a network that gives [B, 1]."""
    return split(drawn(6), drawn(6)[:, 0])


SUM = r"; expected .*the sum over the examples, as \(outputs - targets\)"
REFUSED = {
    "R² is no sum": (
        measured(r_squared),
        "metric 'mae' gave .* but .* for their pairs, added up" + SUM,
    ),
    "a mean": (measured(lambda o, t: (o - t).abs().mean()), "metric 'mae' gave .*" + SUM),
    "a mean of hits that an untrained network never has": (
        replace(
            multi_label,
            metrics=(Measure(MAE, lambda o, t: (o > 9).all(dim=1).float().mean()),),
            data=lambda: split(drawn(6), torch.full((40, 3), 20.0)),
            loss=functional.mse_loss,
        ),
        "metric 'mae' gave 1 for 17 examples, but 8 for their pairs, added up" + SUM,
    ),
    "the root of a mean": (
        measured(lambda o, t: len(t) * (o - t).square().mean().sqrt()),
        "metric 'mae' gave .* but .* for their pairs, added up" + SUM,
    ),
    "a number an example": (
        measured(lambda o, t: (o - t).abs().mean(dim=1)),
        r"metric 'mae' of outputs \[17, 2\], targets \[17, 2\] gave a tensor of shape \[17\]",
    ),
    "a float": (measured(lambda o, t: 1.0), "metric 'mae' of .* gave float; expected a scalar"),
    "infinite": (
        measured(lambda o, t: (o * torch.inf).sum()),
        "metric 'mae' gave -?(inf|nan); expected a finite number for the outputs of an untrained",
    ),
    "a metric that fails": (
        measured(lambda o, t: (o - t[:, :1, None]).foo()),
        r"metric 'mae' of outputs .* failed: AttributeError",
    ),
    "targets that no loss takes": (
        replace(segmentation, loss=functional.mse_loss),
        r"loss\(\) failed: ValueError: outputs \[5, 3, 5, 5\] \(float32\) and targets \[5, 5, 5\] "
        r"\(int64\): .*: give targets as the loss takes them",
    ),
    "targets that are broadcast": (
        of(data=flat_targets, network=partial(two_layers, 1), metrics=()),
        r"outputs \[5, 1\] \(float32\) and targets \[5\] \(float32\): they have other shapes",
    ),
    "targets that are broadcast by a loss of one's own": (
        of(
            data=flat_targets,
            network=partial(two_layers, 1),
            metrics=(),
            loss=lambda o, t: (o - t).square().mean(),
        ),
        r"loss\(\) gave a number in which each output is held against each target, of outputs "
        r"\[17, 1\] and targets \[17\]; expected targets of the shape of the outputs",
    ),
    "a sum as the loss": (
        of(loss=nn.MSELoss(reduction="sum")),
        r"loss\(\) gave the sum over 17 examples; expected their mean, however many there are",
    ),
    "a loss that trains nothing": (
        of(loss=lambda o, t: (o.detach() - t).square().mean()),
        r"loss\(\) gave a number that depends on no parameter of the network; expected one that",
    ),
    "a loss for each example": (
        of(loss=lambda o, t: (o - t).square().mean(dim=1)),
        r"loss\(\) gave a tensor of shape \[5\]; expected a scalar",
    ),
    "a loss that is no number": (
        of(loss=lambda o, t: (o - t).log().mean()),
        r"loss\(\) gave nan for outputs \[5, 2\] \(float32\) and targets \[5, 2\] \(float32\)",
    ),
    "outputs without the batch first": (
        replace(language, network=lambda: nn.Sequential(bigrams(), Turned())),
        r"gave a tensor of shape \[4, 5, 7\]; expected outputs with the examples first, \[5, …\]: "
        r"turn them in the network, as by outputs.movedim\(1, 0\)",
    ),
    "several outputs": (
        of(network=lambda: nn.Sequential(nn.Linear(6, 2), Twice())),
        r"gave a tuple, no tensor; expected the outputs alone, \[5, …\]: return a module that pi",
    ),
    "as many targets": (
        of(data=lambda: replace(numbers(), test_targets=torch.zeros(3, 2))),
        r"data\(\): test_targets gave 17 inputs and 3 targets; expected as many inputs as targets",
    ),
    "targets of other shapes": (
        of(data=lambda: replace(numbers(), test_targets=torch.zeros(17, 3))),
        r"data\(\) gave a tensor of shape \[23, 2\] to train on, a tensor of shape \[17, 3\]",
    ),
    "a target": (
        of(data=lambda: replace(numbers(), train_targets=torch.tensor(1.0))),
        r"data\(\): train_targets gave a single number; expected examples: shape \[B, …\]",
    ),
    "numbers as classes": (
        of(classes=2),
        "train_targets gave torch.float32 of shape .*; expected class numbers: int64 of shape "
        r"\[B\]; or a task without classes",
    ),
}


class Turned(nn.Module):
    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.movedim(0, 1)


class Twice(nn.Module):
    def forward(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return outputs, outputs


@pytest.mark.parametrize(("task", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_or_measured_is_told(task, message):
    with pytest.raises(TaskError, match=f"task '{task.name}': .*{message}"):
        check_task(task, [(5, 1)])


@pytest.mark.parametrize("task", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_tasks_of_any_kind_pass(task, precision):
    assert check_task(task, [(5, 1), (5, 2)], precision) is not None


def weighted(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """By the size of the targets."""
    size = targets.abs().mean(dim=1)
    return (size * (outputs - targets).square().mean(dim=1)).sum() / size.sum()


@pytest.mark.parametrize(
    "loss",
    [
        weighted,
        lambda o, t: (o - t).square().mean().sqrt(),
        lambda o, t: (o[:, None] - t).square().mean(),  # means to compare all with all
        lambda o, t: functional.mse_loss(o, t + torch.randn_like(t)),
    ],
)
def test_losses_that_are_no_mean_pass_where_they_may_be_meant(loss):
    assert check_task(of(loss=loss), [(5, 1)]) is not None


def test_a_loss_may_take_targets_of_another_shape():
    task = of(
        data=flat_targets,
        network=partial(two_layers, 1),
        metrics=(),
        loss=lambda o, t: functional.mse_loss(o[:, 0], t),
    )
    assert check_task(task, [(5, 1)]) is not None


def test_signed_sums_pass_and_counts_and_objects_of_other_classes():
    for total in (lambda o, t: (o - t).sum(), lambda o, t: (o > t).any(dim=1).sum()):
        assert check_task(measured(total), [(5, 1)]) is not None

    class Own:
        name, classes, batch_size, epochs = "own", None, 5, 3

        def __getattr__(self, name: str) -> object:
            if name == "metrics":
                raise AttributeError(name)
            return getattr(regression, name)

    require_task(Own(), "own")
    assert check_task(Own(), [(5, 1)]) is not None  # type: ignore[arg-type]
    assert [*metrics_of(Own())] == [*LOSSES]  # type: ignore[arg-type]


NAMES = {
    "test_loss": "is called as another column of all tables: call it test_loss_measured, say",
    "test_error": "is called as another column",
    "alpha": "is called as another column",
    "": "has a name of 0 characters: give one of 1 to 32",
    "x" * 33: "has a name of 33 characters",
}


@pytest.mark.parametrize(("name", "message"), NAMES.items())
def test_names_of_metrics_are_columns(name, message, make_task):
    task = make_task(partial(two_layers, 3), metrics=(Measure(Metric(name, "t"), absolute),))
    with pytest.raises(TaskError, match=f"task 'x': metric '{name}' {message}"):
        require_task(task, "x")


def test_metrics_are_measures_each_of_its_own_name_with_a_goal():
    with pytest.raises(TaskError, match="metrics are a function; expected a tuple of landscape_"):
        require_measures(absolute, (), "task 'x'")
    with pytest.raises(TaskError, match="task 'x': metrics are a Measure; expected a tuple of"):
        require_task(of(metrics=Measure(MAE, absolute)), "x")
    with pytest.raises(TaskError, match="metrics hold a function; expected a tuple of landscape_"):
        require_measures([absolute], (), "task 'x'")
    with pytest.raises(TaskError, match="metric 'mae' stands there twice"):
        require_measures([Measure(MAE, absolute)] * 2, (), "task 'x'")
    wrong = replace(MAE, goal="min")  # type: ignore[arg-type]
    with pytest.raises(TaskError, match='metric \'mae\' has the goal "min": give "minimize" or'):
        require_measures((Measure(wrong, absolute),), (), "task 'x'")


@pytest.mark.parametrize("classes", [0, -1, "3", 2.5])
def test_classes_are_counted(classes):
    require_task(of(classes=np.int64(3)), "x")
    with pytest.raises(TaskError, match=f"task 'x': classes = {classes!r}; expected how many"):
        require_task(of(classes=classes), "x")


@pytest.mark.parametrize("value", [-5, 2.5, "50"])
@pytest.mark.parametrize("number", ["batch_size", "epochs"])
def test_batch_size_and_epochs_are_counted(number, value):
    require_task(of(**{number: np.int64(3)}), "x")
    with pytest.raises(TaskError, match=f"task 'x': {number} = {value!r}; expected a number from"):
        require_task(of(**{number: value}), "x")


def test_a_task_without_batch_size_or_epochs_is_told():
    with pytest.raises(TypeError, match="task 'x' lacks batch_size and epochs: give a number"):
        Task("x", partial(two_layers, 2), numbers)
