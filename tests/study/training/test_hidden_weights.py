"""Which parameters Muon treats as matrices."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import PAIRS
from landscape_study.study.planning.fitting import fitting_data, resolved
from landscape_study.study.spec.study import Study
from landscape_study.study.tasks import load_task
from landscape_study.study.training.hidden_weights import hidden_matrices
from tests.conftest import make_study
from tests.study.networks import deep_mlp, mlp
from tests.study.pairs.stacked_networks import deep_network, train_stacked


class Sequences(nn.Module):
    """Attention and a recurrent layer between an embedding and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.positions = nn.Parameter(torch.zeros(9, 4))
        self.attention = nn.MultiheadAttention(4, 2)
        self.recurrent = nn.GRU(4, 3)
        self.frozen = nn.Linear(3, 3).requires_grad_(False)
        self.norm = nn.LayerNorm((2, 3))
        self.mixed = nn.Parameter(torch.zeros(3, 3, dtype=torch.complex64))
        self.head = nn.Linear(3, 7)


NETWORKS = {
    "two layers": (mlp, {}),
    "three layers": (deep_mlp, {"2.weight": (7, 8)}),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3, groups=2), nn.Conv1d(6, 5, 2), nn.Linear(5, 3)
        ),
        {"1.weight": (6, 18), "2.weight": (5, 12)},
    ),
    "sequences": (
        Sequences,
        {
            "attention.in_proj_weight": (12, 4),
            "attention.out_proj.weight": (4, 4),
            "recurrent.weight_ih_l0": (9, 4),
            "recurrent.weight_hh_l0": (9, 3),
            "norm.weight": (2, 3),
            "norm.bias": (2, 3),
        },
    ),
}


@pytest.mark.parametrize(("network", "expected"), NETWORKS.values(), ids=NETWORKS)
def test_they_lie_between_the_first_and_the_last(network, expected):
    assert hidden_matrices(network()) == expected


def test_of_the_language_model_they_are_those_of_its_blocks():
    found = hidden_matrices(load_task("chars").network())
    assert found
    assert all(name.startswith("blocks.") for name in found)


def test_a_network_without_any_is_told_before_it_is_trained():
    study = make_study(task="examples.spirals:spirals", pairs=("adamw",))
    study = study.change(panels=[study.panels[0].changed({"pair": "muon-scaled"})])
    task = load_task(study.task)
    fitting_data(resolved(study, task), task)
    task = replace(task, network=lambda: nn.Linear(2, 2))
    with pytest.raises(UsageError, match="pair 'muon-scaled' is meant for hidden matrices, and"):
        fitting_data(resolved(study, task), task)


@pytest.mark.parametrize(("option", "still"), [("rest_alpha", True), ("rest_lambda", False)])
def test_the_rest_has_factors_of_its_own(option: str, still: bool):
    """Without α of its own the rest only decays; without λ it does not."""
    alpha, lambda_ = (torch.tensor([x], dtype=torch.float64) for x in (0.01, 0.1))
    run = {"network": deep_network, "steps": 20}
    muon = PAIRS["muon-decoupled"]
    found = train_stacked(muon, alpha, lambda_, options=Options(**{option: 0.0}), **run)[0]
    network = deep_network()
    widths = [p.numel() for p in network.parameters()]
    start = nn.utils.parameters_to_vector(network.parameters()).detach()
    parts = zip(found.split(widths), start.split(widths), strict=True)
    shrunk = [float((part / begin).std()) < 1e-9 for part, begin in parts]
    assert shrunk == ([True, True, False, True, True, True] if still else [False] * 6)
    free = train_stacked(muon, alpha, 0 * lambda_, options=Options(**{option: 0.0}), **run)[0]
    alike = [
        torch.equal(one, other)
        for one, other in zip(free.split(widths), found.split(widths), strict=True)
    ]
    assert not any(alike) or not still


def test_study_files_keep_the_factors():
    text = make_study(task="digits", pairs=("adamw",)).to_toml()
    assert "rest_alpha" not in text
    study = Study.from_toml(text, "x").change(options=Options(rest_alpha=0.5, rest_lambda=0.0))
    assert Study.from_toml(study.to_toml(), "again") == study
