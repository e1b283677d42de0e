"""What a user would run instead: Optuna's GridSampler and a plain objective with torch.optim.

    python -m benchmarks.loop STUDY.toml DATABASE.db --processes 2 --fused --channels-last

One Optuna study per panel, on SQLite, named as this tool names its own, so that one reader
serves both. Nothing of the tool trains here: of `study/` only the task (data, network, loss),
the schedule's η and the study file are used.
"""

from __future__ import annotations

import fnmatch
import functools
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import joblib
import optuna
import torch
from torch import Tensor, nn

from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Panel, Study
from landscape_study.study.store import optuna_study_name
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.task import Task

BUSY_TIMEOUT = 60  # seconds that SQLite waits for another process
PROBE_STEPS = 24  # of the probe for channels-last, at most
PROBE_SECONDS = 4.0


@dataclass(frozen=True)
class Care:
    """What a user may do who knows torch well; by default nothing."""

    fused: bool | None = None  # as torch.optim takes it: its fused implementations
    channels_last: bool = False  # network and images in that memory format

    def format(self, tensor: Tensor) -> Tensor:
        """A batch in the memory format of the network."""
        if not self.channels_last:
            return tensor
        return tensor.contiguous(memory_format=torch.channels_last)

    def network(self, task: Task) -> nn.Module:
        """A new network in its memory format."""
        network = task.network()
        if self.channels_last:
            return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network


def make_optimizer(
    pair: str,
    network: nn.Module,
    alpha: float,
    lambda_: float,
    options: Options,
    fused: bool | None = None,
) -> torch.optim.Optimizer:
    """The pair as torch.optim has it, at its own default implementation unless `fused`.

    - `sgd`: SGD(lr=α, momentum=β1, weight_decay=λ). Its buffer does not hold η, unlike the
      paper's m = β1·m + η·α·g: while η varies, a slightly different rule.
    - `sgdw`: the same without weight_decay; `train` takes the decay η·λ·θ before each step.
    - `adam`: Adam(lr=α, weight_decay=λ), exactly the paper's.
    - `adamw`: AdamW(lr=α, weight_decay=λ/α), since torch multiplies its factor by α.
    - `adamw-torch`: AdamW(lr=α, weight_decay=λ).
    """
    decayed, spared = decay_groups(network, options)
    betas, momentum = (options.beta1, options.beta2), options.momentum

    def groups(decay: float) -> list[dict[str, Any]]:
        return [{"params": decayed, "weight_decay": decay}, {"params": spared}]

    match pair:
        case "sgd":
            return torch.optim.SGD(groups(lambda_), lr=alpha, momentum=momentum, fused=fused)
        case "sgdw":
            return torch.optim.SGD(groups(0), lr=alpha, momentum=momentum, fused=fused)
        case "adam":
            return torch.optim.Adam(groups(lambda_), alpha, betas, options.eps, fused=fused)
        case "adamw" | "adamw-torch":
            decay = lambda_ / alpha if pair == "adamw" else lambda_
            return torch.optim.AdamW(
                groups(decay), alpha, betas, options.eps, weight_decay=0, fused=fused
            )
    raise click.UsageError(f"pair '{pair}' has no counterpart in torch.optim here")


def decay_groups(
    network: nn.Module, options: Options
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that decay, and those whose names say that they do not."""
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, p in network.named_parameters():
        patterns = (*options.no_decay, *(f"*.{pattern}" for pattern in options.no_decay))
        groups[any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)].append(p)
    return groups


def train(
    task: Task,
    panel: Panel,
    alpha: float,
    lambda_: float,
    *,
    seed: int,
    batch_size: int,
    options: Options,
    care: Care = Care(),
) -> dict[str, list[float]]:
    """Train one cell; its curves, one value an epoch, errors in percent or the task's own unit.

    In-memory tensors and a shuffled index instead of a DataLoader, which would be slower.
    """
    data, epochs = task.data(), panel.epochs or task.epochs
    examples = len(data.train_targets)
    per_epoch = math.ceil(examples / batch_size)
    torch.manual_seed(seed)
    network = care.network(task)
    parameters = list(network.parameters())
    optimizer = make_optimizer(panel.pair, network, alpha, lambda_, options, care.fused)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: panel.schedule.eta(step / per_epoch, epochs)
    )
    curves: dict[str, list[float]] = {"train_loss": [], "test_loss": [], "value": []}
    for _ in range(epochs):
        network.train()
        loss_sum = 0.0
        for indices in torch.randperm(examples).split(batch_size):
            optimizer.zero_grad()
            outputs = network(care.format(data.train_inputs[indices]))
            loss = task.loss(outputs, data.train_targets[indices])
            loss.backward()
            if math.isfinite(options.clip_norm):
                nn.utils.clip_grad_norm_(parameters, options.clip_norm)
            if panel.pair == "sgdw":
                decay(parameters, scheduler.get_last_lr()[0] / alpha * lambda_)
            optimizer.step()
            scheduler.step()
            loss_sum += loss.item() * len(indices)
        inputs = care.format(data.test_inputs)
        last = loss_sum / examples, *evaluate(task, network, inputs, data.test_targets)
        for curve, value in zip(curves.values(), last, strict=True):
            curve.append(value)
    return curves


@torch.no_grad()
def decay(parameters: Iterable[nn.Parameter], share: float | Tensor) -> None:
    """Take that share off every parameter."""
    for p in parameters:
        p.mul_(1 - share)


@torch.no_grad()
def evaluate(
    task: Task, network: nn.Module, inputs: Tensor, targets: Tensor
) -> tuple[float, float]:
    """Test loss; and the task's own metric, or else the test error in percent."""
    network.eval()
    outputs = network(inputs)
    loss = task.loss(outputs, targets).item()
    for measure in task.metrics:
        return loss, measure.total(outputs, targets).item() / len(targets)
    return loss, 100 * (outputs.argmax(dim=-1) != targets).float().mean().item()


def objective(trial: optuna.Trial, study: Study, task: Task, panel: Panel, care: Care) -> float:
    """Train the cell that the trial names; the final value of the task's metric.

    The curves go into one user attribute: reported epoch by epoch, each value would be a
    transaction of its own.
    """
    alphas, lambdas = panel.grid.alpha.values, panel.grid.lambda_.values
    curves = train(
        task,
        panel,
        trial.suggest_float("alpha", alphas[0], alphas[-1]),
        trial.suggest_float("lambda", lambdas[0], lambdas[-1]),
        seed=study.seeds[0],
        batch_size=study.batch_size or task.batch_size,
        options=study.options,
        care=care,
    )
    trial.set_user_attr("curves", curves)
    trial.set_user_attr("train_loss", curves["train_loss"][-1])
    return curves["value"][-1]


def optimize_share(study: Study, url: str, share: int, shares: int, care: Care) -> None:
    """Train every panel's share of cells, in this process, one after the other.

    GridSampler gives trial number i cell i of the grid, shuffled under its seed: processes whose
    shares add up to the grid train each cell once.
    """
    # One thread: as fast as two for the small networks on an idle machine, and ten times faster
    # on a busy one, where OpenMP's threads wait for each other.
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    task = load_task(study.task)
    for panel in study.panels:
        space = {"alpha": panel.grid.alpha.values, "lambda": panel.grid.lambda_.values}
        optuna_study = optuna.load_study(
            study_name=optuna_study_name(study.name, panel.name, study.seeds[0]),
            storage=make_storage(url),
            sampler=optuna.samplers.GridSampler(space, seed=0),
        )
        cells = range(share, len(panel.cells()), shares)
        call = functools.partial(objective, study=study, task=task, panel=panel, care=care)
        if cells:
            optuna_study.optimize(call, n_trials=len(cells))


def run(study: Study, url: str, processes: int, care: Care) -> None:
    """Train all cells of the study's panels under its first seed, in so many processes."""
    create_studies(study, url)
    if processes == 1:
        optimize_share(study, url, 0, 1, care)
        return
    job = joblib.delayed(optimize_share)
    joblib.Parallel(n_jobs=processes)(
        job(study, url, share, processes, care) for share in range(processes)
    )


def create_studies(study: Study, url: str) -> None:
    """One Optuna study a panel, without trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for panel in study.panels:
        name = optuna_study_name(study.name, panel.name, study.seeds[0])
        optuna.create_study(study_name=name, storage=make_storage(url), direction="minimize")


def make_storage(url: str) -> optuna.storages.RDBStorage:
    """Optuna's own storage, patient enough for several processes."""
    return optuna.storages.RDBStorage(
        url, engine_kwargs={"connect_args": {"timeout": BUSY_TIMEOUT}}
    )


def channels_last_pays(study: Study) -> bool | None:
    """Whether a short training is faster in channels-last; None where inputs are no images."""
    task = load_task(study.task)
    if task.data().train_inputs.ndim != 4:
        return None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        plain, last = (_step_seconds(task, Care(True, chosen)) for chosen in (False, True))
    finally:
        torch.set_num_threads(threads)
    return last < plain


def _step_seconds(task: Task, care: Care) -> float:
    """The fastest of a few training steps."""
    data = task.data()
    network = care.network(task)
    optimizer = torch.optim.AdamW(network.parameters(), fused=care.fused)
    indices = torch.arange(len(data.train_targets))[: task.batch_size]
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < PROBE_STEPS and time.perf_counter() - started < PROBE_SECONDS:
        begun = time.perf_counter()
        optimizer.zero_grad()
        outputs = network(care.format(data.train_inputs[indices]))
        task.loss(outputs, data.train_targets[indices]).backward()
        optimizer.step()
        times.append(time.perf_counter() - begun)
    return min(times)


@click.command()
@click.argument("study_file", type=click.Path(exists=True, path_type=Path))
@click.argument("database", type=click.Path(path_type=Path))
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--fused", is_flag=True, help="Use torch.optim's fused implementations.")
@click.option("--channels-last", is_flag=True, help="Train in that memory format.")
def main(
    study_file: Path, database: Path, processes: int, fused: bool, channels_last: bool
) -> None:
    """Train the cells of STUDY_FILE into DATABASE with Optuna and torch.optim."""
    care = Care(fused or None, channels_last)
    run(Study.from_file(study_file), f"sqlite:///{database}", processes, care)


if __name__ == "__main__":
    # By its module's name: what joblib sends to other processes must be importable there.
    from benchmarks.loop import main as importable_main

    importable_main()
