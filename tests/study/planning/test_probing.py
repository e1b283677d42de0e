"""The choice of the engine: probed as far as it pays, and remembered."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from examples.spirals import spirals
from hypothesis import given as hypothetically
from hypothesis import strategies as st

from landscape_study.study.agreement.permission import Tried
from landscape_study.study.environment import cache
from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.options import Options
from landscape_study.study.planning import probing
from landscape_study.study.planning.cost import Pace, Probe, Setting
from landscape_study.study.planning.probing import (
    Choice,
    Memory,
    Share,
    choose,
    given,
    on_gpu,
    pace,
)
from landscape_study.study.training.engines import ENGINES, Programs
from tests.conftest import make_study
from tests.study.user_tasks import branching

WIDTH, BATCH = 6, 20
HASH = "a fingerprint"
ROOM = 2**40
COMPILING = "compiling the training step for this machine, once: some seconds"


def make_setting(**changes: Any) -> Setting:
    """An epoch of the spirals has 10 steps and 200 test examples."""
    setting = Setting(make_study(), spirals, spirals.data(), "cpu", 1)
    return replace(setting, **changes)


SETTING = make_setting()


def make_share(**changes: Any) -> Share:
    """Of a chunk of six cells."""
    return replace(Share(SETTING, WIDTH, 1.0, ROOM), **changes)


class Bench:
    """Probes and checks that are made up, and what was asked of them.

    Attributes:
        steps: seconds of a step and cell by engine; a test takes none, so that an epoch of a cell
            takes ten times as long.
        refused: why engines cannot do the network.
        largest: probe of a whole chunk, or smaller.
        measured: the engines that were measured, one after the other.
        told: what was said.
    """

    def __init__(self) -> None:
        self.steps = {"vmap": 0.2, "referee": 0.8, "captured": 0.1, "compiled": 0.05}
        self.refused: dict[str, str] = {}
        self.largest = (WIDTH, BATCH)
        self.measured: list[str] = []
        self.told: list[str] = []

    def why_not(self, _setting: Setting, engine: str) -> str | None:
        return self.refused.get(engine)

    def measure(self, setting: Setting, engine: str, cells: int, examples: int) -> Probe:
        self.measured.append(engine)
        if engine == "compiled":
            assert self.told == ([] if setting.programs.libraries else [COMPILING])
        return Probe(engine, cells, examples, Pace(self.steps[engine], 0.0))

    def grow(self, setting: Setting, engine: str, cells: int) -> Probe:
        return self.measure(setting, engine, *self.largest)

    def choose(
        self, cell_epochs: float, fingerprint: str = HASH, **changes: Any
    ) -> tuple[Choice, list[str]]:
        """The choice under one layout, and which engines were measured for it."""
        self.measured, self.told = [], []
        share = make_share(cell_epochs=cell_epochs, **changes)
        place, choice = choose([share], fingerprint, self.told.append)
        assert place == 0
        return choice, self.measured


@pytest.fixture
def bench(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setattr(probing, "SHORT", 10.0)
    monkeypatch.setattr(probing, "WORTH_COMPILING", 60.0)
    monkeypatch.setattr(probing, "LARGE", 0)
    monkeypatch.setattr(probing, "measure", made.measure)
    monkeypatch.setattr(probing, "measure_by_growing", made.grow)
    monkeypatch.setattr(Setting, "why_not", lambda setting, engine: made.why_not(setting, engine))
    return made


# Epochs of cells; one takes 2 s with vmap and 1 s when captured.
NONE, LITTLE, MORE, MUCH = 0, 4, 20, 100


class TestMeasured:
    def test_where_nothing_is_missing_nothing_is_measured(self, bench: Bench, own_cache: Path):
        assert bench.choose(NONE) == (Choice("vmap", WIDTH), [])
        assert not own_cache.exists()

    def test_a_little_work_is_not_worth_a_second_probe(self, bench: Bench):
        expected = Choice("vmap", WIDTH, Pace(0.2, 0.0))
        assert bench.choose(LITTLE) == (expected, ["vmap"])
        assert bench.told == []

    @pytest.mark.parametrize(
        ("epochs", "measured"),
        [(200, ["vmap"]), (210, ["vmap", "referee", "captured"]), (250, ["vmap", "compiled"])],
    )
    def test_of_a_large_network_what_is_traced_is_tried_where_there_is_more_to_train(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, epochs: int, measured: list[str]
    ):
        """An epoch takes 2 s by vmap; 2000 steps of a cell take 400."""
        monkeypatch.setattr(probing, "LARGE", 2000)
        assert bench.choose(epochs)[1] == measured

    @pytest.mark.parametrize("work", [LITTLE, MORE, MUCH])
    def test_what_was_compiled_before_is_tried_for_any_work(self, bench: Bench, work: int):
        known = Programs({("gradient", ()): "one"})
        setting = replace(SETTING, programs=known)
        choice, measured = bench.choose(work, setting=setting)
        assert (choice.engine, measured) == ("compiled", ["vmap", "compiled"])
        assert bench.told == []

    @pytest.mark.parametrize("fastest", ["vmap", "referee", "captured"])
    def test_more_work_is_done_by_the_fastest_of_three(self, bench: Bench, fastest: str):
        bench.steps[fastest] = 0.09
        choice, measured = bench.choose(MORE)
        assert choice == Choice(fastest, WIDTH, Pace(0.09, 0.0))
        assert measured == ["vmap", "referee", "captured"]
        assert bench.told == []

    @pytest.mark.parametrize(("seconds", "fastest"), [(0.05, "compiled"), (0.3, "vmap")])
    def test_much_work_is_worth_compiling_which_is_said(
        self, bench: Bench, seconds: float, fastest: str
    ):
        bench.steps["compiled"] = seconds
        choice, measured = bench.choose(MUCH)
        assert (choice.engine, choice.why) == (fastest, "")
        assert measured == ["vmap", "compiled"]
        assert bench.told == [COMPILING]

    @pytest.mark.parametrize(("cell_epochs", "count"), [(4.9, 1), (5.0, 3), (29.9, 3), (30.0, 2)])
    def test_it_is_the_fastest_known_engine_that_says_how_much_it_is(
        self, bench: Bench, cell_epochs: float, count: int
    ):
        """10 s by vmap are more, 60 s are much."""
        assert len(bench.choose(cell_epochs)[1]) == count


class TestLayouts:
    """The work of TestMeasured under two layouts: of six cells and of three."""

    @pytest.fixture
    def layouts(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
        """How many times as long a step takes, by the cells of a chunk."""
        factors = {WIDTH: 1.0, WIDTH // 2: 1.5}

        def measure(setting: Setting, engine: str, cells: int, examples: int) -> Probe:
            probe = bench.measure(setting, engine, cells, examples)
            bench.measured[-1] = f"{engine} {cells}"
            step = probe.pace.step * factors.get(cells, 1.0)
            return replace(probe, pace=Pace(step, 0.0))

        monkeypatch.setattr(probing, "measure", measure)
        monkeypatch.setattr(probing, "measure_by_growing", lambda s, e, w: measure(s, e, w, BATCH))
        return factors

    @staticmethod
    def choose(bench: Bench, *cell_epochs: float) -> tuple[int, str, list[str]]:
        """Which layout, which engine, and what was measured for it."""
        bench.measured, bench.told = [], []
        shares = [make_share(cell_epochs=cell_epochs[0])]
        shares.append(make_share(cell_epochs=cell_epochs[-1], width=WIDTH // 2))
        place, choice = choose(shares, HASH, bench.told.append)
        assert choice.width == shares[place].width
        return place, choice.engine, bench.measured

    @pytest.mark.parametrize(("cell_epochs", "count"), [(LITTLE, 1), (MORE, 3), (29.9, 3)])
    def test_a_little_work_is_not_worth_another_look(
        self, bench: Bench, layouts: dict[int, float], cell_epochs: float, count: int
    ):
        layouts[WIDTH // 2] = 0.1
        place, _, measured = self.choose(bench, cell_epochs)
        assert (place, len(measured)) == (0, count)

    @pytest.mark.parametrize(("factor", "place"), [(1.1, 0), (0.9, 1)])
    def test_much_work_is_compiled_under_each(
        self, bench: Bench, layouts: dict[int, float], factor: float, place: int
    ):
        layouts[WIDTH // 2] = factor
        measured = [f"vmap {WIDTH}", f"compiled {WIDTH}", "compiled 3"]
        assert self.choose(bench, 2 * MUCH) == (place, "compiled", measured)
        assert self.choose(bench, 2 * MUCH) == (place, "compiled", [])  # remembered

    def test_what_leaves_a_worker_less_to_do_may_be_the_best_though_it_is_slower(
        self, bench: Bench, layouts: dict[int, float]
    ):
        assert self.choose(bench, 3 * MUCH, MUCH)[:2] == (1, "compiled")

    def test_what_cannot_be_compiled_is_probed_under_each(
        self, bench: Bench, layouts: dict[int, float]
    ):
        bench.refused = {"compiled": "for a reason"}
        layouts[WIDTH // 2] = 0.9
        measured = [
            *(f"vmap {WIDTH}", "referee 1", f"captured {WIDTH}"),
            *("vmap 3", "referee 1", "captured 3"),
        ]
        assert self.choose(bench, MUCH) == (1, "captured", measured)

    def test_where_no_whole_chunk_can_be_measured_the_first_is_taken(
        self, bench: Bench, layouts: dict[int, float], monkeypatch: pytest.MonkeyPatch
    ):
        grow = lambda setting, engine, cells: bench.measure(setting, engine, 1, BATCH)  # noqa: E731
        monkeypatch.setattr(probing, "measure_by_growing", grow)
        layouts[WIDTH // 2] = 0.1
        assert self.choose(bench, MUCH) == (0, "vmap", ["vmap", "referee 1"])


class TestRefused:
    def test_what_vmap_cannot_do_may_be_compiled(self, bench: Bench):
        bench.refused, bench.largest = {"vmap": "it has hooks"}, (1, BATCH)
        assert bench.choose(LITTLE)[0].engine == "referee"
        choice, measured = bench.choose(MUCH)
        assert (choice.engine, choice.why, measured) == ("compiled", "", ["compiled"])

    def test_what_cannot_be_fused_is_trained_by_the_referee(self, bench: Bench):
        bench.refused = dict.fromkeys(("vmap", "compiled"), "it branches")
        expected = Choice("referee", WIDTH, Pace(0.8, 0.0), "engine vmap: it branches")
        assert bench.choose(LITTLE)[0] == expected
        assert bench.choose(MUCH)[0].engine == "referee"
        assert bench.told == []

    def test_what_is_wrong_is_timed_to_see_what_its_being_wrong_costs(self, bench: Bench):
        bench.refused = {"vmap": "after step 1 the loss differs"}
        bench.steps |= {"vmap": 0.02, "referee": 0.12}
        choice, measured = bench.choose(LITTLE)
        assert choice.slower == pytest.approx(6)
        assert measured == ["referee", "vmap"]
        bench.steps["referee"] = 0.2  # a step of six cells takes longer than a second
        assert bench.choose(LITTLE, fingerprint="other")[0].slower is None

    @pytest.mark.parametrize(("engine", "used"), [("compiled", "captured"), ("captured", "vmap")])
    def test_why_no_better_engine_is_used(self, bench: Bench, engine: str, used: str):
        bench.refused = {"compiled": "for a reason", engine: "for a reason"}
        choice, measured = bench.choose(MUCH)
        assert choice.why == f"engine {engine}: for a reason"
        assert choice.engine == used
        assert engine not in measured
        assert bench.told == []
        assert bench.choose(10 * MUCH) == (choice, [])  # remembered

    def test_what_is_captured_must_fit_into_memory(self, bench: Bench, monkeypatch):
        bench.refused = {"compiled": "for a reason"}
        monkeypatch.setattr(probing, "cell_bytes", lambda setting, traced: 100 if traced else 1)
        choice, measured = bench.choose(MUCH, room=WIDTH * 100 - 1)
        assert choice.why == "traced, a chunk would not fit into memory"
        assert measured == ["vmap", "referee"]
        assert bench.choose(MUCH, room=WIDTH * 100, fingerprint="b")[0].engine == "captured"

    def test_what_was_refused_is_allowed_when_the_reason_has_gone(self, bench: Bench):
        bench.refused = {"compiled": "no compiler, say"}
        assert bench.choose(MUCH)[0].engine == "captured"
        bench.refused = {}
        choice, measured = bench.choose(MUCH)
        assert (choice.engine, choice.why, measured) == ("compiled", "", ["compiled"])

    def test_room_that_comes_and_goes_is_looked_at_each_time(self, bench: Bench, monkeypatch):
        bench.refused = {"compiled": "for a reason"}
        monkeypatch.setattr(probing, "cell_bytes", lambda setting, traced: 100 if traced else 1)
        little, much = {"room": WIDTH * 100 - 1}, {"room": WIDTH * 100}
        assert bench.choose(MUCH, **little)[0].engine == "vmap"
        assert bench.choose(MUCH, **much)[0].engine == "captured"
        choice, _ = bench.choose(MUCH, **little)
        assert (choice.engine, choice.why) == ("vmap", "traced, a chunk would not fit into memory")

    def test_a_compiler_that_fails_is_done_without(self, bench: Bench, monkeypatch):
        def measure(setting: Setting, engine: str, *more: int) -> Probe:
            if engine == "compiled":
                raise RuntimeError("C++ compile error\nand its output")
            return bench.measure(setting, engine, *more)

        monkeypatch.setattr(probing, "measure", measure)
        choice, _ = bench.choose(MUCH)
        assert (choice.engine, choice.why) == ("captured", "compiling failed: C++ compile error")

    @pytest.mark.parametrize(
        ("losses", "engine"),
        [
            ((1.0, 2.0, float("nan")), "compiled"),
            ((1.0, 2.5, float("nan")), "compiled"),  # one cell that rounding moves
            ((1.1, 2.1, 3.1), "captured"),
        ],
    )
    def test_what_is_compiled_must_train_as_what_it_was_compiled_of(
        self, bench: Bench, monkeypatch, losses: tuple[float, ...], engine: str
    ):
        def measure(setting: Setting, engine: str, *more: int) -> Probe:
            probe = bench.measure(setting, engine, *more)
            known = losses if engine == "compiled" else (1.0, 2.0, float("nan"))
            return replace(probe, losses=known)

        monkeypatch.setattr(probing, "measure", measure)
        monkeypatch.setattr(probing, "measure_by_growing", lambda s, e, w: measure(s, e, w, BATCH))
        choice, _ = bench.choose(MUCH)
        assert choice.engine == engine
        wrong = "engine compiled: its losses are not those of engine vmap"
        assert choice.why == (wrong if engine == "captured" else "")
        assert bench.choose(MUCH)[0] == choice

    @pytest.mark.parametrize("largest", [(1, BATCH), (WIDTH, 8)])
    def test_where_no_whole_chunk_can_be_probed_nothing_is_traced(
        self, bench: Bench, largest: tuple[int, int]
    ):
        bench.largest = largest
        choice, measured = bench.choose(MUCH)
        assert (choice.engine, measured) == ("vmap", ["vmap", "referee"])
        assert bench.choose(MUCH)[1] == []


class TestRemembered:
    @pytest.mark.parametrize("cell_epochs", [LITTLE, MORE, MUCH])
    def test_the_next_time_nothing_is_measured(self, bench: Bench, cell_epochs: float):
        first, measured = bench.choose(cell_epochs)
        assert measured != []
        assert bench.choose(cell_epochs) == (first, [])
        assert bench.told == []

    def test_more_work_than_was_measured_for_is_measured_further(self, bench: Bench):
        for cell_epochs, count, engine in (
            (LITTLE, 1, "vmap"),
            (MORE, 2, "captured"),
            (MUCH, 1, "compiled"),
            (10 * MUCH, 0, "compiled"),
        ):
            choice, measured = bench.choose(cell_epochs)
            assert (choice.engine, len(measured)) == (engine, count)

    def test_less_work_than_was_measured_for_has_the_best_engine_too(self, bench: Bench):
        bench.choose(MUCH)
        assert bench.choose(LITTLE) == (Choice("compiled", WIDTH, Pace(0.05, 0.0)), [])

    @pytest.mark.parametrize(
        "changes",
        [
            {"fingerprint": "another"},
            {"width": WIDTH - 1},
            {"setting": make_setting(threads=2)},
            {"setting": make_setting(study=make_study(batch_size=40))},
            {"setting": make_setting(study=make_study(options=Options(precision="float64")))},
        ],
        ids=["task", "chunk", "threads", "batch size", "options"],
    )
    def test_of_another_setting_nothing_is_known(self, bench: Bench, changes: dict[str, Any]):
        bench.choose(LITTLE)
        assert bench.choose(LITTLE, **changes)[1] == ["vmap"]

    @pytest.mark.parametrize(
        "changes", [{"name": "other"}, {"pairs": ("sgd",)}, {"epochs": 4}, {"seeds": 3}]
    )
    def test_other_studies_of_the_task_are_known(self, bench: Bench, changes: dict[str, Any]):
        bench.choose(LITTLE)
        assert bench.choose(LITTLE, setting=make_setting(study=make_study(**changes)))[1] == []

    def test_what_was_true_of_the_tasks_former_code_is_forgotten(self, bench: Bench):
        """Of the same data and shapes, so that nothing else tells."""
        bench.choose(MUCH)
        bench.refused = {"compiled": "it branches", "captured": "it branches"}
        choice, measured = bench.choose(MUCH)
        assert (choice.engine, choice.why) == ("vmap", "engine captured: it branches")
        assert measured == ["vmap", "referee"]
        bench.refused |= {"vmap": "it branches"}
        assert bench.choose(MUCH)[0].engine == "referee"

    def test_another_machine_or_version_knows_nothing(self, bench: Bench, monkeypatch):
        bench.choose(LITTLE)
        for target, value in (
            ("platform.platform", lambda: "another"),
            ("os.cpu_count", lambda: 99),
            ("torch.__version__", "99.0"),
            ("landscape_study.study.planning.probing.version", lambda package: "99.0"),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(target, value)
                assert bench.choose(LITTLE)[1] == ["vmap"], target
        assert bench.choose(LITTLE)[1] == []

    @pytest.mark.parametrize(
        "damage",
        [
            "",
            "{",
            "[]",
            "null",
            "{}",
            '{"probes": []}',
            '{"probes": [{}]}',
            '{"probes": [{"pace": 3}]}',
            "\udcff",
        ],
    )
    def test_a_damaged_memory_is_made_anew(self, bench: Bench, own_cache: Path, damage: str):
        first, _ = bench.choose(MUCH)
        (path,) = own_cache.glob("*.json")
        path.write_bytes(damage.encode("utf-8", "surrogateescape"))
        assert bench.choose(MUCH) == (first, ["vmap", "compiled"])
        assert bench.choose(MUCH) == (first, [])

    def test_it_is_kept_for_this_user_alone_and_nothing_else_is_left(
        self, bench: Bench, own_cache: Path
    ):
        bench.choose(MUCH)
        assert stat.S_IMODE(own_cache.stat().st_mode) == 0o700
        (path,) = own_cache.iterdir()
        assert len(cache.recall(path.name)["probes"]) == 2


PROBES = st.builds(
    Probe,
    st.sampled_from(list(ENGINES)),
    st.integers(1, 600),
    st.integers(1, 600),
    st.builds(Pace, *[st.floats(0, 1e9)] * 2),
)


@hypothetically(probes=st.lists(PROBES).map(tuple))
def test_what_is_kept_is_recalled(
    probes: tuple[Probe, ...],
):
    memory = Memory(SETTING, WIDTH, HASH)
    memory.name = "known.json"
    memory.keep(probes)
    assert memory.recall() == probes


# ---- engines that are asked for, and GPUs -------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_asked_for_is_not_measured(engine: str, bench: Bench):
    assert given(SETTING, engine, WIDTH) == Choice(engine, WIDTH)
    assert bench.measured == []


def test_what_is_asked_for_and_cannot_be_is_refused(bench: Bench):
    bench.refused = {"captured": "it draws Python's numbers"}
    with pytest.raises(UsageError) as refused:
        given(SETTING, "captured", WIDTH)
    assert str(refused.value) == (
        "--engine captured: it does not train task 'examples.spirals:spirals' as a plain loop "
        "does: it draws Python's numbers: leave the choice to the tool, or take --engine referee"
    )


@pytest.mark.parametrize(
    ("refused", "choice"),
    [
        ({}, Choice("captured", WIDTH)),
        ({"captured": "frozen"}, Choice("vmap", WIDTH, None, "engine captured: frozen")),
        (
            {"vmap": "branches", "captured": "x"},
            Choice("referee", WIDTH, None, "engine vmap: branches"),
        ),
    ],
    ids=["captured", "vmap", "referee"],
)
def test_on_a_gpu_it_is_the_best_that_can_be(
    bench: Bench, refused: dict[str, str], choice: Choice
):
    bench.refused = refused
    assert on_gpu(SETTING, WIDTH) == choice
    assert bench.measured == []


@pytest.mark.parametrize("engine", ENGINES)
def test_the_pace_of_a_choice_is_measured_if_it_was_not(engine: str, bench: Bench):
    """Of what is traced at once with a whole chunk, since each size costs time."""
    bench.told = [COMPILING]
    known = Pace(7.0, 0.0)
    assert pace(SETTING, Choice(engine, WIDTH, known)) == known
    assert bench.measured == []
    assert pace(SETTING, Choice(engine, WIDTH)).step == bench.steps[engine]
    assert bench.measured == [engine]


# ---- without anything made up -------------------------------------------------------------------


def test_really_measured_and_remembered(own_cache: Path, monkeypatch: pytest.MonkeyPatch):
    """As if compiling never paid: it takes half a minute."""
    monkeypatch.setattr(probing, "SHORT", 0.0)
    monkeypatch.setattr(probing, "WORTH_COMPILING", float("inf"))
    monkeypatch.setattr(probing, "LARGE", 0)
    before = torch.get_rng_state()
    found = [choose([make_share()], HASH)]
    probes = Memory(SETTING, WIDTH, HASH).recall()
    assert [probe.engine for probe in probes] == ["vmap", "referee", "captured"]
    assert all(probe.pace.step > 0 < probe.pace.test for probe in probes)
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr(probing, "measure", None)
    monkeypatch.setattr(probing, "measure_by_growing", None)
    found.append(choose([make_share()], HASH))
    assert found[0] == found[1]
    assert found[0][1].pace in [probe.pace for probe in probes]


def test_really_refused(own_cache: Path):
    name, options = "tests.study.user_tasks:branching", Options()
    tried = Tried(name, branching, branching.data(), ["sgd"], options, HASH)
    setting = make_setting(task=branching, permission=tried)
    _, choice = choose([make_share(setting=setting)], HASH)
    assert (choice.engine, choice.slower) == ("referee", None)  # vmap does not run at all
    assert choice.why.startswith("engine vmap: RuntimeError: ")
    with pytest.raises(UsageError, match="--engine vmap: it does not train task"):
        given(setting, "vmap", WIDTH)
