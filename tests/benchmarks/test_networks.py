"""The networks of the benchmarks: their studies and tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from benchmarks import untested
from benchmarks.jax_rows import jax_rows
from benchmarks.networks import FOLDER, LANGUAGE_MODELS, NETWORKS
from benchmarks.rows import make_rows
from benchmarks.tasks import made_up_images, mlp1d, resnet26
from torch import nn

from landscape_study.study.spec.presets import load_preset
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.refusals import check_task


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_study_of_the_four_pairs(name: str):
    network = NETWORKS[name]
    study = network.study()
    assert study.name == name
    assert [panel.pair for panel in study.panels] == ["sgd", "sgdw", "adam", "adamw"]
    assert len({(panel.epochs, len(panel.cells())) for panel in study.panels}) == 1
    quick = network.study(quick=True)
    assert {(panel.epochs, len(panel.cells())) for panel in quick.panels} == {(1, 2)}
    rows = {row.name for row in (*make_rows(2), *jax_rows(2, Path("kept")))}
    assert network.asked.keys() | network.asked_whole.keys() <= rows
    assert network.jax is bool(network.asked_whole)


def test_every_study_file_is_measured():
    assert {path.stem for path in FOLDER.glob("*.toml")} == {*NETWORKS, *LANGUAGE_MODELS}


def test_the_cells_of_digits_are_a_part_of_the_preset():
    preset = load_preset("digits-fig2")
    for panel in NETWORKS["digits"].study().panels:
        whole = preset.panel(panel.name)
        assert set(panel.cells()) <= set(whole.grid.cells())
        assert len(panel.cells()) == 44
        assert panel.settings() == whole.settings() | {"epochs": 40}


def test_the_cells_of_chars_are_a_part_of_the_preset():
    preset, study = load_preset("chars-fig2"), LANGUAGE_MODELS["chars"].study()
    assert study.options == preset.options
    for panel in study.panels:
        whole = preset.panel(panel.name)
        assert set(panel.cells()) <= set(whole.grid.cells())
        assert panel.settings() == whole.settings() | {"epochs": 5}


def test_the_tasks_are_right():
    check_task(mlp1d, [(mlp1d.batch_size, 1)])
    check_task(resnet26, [(resnet26.batch_size, 1)])
    kinds = {type(module) for module in mlp1d.network()}
    assert kinds == {nn.Linear, nn.ReLU}
    assert sum(p.numel() for p in mlp1d.network().parameters()) == 15210
    assert sum(p.numel() for p in resnet26.network().parameters()) == 2_923_162


def test_made_up_images_of_one_class_are_alike():
    data = made_up_images()
    first = data.train_targets[0]
    same = data.test_inputs[data.test_targets == first]
    other = data.test_inputs[data.test_targets != first]
    near, far = (torch.dist(data.train_inputs[0], images[0]) for images in (same, other))
    assert near < 0.6 * far


def test_an_untested_task_has_one_test_example_and_else_nothing_new():
    data, whole = untested.digits.data(), load_task("digits").data()
    assert len(data.test_inputs) == len(data.test_targets) == 1
    assert data.train_inputs is whole.train_inputs
    with pytest.raises(AttributeError, match="nothing"):
        untested.nothing  # noqa: B018
