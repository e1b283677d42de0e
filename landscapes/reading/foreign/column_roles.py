"""Which column of a foreign table is what: guessed from names, values and variation, and said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from landscape_study.landscapes.reading.foreign.table_files import Table, number
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import MATTERS, Metric

PREFIXES = ("config_", "params_", "param_", "hparams_", "hyperparameters_", "hp_", "summary_")
# Names of α and of λ, surer ones first: scikit-learn calls λ `alpha`.
ALPHA = (
    (
        *("learning_rate", "lr", "lrate", "learningrate", "learning_rate_init", "lernrate"),
        *("base_lr", "initial_lr", "init_lr", "max_lr", "peak_lr", "lr_max", "step_size", "eta"),
    ),
    ("alpha",),
)
LAMBDA = (
    (
        *("weight_decay", "wd", "wdecay", "weightdecay", "lambda", "l2", "l2_decay", "l2_reg"),
        *("l2_regularization", "l2_penalty", "reg", "regularization", "weight_decay_rate"),
    ),
    ("alpha", "decay"),
)
LESS = {"loss", "err", "error", "nll", "ppl", "perplexity", "rmse", "mse", "mae", "cost", "bpc"}
MORE = {
    *("acc", "accuracy", "f1", "auc", "auroc", "score", "bleu", "reward", "r2", "iou", "map"),
    *("precision", "recall", "psnr"),
}
EITHER = {"value", "objective", "metric"}  # which way is better must be said
SPLITS = ({"val", "valid", "validation", "eval", "dev", "heldout"}, {"test"})  # the surer first
EXTREMES = {"max", "min", "best", "std", "stderr", "var"}  # of a curve: not the result
SEEDS = {"seed", "seeds", "repeat", "replicate"}
PANELS = ("optimizer", "optimiser", "optim", "opt", "optimizer_name", "optim_name", "pair")
STATES = ("state", "status")
MOST_PANELS = 12
KEYS = ("metric_key_used", "metric_name", "metric_key")  # a column that names the metric


@dataclass(frozen=True)
class Asked:
    """What the user says of the columns; None to guess."""

    alpha: str | None = None
    lambda_: str | None = None
    metric: str | None = None
    seed: str | None = None
    panel: str | None = None
    goal: Literal["minimize", "maximize"] | None = None
    matters: float | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """The same as words of a command line."""
        columns = {"--alpha": self.alpha, "--lambda": self.lambda_, "--metric": self.metric}
        columns |= {"--seed": self.seed, "--panels-by": self.panel}
        columns |= {"--matters": None if self.matters is None else f"{self.matters:g}"}
        words = [word for pair in columns.items() if pair[1] is not None for word in pair if word]
        return (*words, *([f"--{self.goal}"] if self.goal else []))


@dataclass(frozen=True)
class Columns:
    """Which column is what."""

    alpha: str
    lambda_: str
    value: str  # of the metric
    metric: Metric  # its name is the column's
    seed: str | None
    panel: str | None
    state: str | None
    others: tuple[str, ...]  # that vary too, as far as they look like settings

    @property
    def said(self) -> str:
        """What was understood, in a line."""
        goal = "less" if self.metric.sign > 0 else "more"
        parts = [
            f"α = {self.alpha}",
            f"λ = {self.lambda_}",
            f"metric = {self.value} ({goal} is better)",
        ]
        parts += [f"seed = {self.seed}"] if self.seed else []
        parts += [f"panels by {self.panel}"] if self.panel else []
        left = (
            f"; not looked at, though they vary: {', '.join(self.others)}" if self.others else ""
        )
        return ", ".join(parts) + left


def find_columns(table: Table, asked: Asked) -> Columns:
    """Guess which column is what, unless the user says.

    Raises:
        UsageError: nothing or too much could be meant; with the option that says so.
    """
    for name in (asked.alpha, asked.lambda_, asked.metric, asked.seed, asked.panel):
        if name is not None and name not in table.columns:
            raise UsageError(f"{table.name}: no column '{name}': it has {_listed(table.columns)}")
    taken = [name for name in (asked.alpha, asked.lambda_, asked.metric) if name is not None]
    alpha = asked.alpha or _one(
        table, ALPHA, taken, "α, the learning rate", "--alpha", lambda x: x > 0
    )
    taken.append(alpha)
    lambda_ = asked.lambda_ or _one(
        table, LAMBDA, taken, "λ, the weight decay", "--lambda", lambda x: x >= 0
    )
    taken.append(lambda_)
    value = asked.metric or _value(table, taken)
    seed = asked.seed or _first(table, lambda name: bool(SEEDS & _words(name)), taken)
    panel = asked.panel or _panel(table)
    state = next((name for name in table.columns if _plain(name) in STATES), None)
    known = {alpha, lambda_, value, seed, panel, state}
    return Columns(
        alpha=alpha,
        lambda_=lambda_,
        value=value,
        metric=_metric(table, value, asked),
        seed=seed,
        panel=panel,
        state=state,
        others=tuple(
            name for name in table.columns if name not in known and _is_setting(table, name)
        ),
    )


def _one(
    table: Table,
    tiers: Sequence[Sequence[str]],
    taken: Sequence[str],
    what: str,
    option: str,
    fits: Callable[[float], bool],
) -> str:
    """The one column whose name and values fit."""
    for names in tiers:
        found = [
            column
            for column in table.columns
            if column not in taken and _is_called(column, names) and _fits(table, column, fits)
        ]
        if len(found) > 1:
            raise UsageError(
                f"{table.name}: {_listed(found)} could each be {what}: say which with "
                f"{option} COLUMN"
            )
        if found:
            return found[0]
    raise UsageError(
        f"{table.name}: no column looks like {what}: name it with {option} COLUMN, one of "
        f"{_listed(table.columns)}"
    )


def _value(table: Table, taken: Sequence[str]) -> str:
    """The column of the metric: of held-out data rather than any, a result, not an extreme."""
    ranked: dict[tuple[bool, int], list[str]] = {}
    for name in table.columns:
        words = _words(name)
        if name not in taken and words & (LESS | MORE | EITHER) and _numbers(table, name):
            split = next((i for i, split in enumerate(SPLITS) if split & words), len(SPLITS))
            if words & {"train", "training"}:
                split = len(SPLITS) + 1
            ranked.setdefault((bool(words & EXTREMES), split), []).append(name)
    if not ranked:
        raise UsageError(
            f"{table.name}: no column looks like a metric: name it with --metric COLUMN, one of "
            f"{_listed(table.columns)}"
        )
    best = ranked[min(ranked)]
    if len(best) > 1:
        raise UsageError(
            f"{table.name}: {_listed(best)} could each be the metric: say which with --metric "
            "COLUMN"
        )
    return best[0]


def _metric(table: Table, column: str, asked: Asked) -> Metric:
    """What is measured: its direction by its name, or as the user says; its unit if it says %."""
    key = next((name for name in table.columns if _plain(name) in KEYS), None)
    named = {str(value) for value in table.values(key)} if key else set()
    title = named.pop() if len(named) == 1 else column
    words = _words(title)
    goal = asked.goal or ("minimize" if words & LESS else "maximize" if words & MORE else None)
    if goal is None:
        raise UsageError(
            f"{table.name}: is less or more of '{column}' better? Say --minimize or --maximize"
        )
    unit = "%" if re.search(r"%|percent|pct", title.lower()) else ""
    matters = asked.matters or (MATTERS if unit else None)
    title = re.sub(r"\s*\(%\)", "", title)
    return Metric(column, title, unit=unit, goal=goal, matters=matters)


def _panel(table: Table) -> str | None:
    """The column that names the optimizer, if there is one of few words."""
    for column in table.columns:
        named = {value for value in table.values(column) if value not in (None, "")}
        if _is_called(column, PANELS) and 0 < len(named) <= MOST_PANELS:
            return column
    return None


def _first(table: Table, fits: Callable[[str], bool], taken: Sequence[str]) -> str | None:
    """The first column that fits by name and has several values."""
    found = (name for name in table.columns if name not in taken and fits(name))
    return next((name for name in found if len(set(table.values(name))) > 1), None)


def _is_setting(table: Table, column: str) -> bool:
    """Whether a column varies, but little: an id, a time or a result differs in each row."""
    values = {str(value) for value in table.values(column)}
    return 1 < len(values) <= max(2, len(table.rows) // 4) and not _words(column) & (LESS | MORE)


def _fits(table: Table, column: str, fits: Callable[[float], bool]) -> bool:
    """Whether a column holds numbers, that vary, and most of which fit."""
    values = _numbers(table, column)
    return len(set(values)) > 1 and sum(map(fits, values)) > len(values) / 2


def _numbers(table: Table, column: str) -> list[float]:
    """The numbers of a column; none if most of what stands there are no numbers."""
    found, failed = [], 0
    for value in table.values(column):
        try:
            read = number(value)
        except ValueError:
            failed += 1
        else:
            found += [read] if read is not None else []
    return found if len(found) > failed else []


def _is_called(column: str, names: Iterable[str]) -> bool:
    plain = _plain(column)
    return any(plain == name or plain.endswith(f"_{name}") for name in names)


def _plain(column: str) -> str:
    """A column's name in small letters and underscores, without what tools put before it."""
    plain = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
    for prefix in PREFIXES:
        plain = plain.removeprefix(prefix)
    return plain


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def _listed(names: Sequence[str]) -> str:
    shown = [f"'{name}'" for name in names[:20]]
    return ", ".join(shown) + (", …" if len(names) > 20 else "")
