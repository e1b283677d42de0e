"""The one command: which parts it runs, and that all of them work from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from benchmarks.__main__ import PARTS, chosen, main
from benchmarks.measure import REPOSITORY, BenchmarkError
from benchmarks.networks import LANGUAGE_MODELS, NETWORKS
from benchmarks.results import RESULTS, Settings, read, record
from click.testing import CliRunner

README = (REPOSITORY / "benchmarks" / "README.md").read_text(encoding="utf-8")
# Entries whose own keys are names (of rows, networks, shapes, commands …), not words to explain.
BY_NAME = {
    *("networks", "rates", "shapes", "ratios", "medians", "median_difference_per_cell"),
    *("commands_s", "data_s", "preparation_s", "timeline_s", "evaluation", "comparisons"),
}
IN_WORDS = {"machine", "grids", "calls", "asked"}  # told as a whole


def keys(facts: Any) -> Iterator[str]:
    """Every key of the facts that README.md must explain."""
    if isinstance(facts, list):
        for entry in facts:
            yield from keys(entry)
    if isinstance(facts, dict):
        for key, value in facts.items():
            yield key
            by_name = key in BY_NAME and isinstance(value, dict)
            for entry in value.values() if by_name else [value] * (key not in IN_WORDS):
                yield from keys(entry)


def test_parts_are_chosen_by_name_and_kept_in_order():
    assert chosen(()) == list(PARTS)
    assert chosen(("fig2", "limit")) == ["limit", "fig2"]
    assert chosen(("throughput",)) == [
        f"throughput-{name}" for name in (*NETWORKS, *LANGUAGE_MODELS)
    ]
    with pytest.raises(click.UsageError, match="no part 'nothing'"):
        chosen(("nothing",))


def test_the_readme_names_every_part():
    for name in PARTS:
        assert f"`{name}`" in README or f"`-{name.partition('-')[2]}`" in README


def test_a_part_is_written_with_what_all_parts_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(PARTS, "limit", lambda settings: {"settings": {"repeats": 7}, "found": 1})
    record("limit", PARTS["limit"], Settings(3, False, tmp_path, print))
    facts = read(tmp_path, "limit")
    assert facts is not None
    assert (facts["benchmark"], facts["found"]) == ("limit", 1)
    assert facts["settings"]["repeats"] == 7  # the part knows better
    assert facts["machine"]["cpu"]


def test_a_part_that_fails_is_not_written_and_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(settings: Settings) -> dict[str, Any]:
        raise BenchmarkError("the rows do not agree")

    analysis = read(RESULTS, "analysis")
    monkeypatch.setitem(PARTS, "limit", fail)
    monkeypatch.setitem(PARTS, "analysis", lambda settings: analysis)
    asked = ["--only", "limit", "--only", "analysis", "--output", str(tmp_path)]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 1
    assert "Error: the rows do not agree" in result.output
    assert "not written: limit" in result.output
    assert {path.name for path in tmp_path.iterdir()} == {"analysis.json", "speed.md"}


@pytest.mark.long
def test_everything_works_and_every_result_is_explained(tmp_path: Path):
    parts = ["throughput-mlp1d", *(name for name in PARTS if not name.startswith("throughput"))]
    options = [option for name in parts for option in ("--only", name)]
    result = CliRunner().invoke(main, ["--quick", *options, "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "speed.md").read_text(encoding="utf-8")
    headings = [line for line in page.splitlines() if line.startswith("##")]
    assert len(headings) == 8
    assert all(heading in result.output for heading in headings)
    explained = set(README.split("`")[1::2])
    for name in parts:
        facts = json.loads((tmp_path / f"{name}.json").read_text("utf-8"))
        unexplained = set(keys(facts)) - explained - {"median", "min", "max"}
        assert not unexplained, name
    throughput = read(tmp_path, "throughput-mlp1d")
    assert throughput is not None
    (work,) = throughput["database"]["repetitions"]
    assert work["chunks"] == work["calls"]["worker"]["record"]["calls"] == 4
    assert 0 < work["share"] < work["share_of_everything"]
    limit = read(tmp_path, "limit")
    assert limit is not None
    assert 0 < limit["networks"]["mlp1d"]["share"]["median"] < 1
