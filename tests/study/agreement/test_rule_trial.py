"""Which engines train by rules and optimizers of the user's own."""

from __future__ import annotations

import pytest

from landscape_study.study.agreement import rule_trial
from landscape_study.study.agreement.finding import Finding
from landscape_study.study.agreement.permission import BELIEVED
from landscape_study.study.agreement.rule_trial import OwnPairsTried
from landscape_study.study.spec.panel import Panel
from landscape_study.study.training.compiling import library

RULES, OPTIMIZERS = "tests.study.user_rules", "tests.study.user_optimizers"


def permission(*pairs: str, **own: object) -> OwnPairsTried:
    cells = {"alpha": [0.1], "lambda": [0.1]}
    return OwnPairsTried(
        BELIEVED, [Panel.model_validate({"pair": p, **own, **cells}) for p in pairs]
    )


@pytest.mark.some(2)
@pytest.mark.parametrize(
    "engine", ["vmap", "captured", pytest.param("compiled", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("rule", ["MyLion-scaled", "MyAdam-l2"])
def test_engines_that_agree_may(own_programs, rule: str, engine: str):
    if engine == "compiled" and library.why_not():
        pytest.skip(library.why_not())
    assert permission(f"{RULES}:{rule}").finding(engine, "cpu") == Finding()


def test_what_python_decides_is_not_traced(own_cache):
    tried = permission(f"{RULES}:MyLion-scaled", f"{RULES}:Stepwise-decoupled")
    assert tried.finding("vmap", "cpu") == Finding()
    why = tried.finding("captured", "cpu").why_not
    assert why is not None
    assert why.startswith(f"rule {RULES}:Stepwise: ")
    assert tried.finding("referee", "cpu") == Finding()


def test_what_was_found_is_remembered(own_cache, monkeypatch: pytest.MonkeyPatch):
    tried = permission(f"{RULES}:MyLion-scaled")
    assert tried.finding("vmap", "cpu") == Finding()
    monkeypatch.setattr(rule_trial, "small_task", None)
    assert permission(f"{RULES}:MyLion-scaled").finding("vmap", "cpu") == Finding()


def test_optimizers_are_left_to_a_plain_loop():
    tried = permission("torch.optim:NAdam")
    assert tried.finding("vmap", "cpu").why_not == (
        "torch.optim:NAdam is an optimizer, which moves one network at a time "
        "(nadam-l2 trains the same, many cells at once)"
    )
    assert tried.finding("referee", "cpu") == Finding()
    own = permission("torch.optim:NAdam", optimizer={"foreach": False})
    assert "trains the same" not in str(own.finding("captured", "cpu").why_not)


def test_what_an_optimizer_forgets_is_not_gone_on_with():
    found = permission("torch.optim:AdamW", f"{OPTIMIZERS}:Forgetful").finding("referee", "cpu")
    assert found.why_not is None
    assert found.no_checkpoint == (
        f"{OPTIMIZERS}:Forgetful keeps something that its state_dict does not hold: "
        "after step 6 the parameter `0.weight` of cell 1 differs"
    )
    assert permission(f"{OPTIMIZERS}:Averaged").finding("referee", "cpu") == Finding()
