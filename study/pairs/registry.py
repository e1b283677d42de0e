"""The pairs: an update rule with a placement of λ, by name."""

from __future__ import annotations

from dataclasses import dataclass

from landscape_study.study.pairs.placements import PlacementName


@dataclass(frozen=True)
class Pair:
    """An optimizer/regularization pair: which update rule, and where λ enters."""

    name: str
    rule: str  # key of RULES
    placement: PlacementName  # key of PLACEMENTS
    title: str  # how figures name it


PAIRS: dict[str, Pair] = {
    pair.name: pair
    for pair in (
        Pair("sgd", "sgd", "l2", "SGD + L2"),
        Pair("sgdw", "sgd", "decoupled", "SGDW"),
        Pair("sgdw-torch", "sgd", "scaled", "SGDW (λ scaled by α)"),
        Pair("adam", "adam", "l2", "Adam + L2"),
        Pair("adamw", "adam", "decoupled", "AdamW"),
        Pair("adamw-torch", "adam", "scaled", "AdamW (torch: λ scaled by α)"),
    )
}
