"""What is paid beside training: stages of the start-up, shares."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from benchmarks.networks import NETWORKS
from benchmarks.overheads import claim_and_record, data_seconds, evaluation_share
from benchmarks.timeline import LAST_PARTS, PARTS, read, timed

from tests.benchmarks.test_throughput import cells, repetition

PARENT = {
    **{"called": 10.5, "imported": 12.0, "planned": 12.5, "stored": 13.0},
    **{"trained": 20.5, "told": 21.0},
}
FIRST = {"worker": 13.25, "claimed": 13.5, "stepped": 14.0, "recorded": 19.0}
SECOND = {"worker": 13.5, "claimed": 14.0, "stepped": 15.0, "recorded": 20.0}
LATE = {"worker": 13.5, "claimed": 14.0}  # found nothing to do


def test_a_timeline_leads_to_the_first_step_and_from_the_last_result(tmp_path: Path):
    (tmp_path / "parent.json").write_text(json.dumps(PARENT))
    for number, marks in enumerate((SECOND, FIRST, LATE)):
        (tmp_path / f"worker-{number}.json").write_text(json.dumps(marks))
    assert read(tmp_path, started=10.0, ended=21.25) == {
        "Python and the command line": 0.5,
        "imports of the parent": 1.5,
        "planning": 0.5,
        "the database": 0.5,
        "processes of the workers": 0.25,
        "their data and the first claim": 0.25,
        "the first step": 0.5,
        "from the command to the first step": 4.0,
        "until the run has ended": 0.5,
        "status and verdicts": 0.5,
        "the end of the process": 0.25,
        "from the last result to the prompt": 1.25,
    }


@pytest.mark.long
def test_a_run_passes_through_all_parts():
    study = NETWORKS["digits"].study(quick=True)
    took = timed(study.to_toml(), "--workers", "1")
    assert {*PARTS, *LAST_PARTS} < set(took)
    assert all(0 < seconds < 60 for seconds in took.values())


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
