"""Chunks by machine code: they equal plain loops, whatever the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn

from landscape_study.study.pairs.options import Options
from landscape_study.study.planning.plan import make_plan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.spec.study import Cell
from landscape_study.study.training.arithmetic import worker_arithmetic
from landscape_study.study.training.chunk import train_chunk
from landscape_study.study.training.compiling import library
from landscape_study.study.training.engines import Programs, compiled
from landscape_study.study.training.engines.base import Batch
from landscape_study.study.training.engines.compiled import CompiledEngine
from tests.conftest import make_study
from tests.study.agreement.trials import tried
from tests.study.chunks import CELLS, DOUBLE, assert_equals_plain_loop, assert_same_outcome
from tests.study.conftest import CLASSES
from tests.study.networks import NETWORKS, deep_mlp
from tests.study.networks_of_users import TRAINED
from tests.study.references import CLASSIC
from tests.study.references import SOME as SOME_PAIRS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(library.why_not() is not None, reason=str(library.why_not())),
]

SOON = ("BN-MLP", "ConvNet 2D", "dropout")
# What vmap cannot do, and this can.
MORE = (
    *("a hook on an activation", "backward hooks of modules", "gradient reversal"),
    *("buffer.data in place", "non-negative weights"),
    *("LSTM, inputs changed in place", "GRU, inputs changed in place"),
)
# One of each kind of those that are captured.
SOME = (
    *("buffer in place", "max-norm in place", "inputs changed in place", "inputs masked in place"),
    *("features without a gradient", "a head that nothing uses", "a scalar parameter"),
    *("an infinite mask", "an infinite frozen parameter", "statistics in double precision"),
    *("dropout of what was transposed", "noise on what was transposed"),
    *("batch norm without statistics", "examples compared with each other"),
)


@pytest.fixture(scope="module", autouse=True)
def _one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What one of these tests compiles, the others find."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("compiled")))
        yield


class Everything(nn.Module):
    """What has own formulas, random numbers, buffers moved in place and buffers assigned anew."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv1d(2, 3, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm1d(3),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(15, CLASSES),
        )
        self.register_buffer("centre", torch.zeros(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        h = self.network(x)
        if self.training:
            self.centre = 0.9 * self.centre + 0.1 * h.mean(dim=0).detach()
        return h - self.centre


class WithoutNoise(Everything):
    """The same without random numbers: with them, parts of a batch are others than the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.network[3] = nn.Identity()


@pytest.mark.some(1)
@pytest.mark.arithmetic
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in SOON else pytest.mark.long) for n in NETWORKS]
)
def test_a_chunk_equals_plain_loops(name, make_task, make_panel, train):
    network, kind = NETWORKS[name]
    task, panel = make_task(network, kind), make_panel("adamw")
    assert_equals_plain_loop(train(task, panel, engine="compiled"), task, panel)


@pytest.mark.long
@pytest.mark.parametrize("name", SOME)
def test_networks_of_users_equal_plain_loops(name, make_task, make_panel, train):
    task, panel = make_task(TRAINED[name][0]), make_panel("sgd")
    assert_equals_plain_loop(train(task, panel, engine="compiled"), task, panel)


@pytest.mark.long
@pytest.mark.parametrize("name", [n for n, (_, e) in TRAINED.items() if e != "captured"])
def test_what_cannot_be_captured_equals_a_plain_loop_or_is_refused(
    name, make_task, make_panel, train
):
    task, panel = make_task(TRAINED[name][0]), make_panel("adamw")
    found = tried(task, "compiled")["compiled"]
    assert (found.why_not is None) == (name in MORE)
    if name in MORE:
        assert_equals_plain_loop(train(task, panel, engine="compiled"), task, panel)


@pytest.mark.long
@pytest.mark.arithmetic
def test_it_gives_what_the_captured_one_gives(make_task, make_panel, train):
    """To 1e-12 in float64, with the same dropout masks: and so what plain loops give."""
    task, panel = make_task(Everything, "signal"), make_panel("adamw")
    captured = train(task, panel, engine="captured")
    compiled = train(task, panel, engine="compiled")
    torch.testing.assert_close(compiled.theta, captured.theta, rtol=0, atol=1e-12)
    for name, buffer in captured.buffers.items():
        torch.testing.assert_close(compiled.buffers[name], buffer, rtol=0, atol=1e-12)
    assert_equals_plain_loop(compiled, task, panel)


@pytest.mark.long
def test_a_diverged_cell_changes_no_bit_of_the_others(make_task, make_panel, train):
    task, panel = make_task(Everything, "signal"), make_panel("adamw")
    calm = train(task, panel, engine="compiled")
    again = train(task, panel, engine="compiled")
    assert_same_outcome(again.outcome, calm.outcome)
    wild = [CELLS[0], Cell(1e200, 0.1), *CELLS[2:]]
    beside = train(task, panel, wild, engine="compiled")
    assert beside.outcome.diverged_epoch.tolist() == [0, 1, 0, 0]
    others = [0, 2, 3]
    assert torch.equal(calm.theta[others], beside.theta[others])
    assert not beside.theta[1].isfinite().all()


@pytest.mark.long
@pytest.mark.arithmetic
@pytest.mark.parametrize("pair", ["sgdw", "adam"])
def test_what_is_clipped_and_decays_in_part_equals_plain_loops(
    pair: str, make_task, make_panel, train
):
    options = DOUBLE.model_copy(update={"clip_norm": 0.3, "decay_1d": False})
    task, panel = make_task(WithoutNoise, "signal"), make_panel(pair)
    trained = train(task, panel, engine="compiled", options=options)
    assert_equals_plain_loop(trained, task, panel, options=options)


@pytest.mark.long
@pytest.mark.arithmetic
@pytest.mark.parametrize("pair", [pair for pair in SOME_PAIRS if pair not in CLASSIC])
def test_every_rule_and_placement_equals_plain_loops(pair: str, make_task, make_panel, train):
    """With a larger ε: what divides by a small √v makes rounding large, in the first steps."""
    task, panel = make_task(deep_mlp), make_panel(pair)
    options = Options(precision="float64", eps=1e-2)
    trained = train(task, panel, options=options, engine="compiled")
    assert_equals_plain_loop(trained, task, panel, options=options)


@pytest.mark.long
@pytest.mark.arithmetic
def test_parts_of_batches_are_those_of_other_engines(make_task, make_panel, train):
    options = DOUBLE.model_copy(update={"accumulate": 2})
    task, panel = make_task(Everything, "signal"), make_panel("adamw")
    trained, other = (
        train(task, panel, engine=engine, options=options) for engine in ("compiled", "vmap")
    )
    torch.testing.assert_close(trained.theta, other.theta, rtol=0, atol=1e-12)
    for name, buffer in other.buffers.items():
        torch.testing.assert_close(trained.buffers[name], buffer, rtol=0, atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("most", [2, 3, 64])
def test_steps_of_one_call_are_those_of_many(most: int, make_task, make_panel, train, monkeypatch):
    """To the bit, with random numbers, a smaller last batch and measured norms."""
    task, panel = make_task(Everything, "signal"), make_panel("adamw", epochs=3)
    monkeypatch.setattr(compiled, "MOST", 1)
    singly = train(task, panel, engine="compiled")
    monkeypatch.setattr(compiled, "MOST", most)
    monkeypatch.setattr(compiled, "SECONDS", 1e9)  # however slow the machine is
    calls: list[int] = []
    taken = CompiledEngine.steps

    def noted(engine: CompiledEngine, batches: Sequence[Batch], loss_sum: Tensor) -> None:
        calls.append(len(batches))
        taken(engine, batches, loss_sum)

    monkeypatch.setattr(CompiledEngine, "steps", noted)
    together = train(task, panel, engine="compiled")
    assert max(calls) == min(most, sum(calls) // 3)
    assert torch.equal(together.theta, singly.theta)
    for name, buffer in singly.buffers.items():
        assert torch.equal(together.buffers[name], buffer)
    assert_same_outcome(together.outcome, singly.outcome)


@pytest.mark.long
def test_fewer_cells_need_nothing_new(make_task, make_panel, train, monkeypatch):
    task, panel = make_task(Everything, "signal"), make_panel("adamw", epochs=1)
    whole = train(task, panel, engine="compiled")
    monkeypatch.setattr(library, "_compile", None)
    part = train(task, panel, CELLS[:2], engine="compiled")
    assert torch.equal(part.theta, whole.theta[:2])
    with pytest.raises(TypeError):  # in another precision it is another program
        train(task, panel, engine="compiled", options=Options())


@pytest.mark.long
def test_a_plan_finds_what_its_workers_will_need():
    study = make_study(epochs=2)
    plan = make_plan(study, RunSettings(device="cpu", workers=1, engine="compiled"))
    assert plan.libraries() == {}
    programs = Programs()
    with worker_arithmetic("cpu", plan.layout.threads):
        for panel in study.panels:
            train_chunk(
                plan.task,
                plan.data.to("cpu", torch.float32),
                panel,
                panel.cells(),
                seed=0,
                batch_size=20,
                options=study.options,
                engine="compiled",
                programs=programs,
            )
    found = plan.libraries()
    assert found == programs.libraries
    # The names of updates say with which options.
    assert sorted(key[0].partition(" momentum=")[0] for key in found) == [
        "gradient",
        *("scores", "scores"),  # the last slice of the test examples is a smaller one
        "update of adamw",
        "update of sgd",
    ]
    assert all(library.is_compiled(name) for name in found.values())
