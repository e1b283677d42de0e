"""Laws over a third axis in tables, frames and sentences."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from landscape_study.landscapes.reporting.law_phrases import law_sentences, study_laws
from landscape_study.landscapes.reporting.law_tables import law_frame, law_tables, plain
from landscape_study.study.console.text_tables import print_table
from landscape_study.study.errors import UsageError
from tests.landscapes.statistics.law_coverage import SETTINGS, Setting, law_of, panel_of


@pytest.fixture(scope="module")
def laws() -> list:
    """One whose λ lies beyond the border, and one where α multiplies the decay."""
    far = replace(SETTINGS["far beyond it"], noise=0.05)
    return [law_of(far), law_of(SETTINGS["scaled, a diagonal"])]


def printed(laws, width: int = 60) -> str:
    console = Console(file=io.StringIO(), width=width)
    for table in law_tables(laws):
        print_table(console, table)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_tables_fit_sixty_columns(laws, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = printed(laws)
    assert max(map(len, text.splitlines())) <= 60
    heads = ("batch size", "goes as", "published")
    starts = [line for line in text.splitlines() if line.startswith(heads)]
    assert [line.split()[0] for line in starts] == 2 * ["batch", "goes", "published"]  # none split


def test_they_say_what_was_found(laws):
    text = " ".join(printed(laws, 120).split())
    assert "AdamW, cosine, over batch size at 6 epochs, so that larger batches make fewer" in text
    assert "≤ 0.00391" in text
    assert "λ ∝ batch size^b – at least 1." in text
    assert "cannot tell: 2 of 4 best values lie on a border" in text
    assert "λ: λ_norm kept 0.5 contradicted" in text
    assert "α·λ: timescale kept, in epochs 1.0 allowed λ: 0." in text
    assert "Wang & Aitchison, arXiv 2405.13698" in text


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.00012345, "0.000123"), (1234.0, "1230"), (2.0, "2"), (1e-7, "1e-07"), (0.25, "0.25")],
)
def test_numbers_are_short(value: float, told: str):
    assert plain(value) == told


def test_frames_have_a_row_each(laws):
    exponents = law_frame(laws)
    assert exponents["quantity"].tolist() == 2 * ["α", "λ", "α·λ", "timescale"]
    assert exponents.loc[exponents["tells"], "why"].eq("").all()
    values = law_frame(laws, "values")
    assert len(values) == 2 * 4 * 4
    own = values[(values["quantity"] == "λ") & (values["pair"] == "adamw")]
    assert own["bound"].tolist() == ["below", "", "", "above"]
    assert own["x"].tolist() == [16, 32, 64, 128]
    published = law_frame(laws, "published")
    assert set(published["verdict"]) <= {"allowed", "contradicted", "cannot tell"}
    assert published["source"].str.contains("arXiv|ICLR").all()
    with pytest.raises(UsageError, match="no table 'x': choose one of exponents"):
        law_frame(laws, "x")  # type: ignore[arg-type]


def test_sentences_say_it_in_short(laws):
    first, second = law_sentences(laws)
    assert "λ b at least 1." in first
    assert "contradicted: timescale kept, in epochs (Wang & Aitchison)" in first
    assert "allowed: square root scaling (Malladi et al.)" in second


def test_of_a_study_those_are_told_that_have_three_values():
    panels = [panel_of(Setting(), size, 0) for size in (16, 32, 64)]
    assert len(study_laws(panels)) == 1
    assert study_laws(panels[:2]) == []
