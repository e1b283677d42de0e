"""Pairs whose code is the user's own: loaded and checked before anything is trained."""

from __future__ import annotations

from typing import Any

from landscape_study.study.errors import PairError, UsageError
from landscape_study.study.own_code.loading import import_own, load_own, offered, split_name
from landscape_study.study.own_code.source import source_digest
from landscape_study.study.pairs.conventions import twin_of
from landscape_study.study.pairs.optimizer_arguments import Arguments, check_arguments
from landscape_study.study.pairs.options import OF_RULES, Options, PanelOptions
from landscape_study.study.pairs.own_rules import (
    CODE,
    is_rule,
    load_optimizer,
    load_rule,
    named,
)
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.pairs.rule import Rule
from landscape_study.study.pairs.rule_check import check_rule
from landscape_study.study.spec.panel import Panel
from landscape_study.study.spec.study import Study


def with_own_pairs(study: Study) -> Study:
    """The study with what the code of its pairs says: digests of its source, options of rules.

    Whoever reads the study need not import that code.

    Raises:
        PairError: a rule or optimizer is not there, or not right.
    """
    if not any(panel.own_code for panel in study.panels):
        return study
    return study.change(panels=[_with_code(study, panel) for panel in study.panels])


def _with_code(study: Study, panel: Panel) -> Any:
    """A panel, or its fields with what its pair's code says."""
    pair = panel.own_code
    if pair is None:
        return panel
    source = None if pair.is_trusted else source_digest(pair.rule)
    if pair.is_optimizer:
        arguments = Arguments.of(panel.optimizer)
        check_arguments(pair.rule, load_optimizer(pair.rule), arguments)
        return panel.changed({"source": source})
    rule = load_rule(pair.rule)
    check_rule(pair.rule, rule, _axes(panel))
    return panel.changed({"source": source, "options": _options(study, panel, rule)})


def _axes(panel: Panel) -> dict[str, tuple[float, ...]]:
    """The values of its axes that are options of rules."""
    return {name: axis.values for name, axis in panel.grid.more if name in OF_RULES}


def _options(study: Study, panel: Panel, rule: type[Rule]) -> PanelOptions | None:
    """The panel's options, with the rule's own where neither it nor its study says anything."""
    plain, said = Options(), panel.options or PanelOptions()
    own = {
        name: value
        for name, value in rule.defaults.items()
        if name not in panel.grid.names
        and getattr(said, name) is None
        and getattr(study.options, name) == getattr(plain, name)
    }
    options = said.model_copy(update=own)
    return None if options == PanelOptions() else options


def codes_of(name: str) -> list[str]:
    """The rules and optimizers that a name means: all of FILE.py, or one, FILE.py:Class.

    Raises:
        UsageError: it means none.
    """
    if not name.endswith(".py"):
        return [_one_code(name)]
    module_name, path = split_name(f"{name}:")
    module = import_own(module_name, path, name, CODE)
    own = [one for one in offered(module, CODE) if vars(module)[one].__module__ == module_name]
    if not own:
        raise PairError(
            f"'{name}' has no rule and no optimizer: write `class Mine(landscape_study.Rule)`, "
            "with `moments` and `update`"
        )
    return [f"{name}:{one}" for one in own]


def _one_code(name: str) -> str:
    """The rule or optimizer of a name, behind which a placement may stand."""
    if ":" not in name:
        raise UsageError(
            f"'{name}' names no code: give FILE.py, FILE.py:Class or package.module:Class; "
            "without, `landscape pairs` lists what comes with the tool"
        )
    try:
        return pair_called(name).rule
    except ValueError as e:
        raise UsageError(str(e)) from e


def checked_line(code: str) -> str:
    """What can be done with a rule or an optimizer, once it was checked.

    Raises:
        PairError: it is not there, or not right.
    """
    if not is_rule(load_own(code, CODE)):
        arguments = Arguments()
        check_arguments(code, load_optimizer(code), arguments)
        twin = twin_of(code)
        told = f"; {twin} trains the same, many cells at once" if twin else ""
        return (
            f"{code}: an optimizer; α is its {arguments.alpha}, λ its {arguments.lambda_}; a "
            f"plain loop trains by it, one cell at a time{told}"
        )
    rule = load_rule(code)
    check_rule(code, rule)
    count = f"{rule.moments} moment{'s' * (rule.moments != 1)}"
    return f"{code}: a rule with {count}, nothing is wrong with it: {named(code)}"
