"""Rules and optimizers of the user's own on the command line, from their check to a report."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from landscape_study.cli import main
from landscape_study.study.store import Store
from tests.study.runs import results

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_rule.py"
CELLS = ("--alpha", "[0.001, 0.01]", "--lambda", "[0, 1]", "--seeds", "1", "--epochs", "2")
QUICK = (*CELLS, "--no-plot", "--no-live", "--engine", "vmap", "--name", "mine")
SIGNUM = "own_rule.py:Signum-scaled"

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Call a command in a folder with a rule of one's own, and a database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDSCAPE_STORE", str(tmp_path / "own.db"))
    monkeypatch.setattr("sys.path", [*sys.path])
    shutil.copy(EXAMPLE, tmp_path)

    def called(*words: object, code: int = 0) -> Result:
        forget()
        done = CliRunner().invoke(main, [str(word) for word in words])
        assert done.exit_code == code, done.output
        return done

    yield called
    forget()


def forget() -> None:
    """Another process would import it anew."""
    sys.modules.pop("own_rule", None)


def change(old: str, new: str) -> None:
    """The rule in the file."""
    path = Path("own_rule.py")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    shutil.rmtree("__pycache__", ignore_errors=True)


def told(done: Result) -> str:
    return re.sub(r"\s+", " ", done.output)


def test_a_rule_is_checked_by_itself(call: Call):
    done = call("pairs", "own_rule.py")
    assert told(done).startswith("own_rule.py:Signum: a rule with 1 moment, nothing is wrong")
    assert "own_rule.py:Signum-scaled" in call("pairs", "own_rule.py:Signum").output
    change("m.sign() * rate", "m.sign()")
    done = call("pairs", "own_rule.py", code=2)
    assert "moves θ where the rate is 0: multiply by `rate`" in told(done)
    done = call("pairs", "torch.optim:AdamW")
    assert "adamw-torch trains the same, many cells at once" in told(done)
    for wrong in ("signum", "nowhere.py", "own_rule.py:Nothing", "own_rule.py:"):
        assert told(call("pairs", wrong, code=2)).startswith("Error: ")
    Path("empty.py").write_text("x = 1\n")
    assert "'empty.py' has no rule and no optimizer" in told(call("pairs", "empty.py", code=2))


@pytest.mark.slow
def test_a_study_by_a_rule_of_ones_own(call: Call, tmp_path: Path):
    call("run", "digits-fig2", "--pair", SIGNUM, *QUICK, "--workers", "1")
    store = Store(str(tmp_path / "own.db"))
    panel = store.study("mine").panel("Signum-scaled")
    assert (panel.pair, len(panel.source or "")) == (SIGNUM, 16)
    first = results(store, "mine")
    assert len(first) == 4
    call("run", "digits-fig2", "--pair", SIGNUM, *QUICK, "--workers", "2", "--name", "two")
    assert results(store, "two") == first
    store.close()
    Path("own_rule.py").rename("away.py")  # who reads does not import it
    for words in (("status",), ("show",), ("report",), ("export", "-o", "cells.csv")):
        call(*words, "mine")
    assert "Signum (λ scaled by α)" in Path("mine.html").read_text()
    assert "own_rule" not in sys.modules


@pytest.mark.long
@pytest.mark.slow
def test_a_changed_rule_is_no_longer_the_same_study(call: Call):
    rest = ("--pair", SIGNUM, *QUICK, "--workers", "1")
    call("run", "digits-fig2", *rest)
    more = ("--lambda", "[0, 1, 2]")
    change('"""Bring', '"""Come and bring')  # a docstring is no other rule
    call("run", "digits-fig2", *rest, *more)
    change("1 - self.beta1", "0.1")
    for words in (
        ("run", "digits-fig2", *rest, "--lambda", "[0, 1, 2, 3]"),
        ("resume", "mine", "--trust-command", "--no-plot", "--no-live"),
        ("worker", "mine", "--trust-command"),
    ):
        done = call(*words, code=2)
        assert f"the source of pair '{SIGNUM}' is not what it was when study 'mine'" in told(done)
        assert "landscape resume mine --accept-source --trust-command --store" in told(done)
    call("resume", "mine", "--trust-command", "--accept-source", "--no-plot", "--no-live")
    call("resume", "mine", "--trust-command", "--no-plot", "--no-live")


@pytest.mark.slow
def test_a_database_does_not_say_what_is_imported(call: Call, tmp_path: Path):
    call("run", "digits-fig2", "--pair", SIGNUM, *QUICK, "--queue")
    forget()
    change(
        "from landscape_study import Rule", "from landscape_study import Rule\nopen('seen', 'w')"
    )
    for words in (("resume", "mine"), ("worker", "mine"), ("try", "mine")):
        done = call(*words, code=2)
        assert "makes use of code of your own, own_rule.py:Signum: to import what a" in told(done)
    assert not (tmp_path / "seen").exists()


@pytest.mark.long
@pytest.mark.slow
def test_an_optimizer_is_trained_by_the_plain_loop(call: Call, tmp_path: Path):
    words = ("run", "digits-fig2", "--pair", "torch.optim:NAdam", *CELLS, "--name", "mine")
    done = call(*words, "--dry-run")
    assert "torch.optim:NAdam is an optimizer, which moves one network at a time" in told(done)
    assert "nadam-l2 trains the same, many cells at once" in told(done)
    assert "trained by the plain loop instead" in told(done)
    done = call(*words, "--engine", "vmap", code=2)
    assert "leave the choice to the tool, or take --engine referee" in told(done)
    call(*words, "--no-plot", "--no-live", "--workers", "2")
    call("run", "digits-fig2", "--pair", "nadam-l2", *QUICK, "--name", "twin")
    store = Store(str(tmp_path / "own.db"))
    own, twin = (
        {key[1:]: error for key, (error, _) in results(store, name).items()}
        for name in ("mine", "twin")
    )
    assert own == pytest.approx(twin, abs=1.0)  # percent: rounding
    store.close()
    call("resume", "mine", "--no-plot", "--no-live")  # torch's own needs no trust
    call("report", "mine")
    assert "NAdam (torch.optim)" in Path("mine.html").read_text()


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("own_rule.py:Signum", "is an update rule, and does not say where λ enters: name it as"),
        ("own_rule.py:Sign-scaled", "'own_rule.py' has no 'Sign': it has Signum"),
        ("nowhere.py:Signum-l2", "there is no file nowhere.py in"),
        ("torch.optim:Adam-scaled", "is an optimizer, which decays in its own way: leave out"),
        ("torch.optim:Rprop", "it has no argument weight_decay, which λ would be: say which"),
        ("torch.optim:LBFGS", "its step computes the loss several times, by a closure"),
        (
            "torch.optim:Muon",
            "Muon cannot be made with lr=0.001, weight_decay=0.0 for this network",
        ),
        ("torch.optim.NAdam", "unknown pair 'torch.optim.NAdam': an optimizer is named as torch."),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_trained(call: Call, pair: str, message: str):
    words = ("run", "digits-fig2", "--pair", pair, *QUICK)
    for how in ((), ("--queue",)):
        done = call(*words, *how, code=2)
        assert message in told(done)
        assert "Traceback" not in done.output
    assert not Path("own.db").exists()
