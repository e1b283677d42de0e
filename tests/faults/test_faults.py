"""Engines that are wrong in one way are caught; engines that are whole are not."""

from __future__ import annotations

from functools import cache, partial

import pytest
import torch

from landscape_study.study.agreement.observation import Subject, excerpt, observe
from landscape_study.study.tasks.task import Task
from tests.faults.__main__ import judge_of, judged
from tests.faults.catalogue import FAULTS
from tests.faults.fault import Fault
from tests.faults.judge import Judge
from tests.faults.subjects import CHUNKS, KEEPER, READER
from tests.study.conftest import CLASSES, tiny_data
from tests.study.networks import NETWORKS

pytestmark = pytest.mark.long

BEYOND_A_TRIAL = (  # which tries two cells, batches of eight, 12 steps, in double precision
    *("third cell with the second's α", "cells of the first chunk for all"),
    *("only eight examples of a batch", "bfloat16 in single precision"),
    *(name for name in FAULTS if name.startswith(("late: ", "once: "))),
)
BEYOND_A_WITNESS = (  # or near its bounds: it looks at losses to half a hundredth
    *("gradient 1 % too large", "late: gradient 1 % too large", "late: λ 1 % too large"),
    *("gradient rounded to bfloat16", "bfloat16 in single precision"),
    *("weights rounded to single precision", "count of batches dropped"),
    *("ε ten times as large", "β2 0.99 instead of 0.999"),
)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_fault_of_two_cells_shows_in_theirs_only():
    fault = FAULTS["α of two cells swapped"]
    found = judge_of(READER).verdict(fault, "vmap").witnesses
    assert [bool(witness.why) for witness in found] == [True, True, False] * 4


def test_what_a_checkpoint_forgets_is_a_reason_to_have_none():
    fault = FAULTS["checkpoint forgets buffers"]
    trial = judge_of(READER).verdict(fault, "vmap").trial
    assert trial.why_not is None
    assert trial.no_checkpoint == "after step 6 the buffer `norm.running_mean` of cell 1 differs"


def test_every_fault_is_caught_as_far_as_it_shows():
    """What the referee shares is held by independent loops: see tests/study/references.py."""
    found = {row.name: row for row in judged(["vmap"])}
    own = {name: row.verdict for name, row in found.items() if not row.fault.shared}
    assert {name for name, v in own.items() if not v.tried} == set(BEYOND_A_TRIAL)
    assert {name for name, v in own.items() if not v.differing} <= set(BEYOND_A_WITNESS)
    assert not any(row.verdict.caught for row in found.values() if row.fault.shared)


# ---- nothing else is caught ---------------------------------------------------------------------

SOON = {"ConvNet 2D", "BN-MLP", "dropout", "assigned buffer"}  # the others later, or with tracing


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("task", [READER, KEEPER], ids=["reader", "keeper"])
def test_whole_engines_are_not_said_to_be_wrong(task, interrupted):
    assert not judge_of(task).of("vmap", interrupted=interrupted).caught


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        *(("vmap", name) for name in sorted(SOON)),
        *(
            pytest.param("vmap", name, marks=pytest.mark.long)
            for name in NETWORKS
            if name not in SOON
        ),
        *(pytest.param("captured", name, marks=pytest.mark.long) for name in sorted(SOON)),
    ],
)
def test_whole_engines_are_not_said_to_be_wrong_of_other_networks(engine, name):
    network, kind = NETWORKS[name]
    task = Task(name, network, partial(tiny_data, kind), CLASSES, batch_size=5, epochs=3)
    assert not Judge(task).of(engine).caught


# ---- the referee stays as it is -----------------------------------------------------------------


@cache
def by_the_referee(task: Task, interrupted: bool):
    """What is seen of one cell."""
    judge = Judge(task)
    subject, arithmetic = Subject(task, excerpt(task.data())), judge.reference.arithmetic
    cell = CHUNKS[0][:1]
    return observe(subject, "referee", "adamw", cell, arithmetic, interrupted=interrupted).seen


OWN = {name: fault for name, fault in FAULTS.items() if not fault.shared}


@pytest.mark.parametrize("fault", OWN.values(), ids=OWN)
def test_no_fault_touches_the_referee(fault: Fault):
    known = by_the_referee(fault.task, fault.interrupted)
    with fault.broken():
        found = by_the_referee.__wrapped__(fault.task, fault.interrupted)
    assert [(seen.when, seen.what) for seen in found] == [(seen.when, seen.what) for seen in known]
    assert all(torch.equal(a.values, b.values) for a, b in zip(found, known, strict=True))
