"""What a user would run instead: it trains the cells it should, and learns."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from benchmarks import loop
from benchmarks.loop import Care
from benchmarks.networks import LANGUAGE_MODELS, NETWORKS
from benchmarks.row_trials import read_trials

from landscape_study.study.pairs.decay_groups import decaying
from landscape_study.study.tasks import load_task
from landscape_study.study.training.chunk import train_chunk

CHEAP = NETWORKS["digits"].study(quick=True)
BEST = {"sgd": (0.1, 0.01), "sgdw": (0.1, 0.001), "adam": (0.01, 0.01), "adamw": (0.01, 0.001)}


@pytest.mark.long
def test_the_loops_train_the_same_cells_once_in_one_process_or_two(tmp_path: Path):
    found = []
    for shares in (1, 2):  # one after the other in this process: none to wait for
        database = tmp_path / f"{shares}.db"
        loop.create_studies(CHEAP, f"sqlite:///{database}")
        for share in range(shares):
            loop.optimize_share(CHEAP, f"sqlite:///{database}", share, shares, Care())
        found.append(read_trials(database))
    assert found[0].errors == found[1].errors
    assert found[0].losses == found[1].losses
    assert found[0].errors.keys() == {
        (f"digits/{panel.name}/seed0", cell.alpha, cell.lambda_)
        for panel in CHEAP.panels
        for cell in panel.cells()
    }


@pytest.mark.parametrize("pair", BEST)
@pytest.mark.parametrize("care", [Care(), Care(fused=True)])
def test_the_loop_learns(pair: str, care: Care):
    study = NETWORKS["digits"].study().change_panels(epochs=4)
    curves = loop.train(
        load_task("digits"),
        study.panel(pair),
        *BEST[pair],
        seed=0,
        batch_size=50,
        options=study.options,
        care=care,
    )
    assert {len(curve) for curve in curves.values()} == {4}
    assert curves["value"][-1] < 20  # percent; chance is 90


@pytest.mark.some(1)
@pytest.mark.slow
@pytest.mark.parametrize("pair", ["adam", "adamw", "adamw-torch"])
def test_the_loop_learns_as_the_tool_with_the_habits_of_today(pair: str):
    """Other batches, the same measure: the loss of a language model after as many steps."""
    study, task = LANGUAGE_MODELS["chars"].study().change_panels(epochs=1), load_task("chars")
    panel = study.panel(pair)
    cell = panel.cells()[7]
    how = {"seed": 0, "batch_size": 8, "options": study.options}
    curves = loop.train(task, panel, cell.alpha, cell.lambda_, **how)
    ours = train_chunk(task, task.data(), panel, [cell], **how).curves
    assert curves["value"][-1] == pytest.approx(curves["test_loss"][-1] / math.log(2), rel=1e-4)
    assert curves["value"][-1] == pytest.approx(ours["test_bits"][0, -1], abs=0.15)


def test_what_does_not_decay_is_a_group_of_its_own():
    network, options = load_task("chars").network(), LANGUAGE_MODELS["chars"].study().options
    decayed, spared = loop.decay_groups(network, options)
    mine = decaying({n: p.ndim for n, p in network.named_parameters()}, options)
    every = list(network.parameters())
    assert [any(p is q for q in decayed) for p in every] == mine
    assert len(decayed) + len(spared) == len(every)


@pytest.mark.arithmetic
def test_care_changes_nothing_but_speed():
    study, task = NETWORKS["mnist5k"].study(quick=True), load_task("mnist5k")
    settings = {"seed": 0, "batch_size": 100, "options": study.options}
    losses = [
        loop.train(task, study.panel("adam"), 0.01, 0.001, care=care, **settings)["train_loss"]
        for care in (Care(), Care(fused=True, channels_last=True))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_channels_last_is_for_images():
    images = torch.zeros(2, 3, 4, 4)
    assert Care(channels_last=True).format(images).stride() == (48, 1, 12, 3)
    assert Care().format(images) is images
    assert loop.channels_last_pays(NETWORKS["digits"].study()) is None
    assert loop.channels_last_pays(NETWORKS["mnist5k"].study()) in (True, False)
