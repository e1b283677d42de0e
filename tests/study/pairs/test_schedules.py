import math
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from landscape_study.study.pairs.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Schedule,
    Step,
    WarmRestarts,
)

BATCHES = 391  # per epoch, as CIFAR-10 in batches of 128

EVERY = {
    "constant": Constant(),
    "step": Step(),
    "cosine": Cosine(),
    "restarts": WarmRestarts(t_0=10, t_mult=2),
}


def test_every_schedule_of_the_registry_is_in_the_table_of_these_tests():
    assert EVERY.keys() == SCHEDULES.keys()
    assert {name: schedule.kind for name, schedule in EVERY.items()} == {n: n for n in EVERY}


@pytest.mark.parametrize("schedule", EVERY.values(), ids=EVERY)
def test_eta_starts_at_1_and_stays_within_0_and_1(schedule):
    etas = [schedule.eta(i / 7, 70) for i in range(7 * 70)]
    assert etas[0] == 1.0
    assert all(0 <= eta <= 1 for eta in etas)


@pytest.mark.parametrize("schedule", EVERY.values(), ids=EVERY)
def test_a_schedule_survives_being_written_and_read(schedule):
    adapter = TypeAdapter(Schedule)
    assert adapter.validate_json(adapter.dump_json(schedule)) == schedule


def test_constant_never_changes():
    assert {Constant().eta(t, 100) for t in (0, 0.5, 30, 99.99)} == {1.0}


@pytest.mark.parametrize(
    ("epochs", "drops"),
    [(100, (30, 60, 80)), (60, (18, 36, 48)), (1800, (540, 1080, 1440)), (10, (3, 6, 8))],
)
def test_step_drops_tenfold_on_the_first_batch_of_the_papers_epochs(epochs, drops):
    schedule = Step()
    for number, epoch in enumerate(drops):
        last_batch_before = epoch - 1 / BATCHES
        assert schedule.eta(last_batch_before, epochs) == pytest.approx(0.1**number, rel=1e-15)
        assert schedule.eta(epoch, epochs) == pytest.approx(0.1 ** (number + 1), rel=1e-15)
    assert schedule.eta(epochs - 1 / BATCHES, epochs) == pytest.approx(1e-3, rel=1e-15)


@example(epochs=100, percent=7)  # 0.07 * 100 is a hair above 7
@given(epochs=st.integers(1, 3000), percent=st.integers(1, 99))
def test_step_drops_at_whole_epochs_whatever_the_rounding_of_the_fraction(epochs, percent):
    drop = math.ceil(percent * epochs / 100)  # the first whole epoch that is dropped
    schedule = Step(at=(percent / 100,), factor=0.5)
    assert schedule.eta(drop, epochs) == 0.5
    assert schedule.eta(drop - 1, epochs) == 1.0


@pytest.mark.parametrize("at", [(0.0,), (1.0,), (-0.1,), (0.6, 0.3), (0.3, 0.3), (math.nan,)])
def test_step_refuses_fractions_that_are_none(at):
    with pytest.raises(ValidationError, match=r"ascending fractions of the budget between 0 and"):
        Step(at=at)


@pytest.mark.parametrize(
    ("schedule", "changes", "message"),
    [
        (Step, {"factor": 0.0}, "greater than 0"),
        (Step, {"factor": 1.0}, "less than 1"),
        (Step, {"factor": math.nan}, "less than 1|greater than 0"),
        (Step, {"factor": "0.1"}, "valid number"),
        (WarmRestarts, {"t_0": 0}, "greater than or equal to 1"),
        (WarmRestarts, {"t_0": 1.5}, "valid integer"),
        (WarmRestarts, {"t_0": 1, "t_mult": 0}, "greater than or equal to 1"),
        (WarmRestarts, {}, "required"),
        (Cosine, {"t_0": 1}, "not permitted"),
    ],
)
def test_impossible_options_are_refused(schedule, changes, message):
    with pytest.raises(ValidationError, match=message):
        schedule(**changes)


def test_cosine_at_its_start_middle_and_end():
    assert Cosine().eta(0, 80) == 1.0
    assert Cosine().eta(40, 80) == pytest.approx(0.5, abs=1e-15)
    assert Cosine().eta(20, 80) == pytest.approx(0.5 + math.sqrt(0.125), abs=1e-15)
    assert Cosine().eta(80, 80) == 0.0
    assert 0 < Cosine().eta(80 - 1 / BATCHES, 80) < 1e-8


def test_cosine_falls_from_batch_to_batch():
    etas = [Cosine().eta(i / 50, 20) for i in range(1000)]
    assert all(after < before for before, after in pairwise(etas))


def torch_optimizer():
    return torch.optim.SGD([torch.zeros(1)], lr=1.0)


def test_cosine_agrees_with_torch():
    optimizer = torch_optimizer()
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=60)
    for epoch in range(61):
        assert Cosine().eta(epoch, 60) == pytest.approx(reference.get_last_lr()[0], abs=1e-14)
        optimizer.step()
        reference.step()


@pytest.mark.parametrize(("t_0", "t_mult"), [(10, 1), (10, 2), (7, 3), (1, 1), (100, 2)])
def test_warm_restarts_agree_with_torch_within_epochs_too(t_0, t_mult):
    reference = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        torch_optimizer(), T_0=t_0, T_mult=t_mult
    )
    schedule = WarmRestarts(t_0=t_0, t_mult=t_mult)
    for quarter in range(4 * 200):
        t = quarter / 4
        reference.step(t)
        assert schedule.eta(t, 200) == pytest.approx(reference.get_last_lr()[0], abs=1e-12)


def test_warm_restarts_are_back_at_1_on_the_first_batch_of_each_cycle_of_the_paper():
    schedule = WarmRestarts(t_0=100, t_mult=2)
    restarts = [epoch for epoch in range(1, 1800) if schedule.eta(epoch, 1800) == 1.0]
    assert restarts == [100, 300, 700, 1500]
    for epoch in restarts:
        assert schedule.eta(epoch - 1 / BATCHES, 1800) < 1e-8


@pytest.mark.parametrize(
    ("t", "cycle"), [(0, 100), (99.99, 100), (100, 200), (299.99, 200), (300, 400), (1500, 1600)]
)
def test_the_cycle_of_warm_restarts_is_the_one_that_the_batch_lies_in(t, cycle):
    assert WarmRestarts(t_0=100, t_mult=2).cycle(t, 1800) == cycle


@pytest.mark.parametrize("name", ["constant", "step", "cosine"])
def test_without_restarts_the_cycle_is_the_whole_budget(name):
    assert {EVERY[name].cycle(t, 60) for t in (0, 17.5, 59.9)} == {60}


@pytest.mark.parametrize(
    ("t_0", "t_mult", "epochs", "ends", "solution"),
    [
        (100, 2, 1800, (100, 300, 700, 1500), 1500),  # the paper's, on CIFAR-10
        (10, 2, 150, (10, 30, 70, 150), 150),  # and on ImageNet32x32
        (10, 1, 35, (10, 20, 30), 30),
        (10, 2, 10, (10,), 10),
        (10, 2, 9, (), 9),  # no cycle is whole: the last epoch is all there is
        (1, 9, 1, (1,), 1),
    ],
)
def test_the_solution_is_at_the_end_of_the_last_whole_cycle(t_0, t_mult, epochs, ends, solution):
    schedule = WarmRestarts(t_0=t_0, t_mult=t_mult)
    assert schedule.ends(epochs) == ends
    assert schedule.solution(epochs) == solution


@given(t_0=st.integers(1, 30), t_mult=st.integers(1, 4), epochs=st.integers(1, 200))
def test_cycles_end_where_eta_is_back_at_1(t_0, t_mult, epochs):
    schedule = WarmRestarts(t_0=t_0, t_mult=t_mult)
    ends = [end for end in range(1, epochs + 1) if schedule.eta(end, epochs) == 1.0]
    assert schedule.ends(epochs) == tuple(ends)
    starts = (0, *ends)
    for start, end in pairwise(starts):
        assert schedule.cycle(start, epochs) == schedule.cycle(end - 0.5, epochs) == end - start


@pytest.mark.parametrize("name", ["constant", "step", "cosine"])
def test_without_restarts_the_solution_is_the_last_epoch(name):
    assert EVERY[name].ends(60) == (60,)
    assert EVERY[name].solution(60) == 60


def test_labels_tell_schedules_apart():
    labels = [schedule.label for schedule in (*EVERY.values(), WarmRestarts(t_0=3))]
    assert labels[:3] == ["constant", "step", "cosine"]
    assert labels[3:] == ["restarts (T₀ = 10, ×2)", "restarts (T₀ = 3, ×2)"]
