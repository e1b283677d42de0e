"""`landscape translate`: what a weight decay is elsewhere."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from landscape_study.cli import main


def translate(*words: str) -> Result:
    return CliRunner().invoke(main, ["translate", *words], prog_name="landscape")


CELL = ["--lr", "3e-4", "--weight-decay", "0.1"]


def test_it_tells_apart_what_is_the_same_when():
    told = translate("torch.AdamW", *CELL)
    assert told.exit_code == 0
    always, on_average, never = told.output.split("\n\n")[1:]
    assert "  adamw: α = 0.0003, λ = 3e-05\n" in always
    assert "  optax.adamw: learning_rate = 0.0003, weight_decay = 0.1\n" in always
    assert "  adam-squared: α = 0.0003, λ = 333.3\n" in on_average
    assert "Proposition 2" in never
    assert "Rules of thumb" not in told.output


def test_rules_of_thumb_come_with_their_sources():
    told = translate("keras.AdamW", *CELL, "--to", "adamw", "--batch-size-times", "4")
    advice = told.output.split("Rules of thumb, for keras.optimizers.AdamW with\n")[1]
    assert advice.startswith("  learning_rate = 0.0003, weight_decay = 0.4\n    timescale kept")
    assert "Malladi et al." in " ".join(advice.split())


def test_it_stays_within_sixty_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "60")
    told = translate("torch.AdamW", *CELL, "--batch-size-times", "4")
    assert max(map(len, told.output.splitlines())) <= 60


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["AdamW", *CELL], "'AdamW' means different things"),
        (["torch.AdamW", "--lr", "0", "--weight-decay", "0.1"], "give a positive learning rate"),
        (["torch.AdamW", "--lr", "0.1"], "Missing option '--weight-decay'"),
        (["torch.AdamW", *CELL, "--schedule", "x"], "schedule 'x': none as it is written"),
    ],
)
def test_wrong_requests_get_one_clear_message(words: list[str], message: str):
    told = translate(*words)
    assert told.exit_code == 2
    assert message in told.output
    assert "Traceback" not in told.output
