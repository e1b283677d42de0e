"""Chunks by rules of the user's own: as by the built-in ones that they write anew."""

from __future__ import annotations

import pytest
from examples.spirals import spirals

from landscape_study.study.pairs.options import Options
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.spec.grid import Axis, Grid
from landscape_study.study.spec.study import Cell, Panel
from landscape_study.study.training.chunk import train_chunk
from landscape_study.study.training.compiling import library
from tests.study.chunks import assert_same_outcome

RULES = "tests.study.user_rules"
CELLS = [Cell(0.002, 0.0), Cell(0.002, 0.5), Cell(0.0005, 2.0)]
GRID = Grid(alpha=Axis(values=(0.02,)), lambda_=Axis(values=(0.05,)))
ENGINES = ["referee", "vmap", "captured", pytest.param("compiled", marks=pytest.mark.long)]


def trained(pair: str, engine: str) -> Outcome:
    options = Options(precision="float64", beta2=0.99, decay_1d=False)
    return train_chunk(
        spirals,
        spirals.data(),
        Panel(pair=pair, epochs=2, grid=GRID),
        CELLS,
        seed=1,
        batch_size=50,
        options=options,
        engine=engine,
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("placement", ["l2", "decoupled", "scaled-cautious"])
def test_a_rule_of_ones_own_is_trained_as_the_built_in_one(engine: str, placement: str):
    if engine == "compiled" and library.why_not():
        pytest.skip(str(library.why_not()))
    own = trained(f"{RULES}:MyLion-{placement}", engine)
    assert_same_outcome(own, trained(f"lion-{placement}", engine))
    assert own.diverged_epoch.tolist() == [0, 0, 0]
