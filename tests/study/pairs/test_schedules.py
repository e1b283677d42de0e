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
    InverseSqrt,
    Linear,
    Schedule,
    Step,
    WarmRestarts,
    WarmupStableDecay,
)

BATCHES = 391  # per epoch, as CIFAR-10 in batches of 128

EVERY = {
    "constant": Constant(),
    "step": Step(),
    "cosine": Cosine(),
    "linear": Linear(),
    "inverse-sqrt": InverseSqrt(),
    "wsd": WarmupStableDecay(),
    "restarts": WarmRestarts(t_0=10, t_mult=2),
}
WARMED = {
    name: type(schedule)(**dict(schedule) | {"warmup": 0.1}) for name, schedule in EVERY.items()
}


def test_every_schedule_of_the_registry_is_in_the_table_of_these_tests():
    assert EVERY.keys() == SCHEDULES.keys()
    assert {name: schedule.kind for name, schedule in EVERY.items()} == {n: n for n in EVERY}


@pytest.mark.parametrize("schedule", EVERY.values(), ids=EVERY)
def test_eta_starts_at_1_or_where_there_is_a_warmup_at_0_and_stays_between(schedule):
    etas = [schedule.eta(i / 7, 70) for i in range(7 * 70)]
    assert etas[0] == (0.0 if schedule.warmup else 1.0)
    assert all(0 <= eta <= 1 for eta in etas)
    assert max(etas) == 1.0 or schedule == InverseSqrt()  # whose warmup ends within a batch


@pytest.mark.parametrize("schedule", WARMED.values(), ids=WARMED)
def test_a_warmup_rises_linearly_to_1_batch_by_batch(schedule):
    rise = [schedule.eta(i / 7, 70) for i in range(7 * 7 + 1)]
    assert rise == pytest.approx([i / 49 for i in range(50)], abs=1e-15)


@pytest.mark.parametrize("warmup", [-0.1, 1.0, math.nan, "0.1", True])
@pytest.mark.parametrize("schedule", EVERY.values(), ids=EVERY)
def test_a_warmup_is_a_fraction_of_the_budget(schedule, warmup):
    with pytest.raises(ValidationError, match="warmup"):
        type(schedule)(**dict(schedule) | {"warmup": warmup})


@pytest.mark.parametrize("schedule", [*EVERY.values(), *WARMED.values()])
def test_a_schedule_survives_being_written_and_read(schedule):
    adapter = TypeAdapter(Schedule)
    assert adapter.validate_json(adapter.dump_json(schedule)) == schedule


def test_what_a_schedule_has_not_is_not_written():
    adapter = TypeAdapter(Schedule)
    assert adapter.dump_python(Cosine()) == {"kind": "cosine"}
    assert adapter.dump_python(Cosine(floor=0.1)) == {"kind": "cosine", "floor": 0.1}
    no_warmup = WarmupStableDecay(warmup=0.0)
    assert adapter.dump_python(no_warmup)["warmup"] == 0
    assert adapter.validate_python(adapter.dump_python(no_warmup)) == no_warmup


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
        (Cosine, {"floor": 1.0}, "less than 1"),
        (Linear, {"floor": -0.1}, "greater than or equal to 0"),
        (InverseSqrt, {"warmup": 0.0}, "greater than 0"),
        (WarmupStableDecay, {"decay": 0.0}, "greater than 0"),
        (WarmupStableDecay, {"decay": 0.99}, "warmup of 0.05 and a decay of 0.99 .* more than"),
        (WarmupStableDecay, {"shape": "exp"}, "'linear' or 'sqrt'"),
        (Step, {"warmup": 0.3}, "warmup of 0.3 of the budget and a drop at 0.3"),
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


WITHOUT_RESTARTS = [name for name in EVERY if name != "restarts"]


@pytest.mark.parametrize("name", WITHOUT_RESTARTS)
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


@pytest.mark.parametrize("name", WITHOUT_RESTARTS)
def test_without_restarts_the_solution_is_the_last_epoch(name):
    assert EVERY[name].ends(60) == (60,)
    assert EVERY[name].solution(60) == 60


def test_labels_tell_schedules_apart():
    schedules = (*EVERY.values(), *WARMED.values(), WarmRestarts(t_0=3), Cosine(floor=0.1))
    labels = [schedule.label for schedule in schedules]
    assert len(set(labels)) == len(labels)
    assert labels[:4] == ["constant", "step", "cosine", "linear"]
    assert labels[4:6] == ["inverse-sqrt (warmup 5 %)", "wsd (warmup 5 %, decay 20 %)"]
    assert labels[-2:] == ["restarts (T₀ = 3, ×2)", "cosine (to 10 %)"]


# Today's schedules against independent ones: PyTorch's, and the formulas of the papers.

STEPS = 200  # of one batch an epoch


def torchs(*parts):
    """Learning rates by step of schedulers of PyTorch, one after the other.

    Args:
        parts: pairs of how a scheduler is made of an optimizer, and its first step.
    """
    optimizer = torch_optimizer()
    makers, begins = zip(*parts, strict=True)
    scheduler = torch.optim.lr_scheduler.SequentialLR(
        optimizer, [make(optimizer) for make in makers], milestones=list(begins[1:])
    )
    rates = []
    for _ in range(STEPS):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


def rising(steps):
    """PyTorch's linear warmup, from as good as nothing."""
    return lambda optimizer: torch.optim.lr_scheduler.LinearLR(
        optimizer, start_factor=1e-300, total_iters=steps
    )


def falling(steps):
    return lambda optimizer: torch.optim.lr_scheduler.PolynomialLR(optimizer, steps, power=1.0)


def annealed(steps, floor=0.0):
    return lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, T_max=steps, eta_min=floor
    )


def staying(optimizer):
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


AGAINST_TORCH = {
    "linear": (Linear(), [(falling(STEPS), 0)]),
    "warmup, linear": (Linear(warmup=0.1), [(rising(20), 0), (falling(180), 20)]),
    "warmup, cosine": (Cosine(warmup=0.05), [(rising(10), 0), (annealed(190), 10)]),
    "warmup, cosine to a tenth": (
        Cosine(warmup=0.05, floor=0.1),
        [(rising(10), 0), (annealed(190, 0.1), 10)],
    ),
    "warmup, constant": (Constant(warmup=0.25), [(rising(50), 0), (staying, 50)]),
    "warmup, stable, decay": (
        WarmupStableDecay(warmup=0.1, decay=0.3),
        [(rising(20), 0), (staying, 20), (falling(60), 140)],
    ),
    "stable, decay": (
        WarmupStableDecay(warmup=0.0, decay=0.5),
        [(staying, 0), (falling(100), 100)],
    ),
}


@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
@pytest.mark.parametrize("case", AGAINST_TORCH)
def test_todays_schedules_agree_with_torchs(case):
    schedule, parts = AGAINST_TORCH[case]
    etas = [schedule.eta(float(step), STEPS) for step in range(STEPS)]
    assert etas == pytest.approx(torchs(*parts), abs=1e-12)


def test_inverse_sqrt_is_the_formula_of_the_transformers_paper():
    warm = 10  # steps
    width = 512  # whatever it is: α stands for the highest rate
    rates = [width**-0.5 * min(n**-0.5, n * warm**-1.5) for n in range(1, STEPS)]
    etas = [InverseSqrt(warmup=warm / STEPS).eta(float(n), STEPS) for n in range(1, STEPS)]
    assert etas == pytest.approx([rate / max(rates) for rate in rates], abs=1e-12)


def test_the_square_root_decay_is_that_of_its_paper():
    schedule = WarmupStableDecay(warmup=0.0, decay=0.2, shape="sqrt")
    decayed = [schedule.eta(float(n), STEPS) for n in range(160, STEPS)]
    assert decayed == pytest.approx([1 - ((n - 160) / 40) ** 0.5 for n in range(160, STEPS)])
    assert {schedule.eta(float(n), STEPS) for n in range(160)} == {1.0}


def test_restarts_with_a_warmup_end_their_cycles_where_those_without_do():
    plain, warmed = WarmRestarts(t_0=10), WarmRestarts(t_0=10, warmup=0.05)
    assert warmed.ends(70) == plain.ends(70)
    assert warmed.eta(3.5, 70) == 1.0
    assert 0 < warmed.eta(10 - 1 / BATCHES, 70) < 1e-4
    assert all(warmed.eta(t, 70) == plain.eta(t, 70) for t in (10, 17.3, 30, 69.9))


def test_a_warmup_longer_than_the_first_cycle_is_told():
    assert WarmRestarts(t_0=7, warmup=0.09).wrong_with(70) is None
    wrong = WarmRestarts(t_0=7, warmup=0.1).wrong_with(70)
    assert wrong == (
        "a warmup of 0.1 of 70 epochs is no part of a first cycle of 7: make it shorter, or t_0 "
        "larger"
    )


@pytest.mark.parametrize("schedule", [*EVERY.values(), *WARMED.values()])
def test_turns_lie_within_the_budget_and_eta_is_smooth_between_them(schedule):
    turns = sorted(schedule.turns(70))
    assert all(0 < turn < 70 for turn in turns)
    near = 1e-4
    for i in range(1, 70 * 8):
        t = i / 8
        if all(abs(t - turn) > 2 * near for turn in turns):
            left = schedule.eta(t, 70) - schedule.eta(t - near, 70)
            right = schedule.eta(t + near, 70) - schedule.eta(t, 70)
            assert left == pytest.approx(right, abs=1e-6)
