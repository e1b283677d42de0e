"""Pairs against what others call by these names, with their own weight decay, in float64.

The rest of a pair's tests compose an optimizer of others with a decay of our own; here nothing is
of our own. Of each step an optimizer is told its learning rate η·α, and the weight decay that the
pair's λ is in its convention.
"""

from collections.abc import Callable
from dataclasses import dataclass

import lion_pytorch
import pytest
import pytorch_optimizer
import schedulefree
import torch
from torch import nn

from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import PAIRS
from tests.study.pairs.stacked_networks import (
    BATCHES_PER_EPOCH,
    batch,
    deep_network,
    largest_difference,
    train_stacked,
)
from tests.study.pairs.stacked_networks import SCHEDULES as SCHEDULES_BY_NAME
from tests.study.references import MuonAndAdam, in_double

pytestmark = [pytest.mark.arithmetic, pytest.mark.slow]

STEPS = 200
SCHEDULE = SCHEDULES_BY_NAME["cosine"]
EPOCHS = STEPS // BATCHES_PER_EPOCH
CELLS = [(0.01, 0.0), (0.01, 0.02), (0.002, 0.1)]
EXACT = 1e-12
OPTIONS = Options(beta2=0.99, eps=1e-8)


@dataclass(frozen=True)
class Other:
    """An optimizer of others that does what a pair does.

    Attributes:
        make: of parameters and α.
        decay: its weight_decay, of η, α and λ.
        options: of the pair.
        within: how near it must be.
    """

    make: Callable[..., torch.optim.Optimizer]
    decay: Callable[[float, float, float], float]
    options: Options = OPTIONS
    within: float = EXACT


def own(eta: float, alpha: float, lambda_: float) -> float:
    return lambda_


def over_alpha(eta: float, alpha: float, lambda_: float) -> float:
    """Of what multiplies it by α."""
    return lambda_ / alpha


def scheduled(eta: float, alpha: float, lambda_: float) -> float:
    """Of what multiplies it by nothing."""
    return eta * lambda_


BETAS = (OPTIONS.beta1, OPTIONS.beta2)


def of_torch(name: str, **more: object) -> Callable[..., torch.optim.Optimizer]:
    def make(parameters, alpha):
        known = {"betas": BETAS, "eps": OPTIONS.eps} if "Adam" in name else {"eps": OPTIONS.eps}
        return getattr(torch.optim, name)(parameters, **known | more)

    return make


def of_others(kind: type, **more: object) -> Callable[..., torch.optim.Optimizer]:
    def make(parameters, alpha):
        return training(kind(parameters, lr=alpha, betas=BETAS, **more))

    return make


def training(optimizer):
    """One of schedule-free ones begins in either mode."""
    if hasattr(optimizer, "train"):
        optimizer.train()
    return optimizer


def of_group(kind: type, **more: object) -> Callable[..., torch.optim.Optimizer]:
    """Of what is told something of each group of parameters."""

    def make(parameters, alpha):
        groups = [{"params": parameters} | more]
        return kind(groups, lr=alpha, betas=BETAS, eps=WITHOUT_EPS.eps)

    return make


def muon_and_adamw(parameters, alpha):
    return MuonAndAdam(parameters, OPTIONS, torch.optim.AdamW)


def schedule_free_sgd(kind: type) -> Callable[..., torch.optim.Optimizer]:
    def make(parameters, alpha):
        return training(kind(parameters, lr=alpha, momentum=OPTIONS.momentum))

    return make


free_sgds = [schedulefree.SGDScheduleFree, pytorch_optimizer.ScheduleFreeSGD]
free_adam = schedulefree.AdamWScheduleFree
lions = [of_others(lion_pytorch.Lion), of_others(pytorch_optimizer.Lion)]
# It adds 1e-15 under the root, and divides ε by what corrects v: both hardly matter without ε.
WITHOUT_EPS = OPTIONS.model_copy(update={"eps": 1e-100})
OTHERS: dict[str, list[Other]] = {
    "adam": [Other(of_torch("Adam"), own)],
    "adamw-torch": [Other(of_torch("AdamW"), own)],
    "adamw": [Other(of_torch("AdamW"), over_alpha)],
    "adam-corrected": [
        Other(of_group(pytorch_optimizer.AdamC, normalized=True), own, WITHOUT_EPS, within=1e-7)
    ],
    "adam-unscheduled": [
        Other(of_group(pytorch_optimizer.AdamC, fixed_decay=True), own, WITHOUT_EPS, within=1e-7)
    ],
    "amsgrad-l2": [Other(of_torch("Adam", amsgrad=True), own)],
    "amsgrad-scaled": [Other(of_torch("AdamW", amsgrad=True), own)],
    "amsgrad-decoupled": [Other(of_torch("AdamW", amsgrad=True), over_alpha)],
    "nadam-l2": [Other(of_torch("NAdam"), own)],
    "nadam-scaled": [Other(of_torch("NAdam", decoupled_weight_decay=True), own)],
    "nadam-decoupled": [Other(of_torch("NAdam", decoupled_weight_decay=True), over_alpha)],
    "radam-l2": [Other(of_torch("RAdam"), own)],
    "radam-scaled": [Other(of_torch("RAdam", decoupled_weight_decay=True), own)],
    "radam-decoupled": [Other(of_torch("RAdam", decoupled_weight_decay=True), over_alpha)],
    "adagrad-l2": [Other(of_torch("Adagrad"), own)],
    "rmsprop-l2": [Other(of_torch("RMSprop", alpha=OPTIONS.beta2), own)],
    "lion-scaled": [Other(lion, own) for lion in lions],
    "lion-decoupled": [
        *(Other(lion, over_alpha) for lion in lions),
        Other(of_others(pytorch_optimizer.Lion, fixed_decay=True), scheduled),
    ],
    "lion-l2": [Other(of_others(pytorch_optimizer.Lion, weight_decouple=False), own)],
    "muon-scaled": [Other(muon_and_adamw, own)],
    "muon-decoupled": [Other(muon_and_adamw, over_alpha)],
    "schedulefree-sgd-scaled": [Other(schedule_free_sgd(kind), own) for kind in free_sgds],
    "schedulefree-sgd-decoupled": [Other(schedule_free_sgd(free_sgds[0]), over_alpha)],
    "schedulefree-adam-scaled": [Other(of_others(free_adam, eps=1e-8), own)],
    "schedulefree-adam-decoupled": [Other(of_others(free_adam, eps=1e-8), over_alpha)],
    "lion-unscheduled": [Other(of_others(pytorch_optimizer.Lion, fixed_decay=True), own)],
}


def train_other(other: Other, alpha: float, lambda_: float) -> torch.Tensor:
    """Parameters [P] of one cell after the steps of somebody else's optimizer."""
    network = deep_network()
    optimizer = other.make(list(network.parameters()), alpha)
    for step in range(STEPS):
        inputs, targets = batch(step)
        network.zero_grad()
        nn.functional.cross_entropy(network(inputs), targets).backward()
        eta = SCHEDULE.eta(step / BATCHES_PER_EPOCH, EPOCHS)
        for group in optimizer.param_groups:
            group["lr"], group["weight_decay"] = eta * alpha, other.decay(eta, alpha, lambda_)
        with in_double():
            optimizer.step()
    return nn.utils.parameters_to_vector(network.parameters()).detach()


@pytest.mark.some(8)
@pytest.mark.parametrize(
    ("name", "place"), [(name, i) for name, others in OTHERS.items() for i in range(len(others))]
)
def test_it_is_what_others_call_so(name: str, place: int):
    other = OTHERS[name][place]
    alpha, lambda_ = (torch.tensor(part, dtype=torch.float64) for part in zip(*CELLS, strict=True))
    found = train_stacked(
        *(PAIRS[name], alpha, lambda_),
        options=other.options,
        schedule=SCHEDULE,
        steps=STEPS,
        epochs=EPOCHS,
        network=deep_network,
    )
    for k, cell in enumerate(CELLS):
        assert largest_difference(found[k], train_other(other, *cell)) < other.within
        if k:
            assert largest_difference(found[k], found[0]) > 1e-3  # λ does something
