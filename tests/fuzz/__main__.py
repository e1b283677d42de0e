"""Made-up input for as long as you like.

    python -m tests.fuzz [--minutes 10]

Ends with the first input that leads to something else than the tool's work or a message.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

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

ROUND = 100  # inputs of a kind, then those of another


@click.command()
@click.option("--minutes", default=10.0, show_default=True)
def main(minutes: float) -> None:
    """Try input after input."""
    end, rounds = time.monotonic() + 60 * minutes, 0
    whole = make_database()
    while time.monotonic() < end:
        _try(study_files(), read_study)
        _try(changes, partial(read_database, whole))
        _try(given_parts, check_given)
        _try(given_sides, check_sides)
        rounds += 1
    click.echo(f"{rounds * ROUND} study files, as many changes of a database, as many tasks: held")


def _try(inputs: SearchStrategy[Any], look: Callable[[Any], None]) -> None:
    @settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def hold(found: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            look(found)

    hold()


if __name__ == "__main__":
    main()
