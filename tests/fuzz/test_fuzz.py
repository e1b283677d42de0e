"""Some made-up input; more of it by `python -m tests.fuzz`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.inputs import (
    changes,
    check_given,
    check_sides,
    given_parts,
    given_sides,
    make_database,
    read_database,
    read_study,
    study_files,
)

pytestmark = pytest.mark.slow

few = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def whole() -> Iterator[Path]:
    path = make_database()
    yield path
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()


@few
@given(study_files())
def test_study_files(text: str):
    read_study(text)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@few
@given(changes)
def test_databases(whole: Path, found: list[tuple[tuple[str, str], Any]]):
    read_database(whole, found)


@pytest.mark.filterwarnings("ignore")
@few
@given(given_parts)
def test_tasks(parts: dict[str, Any]):
    check_given(parts)


@pytest.mark.filterwarnings("ignore")
@few
@given(given_sides)
def test_sides(sides: tuple[Any, Any, bool, bool]):
    check_sides(sides)
