"""Laws over a third axis in words, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from landscape_study.landscapes.figures.law_record import exponent_title
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.panel_families import NAMES, known_families
from landscape_study.landscapes.statistics.scaling_law import (
    ScalingLaw,
    Verdict,
    scaling_law,
)

LAWS = (
    "The best α and λ of each panel are the middle of its basin. b is the exponent of a power law "
    "through them, with its 95 % interval; a published law is contradicted if the interval does "
    "not hold its exponent, and allowed if it does and is narrower than 1."
)


def headline(law: ScalingLaw) -> str:
    """What a family is: "AdamW, cosine, over batch size at 60 epochs, so that …"."""
    family = law.family
    return f"{family.title}, over {NAMES[family.over]} at {family.held}"


def law_sentences(laws: Sequence[ScalingLaw]) -> list[str]:
    """Of each family its exponents, and which published laws they allow."""
    return [f"{headline(law)}: {'; '.join(_told(law))}." for law in laws]


def _told(law: ScalingLaw) -> Iterator[str]:
    yield ", ".join(f"{one.quantity} {exponent_title(one)}" for one in law.exponents)
    for verdict in get_args(Verdict):
        names = [
            f"{one.law.name} ({one.law.source.partition(',')[0]})"
            for one in law.published
            if one.verdict == verdict
        ]
        if names:
            yield f"{verdict}: {', '.join(names)}"


def study_laws(panels: Sequence[PanelData]) -> list[ScalingLaw]:
    """The laws of a study's panels, of families that are large enough to tell one."""
    return [scaling_law(family) for family in known_families(panels)]
