"""What is paid beside training: stages of the start-up, shares."""

from __future__ import annotations

import dataclasses

import pytest
from benchmarks.overheads import claim_and_record, data_seconds, evaluation_share, startup

from tests.benchmarks.test_throughput import cells, repetition


def test_start_up_is_cut_at_its_marks():
    marks = {"parent_ready": 1002.0, "worker_ready": 1003.5, "data_ready": 1003.75}
    run = dataclasses.replace(repetition(1, cells(1.0)), database={"marks": marks})
    medians = {stage: took["median"] for stage, took in startup([run]).items()}
    assert medians == {"parent": 2.0, "workers": 1.5, "data": 0.25}


def test_claims_and_records_are_means_over_a_run():
    calls = {"claim": {"calls": 4, "seconds": 2.0}, "record": {"calls": 2, "seconds": 3.0}}
    work = {"calls": {"worker": calls}, "share": 0.1}
    facts = claim_and_record([dataclasses.replace(repetition(1, cells(1.0)), database=work)])
    medians = {name: spread["median"] for name, spread in facts.items()}
    assert medians == {"claim_s": 0.5, "record_s": 1.5, "share": 0.1}


def test_evaluation_is_what_a_run_takes_less_without_it():
    pairs = [(repetition(4, cells(1.0)), repetition(3, cells(1.0)))]
    assert evaluation_share(pairs)["median"] == 0.25


@pytest.mark.long
def test_loading_data_is_timed_in_a_process_of_its_own():
    (seconds,) = data_seconds("digits", 1)
    assert 0 < seconds < 60
