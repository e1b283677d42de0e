"""What the tests hold the study against: plain loops with torch.optim, one network at a time.

Nothing here comes from pairs.optimizer or training.chunk. Letters: K cells, P parameters, B batch.
"""

import copy
import fnmatch
import math
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import schedulefree
import torch
from lion_pytorch import Lion
from torch import Tensor, nn

from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Cell, Panel
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.task import Task, metrics_of

Step = Callable[[float, float], None]  # (η, what a normalized λ is multiplied by)


@contextmanager
def in_double() -> Iterator[None]:
    """torch.optim.NAdam keeps the product of its momenta in the default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@dataclass(frozen=True)
class Group:
    """Parameters that share one λ, as a param group of torch.optim."""

    parameters: list[nn.Parameter]
    lambda_: float


def groups_of(network: nn.Module, lambda_: float, options: Options) -> list[Group]:
    """All trained parameters under λ, or 1-D ones and those that patterns name without."""
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    expressions = [rf"(.*\.)?{fnmatch.translate(pattern)}" for pattern in options.no_decay]
    free = {
        name: p
        for name, p in trained.items()
        if (p.ndim <= 1 and not options.decay_1d) or any(re.match(e, name) for e in expressions)
    }
    under = [p for name, p in trained.items() if name not in free]
    return (
        [Group(under, lambda_), Group(list(free.values()), 0.0)]
        if free
        else [Group(under, lambda_)]
    )


def _torch_adam(kind: type, divisor: Callable[[float], float]) -> Callable[..., Step]:
    """torch.optim.Adam or AdamW with lr = ηα and weight_decay = λ / divisor(α)."""

    def make(groups: list[Group], alpha: float, options: Options) -> Step:
        optimizer = kind(
            [{"params": group.parameters} for group in groups],
            betas=(options.beta1, options.beta2),
            eps=options.eps,
            foreach=False,
        )

        def step(eta: float, scale: float) -> None:
            for at_work, group in zip(optimizer.param_groups, groups, strict=True):
                at_work["lr"] = eta * alpha
                at_work["weight_decay"] = scale * group.lambda_ / divisor(alpha)
            optimizer.step()

        return step

    return make


Made = Callable[[list[nn.Parameter], Options], torch.optim.Optimizer]


def _adaptive(kind: type, **fixed: object) -> Made:
    """An optimizer of torch's with Adam's betas and ε."""

    def make(parameters: list[nn.Parameter], options: Options) -> torch.optim.Optimizer:
        betas = (options.beta1, options.beta2)
        made: torch.optim.Optimizer = kind(
            parameters, betas=betas, eps=options.eps, foreach=False, **fixed
        )
        return made

    return make


def _sgd(parameters: list[nn.Parameter], options: Options) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=1.0, momentum=options.momentum, foreach=False)


def _nesterov(parameters: list[nn.Parameter], options: Options) -> torch.optim.Optimizer:
    momentum = options.momentum
    has_any = momentum > 0  # torch's refuses none
    return torch.optim.SGD(parameters, lr=1.0, momentum=momentum, nesterov=has_any, foreach=False)


def _adagrad(parameters: list[nn.Parameter], options: Options) -> torch.optim.Optimizer:
    return torch.optim.Adagrad(parameters, eps=options.eps, foreach=False)


def _rmsprop(parameters: list[nn.Parameter], options: Options) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(parameters, alpha=options.beta2, eps=options.eps, foreach=False)


def _lion(parameters: list[nn.Parameter], options: Options) -> torch.optim.Optimizer:
    return Lion(parameters, betas=(options.beta1, options.beta2))


class MuonAndAdam:
    """torch.optim.Muon of hidden matrices, in their own precision; Adam or AdamW of the rest."""

    def __init__(
        self, parameters: list[nn.Parameter], options: Options, adam: type = torch.optim.Adam
    ) -> None:
        hidden = [p for p in parameters if p.ndim >= 2][1:-1]
        rest = [p for p in parameters if all(p is not other for other in hidden)]
        how = {"adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.0}
        self.muon = torch.optim.Muon(hidden, momentum=options.momentum, **how)
        self.adam = _adaptive(adam)(rest, options)
        self.param_groups = [*self.muon.param_groups, *self.adam.param_groups]

    def step(self) -> None:
        torch.Tensor.bfloat16 = lambda tensor: tensor  # type: ignore[method-assign]
        try:
            self.muon.step()
        finally:
            del torch.Tensor.bfloat16
        self.adam.step()


def _schedulefree_sgd(parameters: list[nn.Parameter], options: Options) -> torch.optim.Optimizer:
    return schedulefree.SGDScheduleFree(parameters, momentum=options.momentum, foreach=False)


OPTIMIZERS: dict[str, Made] = {
    "sgd": _sgd,
    "nesterov": _nesterov,
    "adam": _adaptive(torch.optim.Adam),
    "amsgrad": _adaptive(torch.optim.Adam, amsgrad=True),
    "nadam": _adaptive(torch.optim.NAdam),
    "radam": _adaptive(torch.optim.RAdam),
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "lion": _lion,
    "muon": MuonAndAdam,  # type: ignore[dict-item]
    "schedulefree-sgd": _schedulefree_sgd,
    "schedulefree-adam": _adaptive(schedulefree.AdamWScheduleFree),
}
FED = ("sgd", "nesterov")  # with ηα·g: torch's momentum buffer does not hold η, the paper's does
# What multiplies λ·θ where θ loses it, of η and α.
DECAYS: dict[str, Callable[[float, float], float]] = {
    "decoupled": lambda eta, alpha: eta,
    "scaled": lambda eta, alpha: eta * alpha,
    "unscheduled": lambda eta, alpha: 1.0,
    "corrected": lambda eta, alpha: eta**2 * alpha,
    "squared": lambda eta, alpha: (eta * alpha) ** 2,
}


class ScheduleFree:
    """A schedule-free optimizer of its authors' without decay of its own; λ enters by hand.

    What decays is lost by the fast point z, and by the weights as they lose what z loses by a
    gradient.
    """

    def __init__(
        self,
        groups: list[Group],
        alpha: float,
        options: Options,
        *,
        rule: str,
        placement: str,
        cautious: bool,
    ) -> None:
        self.groups, self.alpha, self.placement, self.cautious = groups, alpha, placement, cautious
        parameters = [p for group in groups for p in group.parameters]
        self.optimizer = OPTIMIZERS[rule](parameters, options)
        self.show(stepping=True)

    def show(self, stepping: bool) -> None:
        """Make the weights those that steps are of, or those that tests are of."""
        (self.optimizer.train if stepping else self.optimizer.eval)()  # type: ignore[attr-defined]

    @torch.no_grad()
    def __call__(self, eta: float, scale: float) -> None:
        moved = [(p, g.lambda_) for g in self.groups for p in g.parameters if p.grad is not None]
        before = {}
        for p, lambda_ in moved:
            z = self.optimizer.state[p].get("z", p)
            before[p] = p.clone(), z.clone()
            if self.placement == "l2":
                p.grad = p.grad + scale * lambda_ * p
        (group,) = self.optimizer.param_groups
        group["lr"] = eta * self.alpha
        self.optimizer.step()
        if self.placement == "l2":
            return
        share = group["lr_max"] ** 2 / group["weight_sum"]
        beta1 = group["betas"][0] if "betas" in group else group["momentum"]
        for p, lambda_ in moved:
            (y, z), new = before[p], self.optimizer.state[p]["z"]
            decay = DECAYS[self.placement](eta, self.alpha) * scale * lambda_ * y
            decay = torch.where((z - new) * y >= 0, decay, 0.0) if self.cautious else decay
            new -= decay
            p -= (1 - beta1 * (1 - share)) * decay


def _composed(rule: str, placement: str, cautious: bool = False) -> Callable[..., Step]:
    """An optimizer of others without decay of its own; λ enters by hand."""
    if rule.startswith("schedulefree"):
        return partial(ScheduleFree, rule=rule, placement=placement, cautious=cautious)

    def make(groups: list[Group], alpha: float, options: Options) -> Step:
        parameters = [p for group in groups for p in group.parameters]
        optimizer = OPTIMIZERS[rule](parameters, options)

        @torch.no_grad()
        def step(eta: float, scale: float) -> None:
            old = {p: p.clone() for p in parameters}
            moved = [(p, g.lambda_) for g in groups for p in g.parameters if p.grad is not None]
            for p, lambda_ in moved:  # torch.optim leaves the others alone
                if placement == "l2":
                    p.grad = p.grad + scale * lambda_ * p
                if rule in FED:
                    p.grad = eta * alpha * p.grad
            for group in optimizer.param_groups:
                group["lr"] = 1.0 if rule in FED else eta * alpha
            with in_double():
                optimizer.step()
            if placement == "l2":
                return
            for p, lambda_ in moved:
                decay = DECAYS[placement](eta, alpha) * scale * lambda_ * old[p]
                p -= torch.where((old[p] - p) * old[p] >= 0, decay, 0.0) if cautious else decay

        return step

    return make


SHORT = {
    "sgd-l2": "sgd",
    "sgd-decoupled": "sgdw",
    "sgd-scaled": "sgdw-torch",
    "adam-l2": "adam",
    "adam-decoupled": "adamw",
    "adam-scaled": "adamw-torch",
}
REFERENCES: dict[str, Callable[[list[Group], float, Options], Step]] = {
    **{
        SHORT.get(f"{rule}-{placement}", f"{rule}-{placement}"): _composed(rule, placement)
        for rule in OPTIMIZERS
        for placement in ("l2", *DECAYS)
    },
    **{
        f"{rule}-{placement}-cautious": _composed(rule, placement, cautious=True)
        for rule in OPTIMIZERS
        for placement in DECAYS
    },
    "adam": _torch_adam(torch.optim.Adam, lambda alpha: 1.0),
    "adamw": _torch_adam(torch.optim.AdamW, lambda alpha: alpha),
    "adamw-torch": _torch_adam(torch.optim.AdamW, lambda alpha: 1.0),
}


CLASSIC = ["sgd", "sgdw", "sgdw-torch", "adam", "adamw", "adamw-torch"]
# Each rule and each placement at least once, for tests that need not see all of them together.
SOME = [
    *CLASSIC,
    *("nesterov-decoupled", "amsgrad-l2", "nadam-scaled", "radam-unscheduled", "adagrad-squared"),
    *("rmsprop-corrected", "lion-scaled", "muon-scaled"),
    *("schedulefree-sgd-decoupled", "schedulefree-adam-scaled"),
    *("adam-decoupled-cautious", "sgd-corrected-cautious"),
]


@dataclass(frozen=True)
class PlainStep:
    """What one step was like, by torch's own norms."""

    gradient: float  # before clipping
    update: float  # of what it changed the parameters by
    is_clipped: bool


@dataclass(frozen=True)
class PlainRun:
    """One network after training, and its curves (one value an epoch).

    Attributes:
        steps: of each epoch, what each step was like.
        weights: norm of all trained parameters after each epoch.
    """

    network: nn.Module
    curves: dict[str, list[float]]
    steps: list[list[PlainStep]]
    weights: list[float]

    @property
    def theta(self) -> Tensor:
        """Trained parameters, flat [P]."""
        trained = [p.detach() for p in self.network.parameters() if p.requires_grad]
        return torch.cat([p.reshape(-1) for p in trained])


def stream(seed: int, purpose: int) -> torch.Generator:
    """The generator that decides batches (purpose 0) or augmentation (purpose 1)."""
    state = np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) // 2)


def plain_training(
    task: Task,
    data: Data,
    panel: Panel,
    cell: Cell,
    *,
    seed: int,
    batch_size: int,
    options: Options,
    lambda_scale: Callable[[float], float] = lambda t: 1.0,
) -> PlainRun:
    """Train one cell as a user would by hand; `lambda_scale` maps time (epochs) to a factor."""
    assert panel.epochs is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        network = _precise(task.network(), getattr(torch, options.precision))
        like = torch.zeros((), dtype=getattr(torch, options.precision))
        groups = groups_of(network, cell.lambda_, options)
        step = REFERENCES[panel.pair](groups, cell.alpha, options)
        order, augmentation = stream(seed, 0), stream(seed, 1)
        own = replace(task, loss=copy.deepcopy(task.loss), augment=copy.deepcopy(task.augment))
        if isinstance(own.loss, nn.Module):
            _precise(own.loss, like.dtype)
        curves: dict[str, list[float]] = {metric: [] for metric in metrics_of(task)}
        steps: list[list[PlainStep]] = []
        weights: list[float] = []
        trained = [p for p in network.parameters() if p.requires_grad]
        for epoch in range(panel.epochs):
            network.train()
            if isinstance(step, ScheduleFree):
                step.show(stepping=True)
            total = 0.0
            steps.append([])
            for t, indices in _batches(len(data.train_targets), batch_size, epoch, order):
                inputs = _as_network_takes(task, data.train_inputs[indices], like)
                inputs = own.augment(inputs, augmentation)
                network.zero_grad()
                targets, size = data.train_targets[indices], -(-len(indices) // options.accumulate)
                losses = []
                for some, wanted in zip(inputs.split(size), targets.split(size), strict=True):
                    loss = own.loss(network(some), wanted) * len(wanted) / len(indices)
                    loss.backward()
                    losses.append(loss.item())
                # Without a bound, it clips nothing, and gives the norm.
                norm = nn.utils.clip_grad_norm_(network.parameters(), options.clip_norm).item()
                before = [p.detach().clone() for p in trained]
                step(panel.schedule.eta(t, panel.epochs), lambda_scale(t))
                moved = [p.detach() - old for p, old in zip(trained, before, strict=True)]
                steps[-1].append(PlainStep(norm, _norm(moved), norm > options.clip_norm - 1e-6))
                total += sum(losses) * len(indices)
            weights.append(_norm(trained))
            if isinstance(step, ScheduleFree):
                step.show(stepping=False)
            curves["train_loss"].append(total / len(data.train_targets))
            _test(own, network, data, curves)
    return PlainRun(network, curves, steps, weights)


def _norm(parts: list[Tensor]) -> float:
    """Of all numbers together; a complex one has its absolute value."""
    return nn.utils.get_total_norm([part.detach() for part in parts]).item()


def _precise(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """With single precision as `dtype`, and nothing else changed."""
    complex_ = {torch.float32: torch.complex64, torch.float64: torch.complex128}[dtype]
    kinds = {torch.float32: dtype, torch.complex64: complex_}
    return module._apply(lambda tensor: tensor.to(kinds.get(tensor.dtype, tensor.dtype)))


def _batches(
    examples: int, size: int, epoch: int, order: torch.Generator
) -> Iterator[tuple[float, Tensor]]:
    shuffled = torch.randperm(examples, generator=order)
    per_epoch = math.ceil(examples / size)
    for i in range(per_epoch):
        yield epoch + i / per_epoch, shuffled[i * size : (i + 1) * size]


def _as_network_takes(task: Task, inputs: Tensor, like: Tensor) -> Tensor:
    """The stored inputs normalized, in the precision of `like` unless they are class numbers."""
    inputs = task.normalize(inputs)
    return inputs.to(like.dtype) if inputs.is_floating_point() else inputs


@torch.no_grad()
def _test(task: Task, network: nn.Module, data: Data, curves: dict[str, list[float]]) -> None:
    network.eval()
    like = torch.zeros((), dtype=data.test_inputs.dtype)
    if not like.is_floating_point():
        like = next(network.parameters())
    outputs = network(_as_network_takes(task, data.test_inputs.clone(), like))
    curves["test_loss"].append(task.loss(outputs, data.test_targets).item())
    for measure in task.metrics:
        mean = measure.total(outputs, data.test_targets).item() / len(data.test_targets)
        curves[measure.name].append(mean)
    if task.classes is None:
        return
    ranked = outputs.argsort(dim=1, descending=True)
    hits = ranked == data.test_targets[:, None]
    curves["test_error"].append(100 * (1 - hits[:, 0].double().mean().item()))
    if "top5_error" in curves:
        curves["top5_error"].append(100 * (1 - hits[:, :5].any(dim=1).double().mean().item()))
