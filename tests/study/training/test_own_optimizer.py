"""Optimizers such as torch's, trained by the plain loop: against our fused twins, and stopped."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from examples.spirals import spirals
from torch import nn

from landscape_study.study.errors import PairError, SpecError
from landscape_study.study.pairs.conventions import twin_of
from landscape_study.study.pairs.optimizer_arguments import Arguments, wrong_with_table
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.spec.grid import Axis, Grid
from landscape_study.study.spec.study import Cell, Panel, Study
from landscape_study.study.training.checkpoint import Checkpoint, Group
from landscape_study.study.training.chunk import train_chunk
from landscape_study.study.training.own_optimizer import OwnOptimizer
from tests.study.chunks import assert_same_outcome
from tests.study.references import in_double

OWN = "tests.study.user_optimizers"
CELLS = [Cell(0.02, 0.0), Cell(0.02, 0.05), Cell(0.005, 0.3)]
DOUBLE = Options(precision="float64")
GRID = Grid(alpha=Axis(values=(0.02,)), lambda_=Axis(values=(0.05,)))
TWINS = {
    "torch.optim:SGD": {"momentum": 0.0},
    "torch.optim:Adam": {},
    "torch.optim:AdamW": {},
    "torch.optim:NAdam": {},
    "torch.optim:RAdam": {},
    "torch.optim:Adagrad": {"eps": 1e-10},
    "torch.optim:RMSprop": {"beta2": 0.99},
    "lion_pytorch:Lion": {"beta2": 0.99},
    "pytorch_optimizer:Lion": {"beta2": 0.99},
}


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    with in_double():
        yield


def panel(pair: str, epochs: int = 2, **own: Any) -> Panel:
    return Panel(pair=pair, epochs=epochs, grid=GRID, **own)


def trained(
    pair: str,
    options: Options = DOUBLE,
    cells: list[Cell] = CELLS,
    *,
    engine: str = "referee",
    checkpoint: Checkpoint | None = None,
    stop: float = math.inf,
    epochs: int = 2,
    **own: Any,
) -> Outcome:
    """Cells of the spirals; KeyboardInterrupt after so many steps."""
    left = stop

    def on_step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt

    return train_chunk(
        spirals,
        spirals.data().to("cpu", torch.float64),
        panel(pair, epochs, **own),
        cells,
        seed=1,
        batch_size=50,
        options=options,
        engine=engine,
        checkpoint=checkpoint,
        on_step=on_step,
    )


def assert_alike(one: Outcome, other: Outcome) -> None:
    """Curves are kept in single precision."""
    for name, curve in one.curves.items():
        np.testing.assert_allclose(other.curves[name], curve, rtol=2e-7, atol=1e-12)
    for name, curve in one.mechanism.items():
        np.testing.assert_allclose(other.mechanism[name], curve, rtol=1e-6, atol=1e-12)


@pytest.mark.arithmetic
@pytest.mark.parametrize("code", TWINS)
def test_an_optimizer_trains_as_its_fused_twin(code: str):
    options = DOUBLE.model_copy(update={"decay_1d": False, "clip_norm": 0.5, **TWINS[code]})
    twin = (twin_of(code) or "").partition(" ")[0]
    assert_alike(trained(twin, options, engine="vmap"), trained(code, options))


@pytest.mark.arithmetic
@pytest.mark.parametrize("code", TWINS)
def test_parameters_are_those_of_the_twin(code: str):
    """To 1e-12, after some steps; λ normalized, and not on biases."""
    options = DOUBLE.model_copy(update={"decay_1d": False, **TWINS[code]})
    twin = (twin_of(code) or "").partition(" ")[0]
    one, other = (weights(pair, options) for pair in (code, twin))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def weights(pair: str, options: Options) -> torch.Tensor:
    """Of a plain loop after some steps."""
    from landscape_study.study.tasks.randomness import seeded
    from landscape_study.study.training.course import begun

    data = spirals.data().to("cpu", torch.float64)
    with seeded(1):
        training = begun(
            *(spirals, data, panel(pair, normalized=True), CELLS[1:2]),
            seed=1,
            batch_size=50,
            options=options,
        )
        training.finish(lambda: None, lambda: None)
    return torch.cat([p.flatten() for p in training.engine.parameters().values()])


def test_twins_are_those_that_are_known():
    assert twin_of("torch.optim:AdamW") == "adamw-torch"
    assert twin_of("torch.optim:SGD") == "sgd with the option momentum = 0"
    assert twin_of("torch.optim:AdamW", {"betas": [0.8, 0.9]}) is None
    assert twin_of("torch.optim:Muon") is None
    assert twin_of("mine.py:AdamW") is None


@pytest.mark.parametrize("code", ["torch.optim:NAdam", f"{OWN}:Averaged"])
def test_it_goes_on_from_a_checkpoint_to_the_bit(tmp_path: Path, code: str):
    def checkpoint() -> Checkpoint:
        group = Group("small", "own", 1, tuple(CELLS))
        return Checkpoint(tmp_path / "chunk-1-3.pt", "key", every=0.0, group=group)

    whole = trained(code)
    with pytest.raises(KeyboardInterrupt):
        trained(code, checkpoint=checkpoint(), stop=11)
    assert (tmp_path / "chunk-1-3.pt").exists()
    resumed = trained(code, checkpoint=checkpoint())
    assert_same_outcome(whole, resumed)


def test_one_with_two_kinds_of_weights_is_switched():
    """In training it is SGD; it would refuse to step if it were not switched back."""
    cells = [Cell(0.5, 0.001)]
    averaged, plain = (
        trained(code, cells=cells).curves for code in (f"{OWN}:Averaged", "torch.optim:SGD")
    )
    np.testing.assert_array_equal(averaged["train_loss"], plain["train_loss"])
    assert (averaged["test_loss"] != plain["test_loss"]).all()


def test_arguments_are_told():
    same = trained("torch.optim:AdamW", optimizer={"betas": [0.8, 0.9], "eps": 1e-6})
    options = DOUBLE.model_copy(update={"beta1": 0.8, "beta2": 0.9, "eps": 1e-6})
    assert_alike(trained("adamw-torch", options), same)
    named = {"alpha": "lr", "lambda": "weight_decay"}
    assert_alike(trained("torch.optim:AdamW"), trained("torch.optim:AdamW", optimizer=named))


def test_what_it_ends_in_may_be_no_number():
    found = trained("torch.optim:SGD", cells=[Cell(1e9, 1e9)])
    assert found.diverged_epoch.tolist() == [1]


def made(code: str, table: dict[str, Any] | None = None) -> OwnOptimizer:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    named = dict(network.named_parameters())
    options = Options(decay_1d=False)
    return OwnOptimizer(pair_called(code), Arguments.of(table), named, Cell(0.1, 0.2), options)


def test_parameters_without_decay_are_a_group_of_their_own():
    optimizer = made("torch.optim:AdamW")
    found = [
        (group["weight_decay"], len(group["params"])) for group in optimizer.made.param_groups
    ]
    assert found == [(0.2, 2), (0.0, 2)]
    optimizer.step(0.5, 3.0)
    assert [group["lr"] for group in optimizer.made.param_groups] == [0.05, 0.05]
    assert [group["weight_decay"] for group in optimizer.made.param_groups] == [0.2 * 3, 0.0]


WRONG: dict[str, tuple[str, dict[str, Any] | None, str]] = {
    "a closure": ("torch.optim:LBFGS", None, "its step computes the loss several times"),
    "no weight decay": (
        "torch.optim:Rprop",
        None,
        'no argument weight_decay, which λ would be: say which it is, optimizer = { lambda = "…" }'
        ", of lr, etas, step_sizes, ",
    ),
    "no learning rate": (
        "torch.optim:AdamW",
        {"alpha": "learning_rate"},
        "it has no argument learning_rate, which α would be: say which it is",
    ),
    "an unknown argument": (
        "torch.optim:AdamW",
        {"beta": 0.9},
        "it has no argument beta: it takes lr, betas, eps, weight_decay, amsgrad",
    ),
    "a value that it refuses": (
        "torch.optim:AdamW",
        {"betas": [0.9, 1.5]},
        "AdamW cannot be made with lr=0.1, weight_decay=0.2, betas=(0.9, 1.5) for this network "
        "(ValueError: Invalid beta parameter at index 1: 1.5)",
    ),
    "a rate of its own": (
        f"{OWN}:Deaf",
        None,
        "Deaf does not keep lr in its param_groups, where a schedule would change it",
    ),
    "a network that it refuses": ("torch.optim:Muon", None, "for this network (ValueError: "),
    "no optimizer": (
        "torch.nn:Linear",
        None,
        "is a class of another kind: name a",
    ),
    "nothing": ("torch.optim:Adan", None, "'torch.optim' has no 'Adan': it has "),
    "no module": ("nowhere.at:all", None, "importing 'nowhere.at' failed (ModuleNotFoundError"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_told(kind: str):
    code, table, message = WRONG[kind]
    with pytest.raises(PairError, match=re.escape(message)) as told:
        made(code, table)
    assert str(told.value).startswith(f"pair '{code}'")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"alpha": 3}, "alpha = 3: name the argument that it is, as in 'lr'"),
        ({"lambda": "lr"}, "'lr' is given twice"),
        ({"lr": 0.1}, "'lr' is given twice: α and λ are each an argument of their own"),
        ({"betas": {"a": 1}}, "betas = {'a': 1}: give numbers, words, truth values, or lists"),
        ({"betas": [0.9, [0.95, None]]}, "give numbers, words"),
        ({"alpha": "rate", "lr": 1, "betas": [0.9, 0.95]}, None),
    ],
)
def test_tables_that_cannot_be(table: dict[str, Any], message: str | None):
    found = wrong_with_table(table)
    assert (message in found) if message is not None and found is not None else found is message


def study(**own: Any) -> Study:
    whole = {"name": "own", "task": "digits", "alpha": [0.1], "lambda": [0.1]}
    return Study.from_dict(whole | {"panel": [{"pair": "torch.optim:NAdam"} | own]}, "here")


def test_a_study_says_it_in_its_file():
    own = study(optimizer={"betas": [0.9, 0.95], "lambda": "weight_decay", "foreach": False})
    assert Study.from_toml(own.to_toml(), "again") == own
    assert own.panels[0].name == "NAdam"
    assert own.own_helpers == ()
    assert study(pair="pytorch_optimizer:Lion").own_helpers == ("pytorch_optimizer:Lion",)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"pair": "adamw", "optimizer": {"betas": [0.9, 0.95]}}, "the pair is none: leave them"),
        ({"options": {"beta1": 0.8}}, "options beta1: torch.optim:NAdam does not hear of them"),
        ({"pair": "torch.optim.NAdam"}, "an optimizer is named as torch.optim:NAdam"),
        ({"optimizer": {"lr": 0.1}}, "'lr' is given twice"),
    ],
)
def test_what_a_study_cannot_ask_of_one(own: dict[str, Any], message: str):
    with pytest.raises(SpecError, match=re.escape(message)):
        study(**own)
