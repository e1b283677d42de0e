"""What a good user writes by hand: PyTorch's tutorial on model ensembling, with an update rule.

    python -m benchmarks.ensemble STUDY.toml DATABASE.db

All cells of a pair are one ensemble: `stack_module_state`, `functional_call`, `vmap` and `grad`,
and the update rule on the stacked parameters, with α and λ as vectors. One process, all threads.

Letters: K cells of the pair.
"""

from __future__ import annotations

import copy
from datetime import datetime
from pathlib import Path

import click
import optuna
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from benchmarks.loop import create_studies, make_storage
from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Panel, Study
from landscape_study.study.store import optuna_study_name
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.task import TaskProtocol

SAME_BATCH = (0, 0, None, None)  # parameters and buffers of each cell, one batch for all
EVALUATED = 500  # test examples at once: all of them, times K, take memory and are slower

Tensors = dict[str, Tensor]  # by the parameter's name, [K, …]


class Updates:
    """The pairs as torch.optim has them, on stacked parameters (see `loop.make_optimizer`)."""

    def __init__(self, panel: Panel, options: Options, parameters: Tensors) -> None:
        cells, like = panel.cells(), next(iter(parameters.values()))
        self.pair, self.options, self.t = panel.pair, options, 0
        self.alpha = like.new_tensor([cell.alpha for cell in cells])
        self.lambda_ = like.new_tensor([cell.lambda_ for cell in cells])
        self.m = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.v = {name: torch.zeros_like(p) for name, p in parameters.items()}

    @torch.no_grad()
    def step(self, parameters: Tensors, gradients: Tensors, eta: float) -> None:
        """One step, in place."""
        o, self.t = self.options, self.t + 1
        for name, p in parameters.items():
            g, m, v = gradients[name], self.m[name], self.v[name]
            each_cell = (-1, *[1] * (p.ndim - 1))
            rate = eta * self.alpha.view(each_cell)
            lambda_ = self.lambda_.view(each_cell)
            if self.pair in ("sgd", "adam"):
                g = g + lambda_ * p
            else:
                p.mul_(1 - eta * lambda_)
            if self.pair.startswith("sgd"):
                m.mul_(o.momentum).add_(g)
                p.sub_(rate * m)
            else:
                m.lerp_(g, 1 - o.beta1)
                v.mul_(o.beta2).addcmul_(g, g, value=1 - o.beta2)
                denominator = (v / (1 - o.beta2**self.t)).sqrt_().add_(o.eps)
                p.sub_(rate / (1 - o.beta1**self.t) * m / denominator)


def train(
    task: TaskProtocol, panel: Panel, *, seed: int, batch_size: int, options: Options
) -> dict[str, Tensor]:
    """Train all cells of a panel together; their curves, [K, epochs], errors in percent."""
    data, epochs = task.data(), panel.epochs or task.epochs
    examples, count = len(data.train_targets), len(panel.cells())
    torch.manual_seed(seed)
    network = task.network()
    parameters, buffers = stack_module_state([network] * count)
    parameters = {name: p.detach() for name, p in parameters.items()}
    base = copy.deepcopy(network).to("meta")

    def loss(p: Tensors, b: Tensors, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensors]:
        state = {**p, **b}  # functional_call leaves the new running statistics in it
        outputs = functional_call(base, state, (inputs,))
        return task.loss(outputs, targets), {name: state[name] for name in b}

    gradient = vmap(grad_and_value(loss, has_aux=True), SAME_BATCH, randomness="same")
    updates = Updates(panel, options, parameters)
    curves: dict[str, list[Tensor]] = {"train_loss": [], "test_loss": [], "test_error": []}
    for epoch in range(epochs):
        base.train()
        loss_sum = torch.zeros_like(updates.alpha)
        batches = torch.randperm(examples).split(batch_size)
        for i, indices in enumerate(batches):
            batch = data.train_inputs[indices], data.train_targets[indices]
            gradients, (losses, buffers) = gradient(parameters, buffers, *batch)
            eta = panel.schedule.eta(epoch + i / len(batches), epochs)
            updates.step(parameters, gradients, eta)
            loss_sum += losses * len(indices)
        curves["train_loss"].append(loss_sum / examples)
        for metric, values in evaluate(base, task, data, parameters, buffers).items():
            curves[metric].append(values)
    return {metric: torch.stack(values, dim=1) for metric, values in curves.items()}


@torch.no_grad()
def evaluate(
    base: nn.Module, task: TaskProtocol, data: Data, parameters: Tensors, buffers: Tensors
) -> Tensors:
    """Test loss and test error in percent of every cell, each [K]."""
    base.eval()

    def test(p: Tensors, b: Tensors, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        outputs = functional_call(base, (p, b), (inputs,))
        wrong = (outputs.argmax(dim=-1) != targets).float().mean()
        return task.loss(outputs, targets), 100 * wrong

    sums = torch.zeros(())
    slices = data.test_inputs.split(EVALUATED), data.test_targets.split(EVALUATED)
    for inputs, targets in zip(*slices, strict=True):
        found = vmap(test, SAME_BATCH)(parameters, buffers, inputs, targets)
        sums = sums + len(targets) * torch.stack(found)
    return dict(zip(("test_loss", "test_error"), sums / len(data.test_targets), strict=True))


def save(study: Study, panel: Panel, url: str, curves: dict[str, Tensor], began: datetime) -> None:
    """Write the panel's cells as Optuna trials."""
    name = optuna_study_name(study.name, panel.name, study.seeds[0])
    optuna_study = optuna.load_study(study_name=name, storage=make_storage(url))
    axes = {"alpha": panel.grid.alpha.values, "lambda": panel.grid.lambda_.values}
    ranges: dict[str, optuna.distributions.BaseDistribution] = {
        key: optuna.distributions.FloatDistribution(values[0], values[-1])
        for key, values in axes.items()
    }
    trials = []
    for k, cell in enumerate(panel.cells()):
        own = {metric: values[k].tolist() for metric, values in curves.items()}
        trial = optuna.trial.create_trial(
            params={"alpha": cell.alpha, "lambda": cell.lambda_},
            distributions=ranges,
            value=own["test_error"][-1],
            user_attrs={"curves": own, "train_loss": own["train_loss"][-1]},
        )
        trial.datetime_start = began
        trials.append(trial)
    optuna_study.add_trials(trials)


@click.command()
@click.argument("study_file", type=click.Path(exists=True, path_type=Path))
@click.argument("database", type=click.Path(path_type=Path))
def main(study_file: Path, database: Path) -> None:
    """Train the cells of STUDY_FILE into DATABASE, each pair as one ensemble."""
    study, url = Study.from_file(study_file), f"sqlite:///{database}"
    create_studies(study, url)
    task = load_task(study.task)
    batch_size = study.batch_size or task.batch_size
    for panel in study.panels:
        began = datetime.now()
        curves = train(
            task, panel, seed=study.seeds[0], batch_size=batch_size, options=study.options
        )
        save(study, panel, url, curves, began)


if __name__ == "__main__":
    main()
