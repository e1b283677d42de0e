"""Which words in a column's name mean what."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

SETTINGS = ("config", "params", "param", "hparams", "hyperparameters", "hp")  # before a setting
PREFIXES = tuple(f"{word}_" for word in (*SETTINGS, "summary", "metrics", "user_attrs"))
# Names of α and of λ, surer ones first: scikit-learn calls λ `alpha`.
ALPHA = (
    (
        *("learning_rate", "lr", "lrate", "learningrate", "learning_rate_init", "lernrate"),
        *("base_lr", "lr0", "initial_lr", "init_lr", "max_lr", "peak_lr", "lr_max", "step_size"),
        "eta",
    ),
    ("alpha",),
)
LAMBDA = (
    (
        *("weight_decay", "wd", "wdecay", "weightdecay", "lambda", "l2", "l2_decay", "l2_reg"),
        *("l2_regularization", "l2_penalty", "reg", "regularization", "weight_decay_rate"),
        *("l2_lambda", "lambda_l2", "reg_lambda", "lambda_", "lambd", "decay_rate_l2"),
    ),
    ("alpha", "decay"),
)
# Words of a logarithm, and how the value itself is had from it.
LOGARITHMS = {"log10": "10 ** {0}", "lg": "10 ** {0}", "log2": "2 ** {0}", "ln": "exp({0})"}
LOGARITHMS |= {"log": "10 ** {0} or exp({0}), by its base"}
WHOLE_ONLY = {"alpha", "decay"}  # lr_decay and mixup_alpha are something else
LESS = {
    *("loss", "err", "error", "nll", "ppl", "perplexity", "rmse", "mse", "mae", "cost", "bpc"),
    *("bpb", "wer", "cer", "fid", "logloss", "xent", "crossentropy", "brier", "regret", "mape"),
    "entropy",
}
MORE = {
    *("acc", "accuracy", "f1", "auc", "auroc", "score", "bleu", "reward", "r2", "iou", "map"),
    *("precision", "recall", "psnr", "miou", "dice", "mcc", "kappa", "ndcg", "mrr", "rouge"),
    *("acc1", "acc5", "top1", "top5", "ssim", "return", "fitness"),
    *("ap", "ap50", "ap75", "map50", "map75", "map95"),
}
TOPS = {"top1", "top5"}  # accuracies, unless something else is said to be counted
SHARES = {  # of these none exceeds 1, unless it is in percent
    *("acc", "accuracy", "acc1", "acc5", "top1", "top5", "f1", "auc", "auroc", "precision"),
    *("recall", "iou", "miou", "dice", "map", "ap", "ap50", "ap75", "map50", "map75", "map95"),
}
ERRORS = {"err", "error", "errors"}
DISTANCES = {"squared", "square", "sq", "absolute", "abs", "l1", "l2"}  # errors without a bound
NEGATED = {"neg", "negative", "minus"}
UNCLEAR = {"drop", "gap", "change", "improvement", "gain", "delta", "diff", "difference"}
EITHER = {"value", "values", "objective", "metric"}  # which way is better must be said
SPLITS = ({"val", "valid", "validation", "eval", "dev", "heldout"}, {"test"})  # the surer first
TRAINING = {"train", "training"}
TRAIN_LOSS = "train_loss"  # as figures know it
EXTREMES = {  # of a curve, or of a list of results: not the result
    *("max", "min", "best", "std", "stderr", "sem", "var", "rank", "ci", "lower", "upper"),
    *(f"split{i}" for i in range(20)),
}
SEEDS = {"seed", "seeds", "repeat", "replicate", "fold", "rep", "random_state", "rng"}
REPEATS = ("run", "trial", "repetition", "replication", "try", "attempt")  # if numbered per cell
OPTIMIZERS = ("optimizer", "optimiser", "optim", "opt", "optimizer_name", "optim_name", "pair")
PANELS = (
    *(*OPTIMIZERS, "panel", "algo", "optimizer_type", "optim_type", "optimizer_target"),
    *("optim_target", "optimizer_class"),
)
STUDIES = ("study_name",)
STATES = ("state", "status")
EPOCHS = (  # the surer first
    *("epoch", "epochs", "training_iteration", "step", "global_step", "iteration", "iter"),
    *("trainer_global_step", "steps", "budget", "round", "num_steps"),
)
RUNS = (
    *("run_id", "trial_id", "run", "trial", "run_name", "trial_name", "name", "id", "uid"),
    *("config_id", "file", "experiment_id"),
)
TIMES = {"date", "datetime", "time", "timestamp", "created", "updated", "duration", "runtime"}
INTERNAL = {"system", "dir", "path", "hostname", "pid"}  # of Optuna, and of machines
DONE = ("done", "finished", "completed")  # whether a run has ended
KEYS = ("metric_key_used", "metric_name", "metric_key")  # a column that names the metric
DIVERGED = ("diverged", "has_diverged", "is_diverged", "nan")
BESIDE = "extra"  # whether a cell lies beside the grid, as the tables of this tool say
YES, NO = ("1", "true", "yes"), ("0", "false", "no")  # in small letters
OF_NEPTUNE = re.compile(r" \((Float|Int|String|Bool|Datetime)(Series)?( : \w+)?\)$")  # types
# Letters, and names in which a capital letter begins no word.
SPELLED = {"α": "alpha", "λ": "lambda", "η": "eta", "²": "2", "mAP": "map", "mIoU": "miou"}


def plain(column: str) -> str:
    """A column's name in small letters and underscores, without what tools put before it."""
    name = "_".join(_split(column))
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def words(column: str) -> set[str]:
    """The words of a column's name, in small letters."""
    return set(_split(column))


def _split(column: str) -> list[str]:
    column = OF_NEPTUNE.sub("", column)
    for letter, name in SPELLED.items():
        column = column.replace(letter, name)
    apart = re.sub(r"([a-z])([A-Z])", r"\1_\2", column)
    return [word for word in re.split(r"[^a-z0-9]+", apart.lower()) if word]


def is_called(column: str, names: Iterable[str]) -> bool:
    """Whether a column has one of some names, or ends in a telling one: "optim.weight_decay"."""
    bare = OF_NEPTUNE.sub("", column).lower()
    name, part = plain(column), re.split(r"[^a-z0-9_]|__", bare)[-1]
    return any(
        name == one or (part == one if one in WHOLE_ONLY else name.endswith(f"_{one}"))
        for one in names
    )


def logarithm(column: str) -> tuple[str, str] | None:
    """Of what a column is the logarithm by its name, and how that is had from it; None of none.

    "config.log10_lr" is that of lr. In "log/lr", log is where a tool put lr.
    """
    last = re.split(r"[./]|__", OF_NEPTUNE.sub("", column))[-1]
    found = _split(last)
    word = next((one for one in found if one in LOGARITHMS), None)
    if word is None or len(found) < 2:
        return None
    return "_".join(one for one in found if one != word), LOGARITHMS[word].format(last)


def training_loss(names: Collection[str], metric: str) -> str | None:
    """Which of the measurements is the training loss, under another name than TRAIN_LOSS.

    That of whole epochs rather than of steps; beside "val_loss" one that is called "loss" only.
    None where none is, or where one has that name.

    Args:
        names: of the measurements.
        metric: the one of them that is the metric, which is no training loss.
    """
    if TRAIN_LOSS in names:
        return None
    free = [name for name in names if name != metric]
    plain = {"loss", "epoch", "step"}
    called = [
        name
        for name in free
        if "loss" in words(name) and words(name) & TRAINING and words(name) <= plain | TRAINING
    ]
    held_out = any(split & words(name) for name in names for split in SPLITS)
    called += [name for name in free if name == "loss" and held_out]
    return min(called, key=lambda name: "step" in words(name), default=None)


def is_setting_name(column: str) -> bool:
    """Whether a tool marked the column as a setting: "config.lr"."""
    return _split(column)[:1] in ([word] for word in SETTINGS)


def is_metric_name(column: str) -> bool:
    """Whether a column could be a metric by its name."""
    return bool(words(column) & (LESS | MORE | EITHER))


def is_share_name(column: str) -> bool:
    """Whether a metric is a share by its name: an accuracy, an error rate, a Top-5."""
    found = words(column)
    rate = bool(found & ERRORS) and "rate" in found
    otherwise = found & (UNCLEAR | NEGATED | DISTANCES | (LESS - ERRORS))
    return not otherwise and (rate or bool(found & SHARES))


def may_be_share_name(column: str) -> bool:
    """Whether a metric may be a share by its name, "val_error", and may be a distance."""
    found = words(column)
    return bool(found & ERRORS) and not found & (UNCLEAR | NEGATED | DISTANCES | (LESS - ERRORS))


def is_seed_name(column: str) -> bool:
    """Whether a column could be a seed by its name: "seed", "trainer.seed", "random_state"."""
    return bool(words(column) & SEEDS) or is_called(column, SEEDS)


def is_run_name(column: str) -> bool:
    """Whether a column could name the run of a row."""
    return plain(column) in RUNS


def is_row_number(column: str) -> bool:
    """Whether a column counts or names rows, as pandas writes it without a name."""
    numbered = r"column_\d+|unnamed_\d+|index|number|.*_(id|index)"
    return re.fullmatch(numbered, plain(column)) is not None


def is_called_otherwise(column: str) -> bool:
    """Whether a column is by its name an epoch, an id or a time: no setting, and no result."""
    other = (*EPOCHS, *RUNS, *DONE)
    return (
        plain(column) in other or is_row_number(column) or bool(words(column) & (TIMES | INTERNAL))
    )


def is_curve_name(column: str) -> bool:
    """Whether a list in a column can be a curve, or its epochs."""
    return is_metric_name(column) or plain(column) in EPOCHS


def may_matter(column: str) -> bool:
    """Whether a column could be something by its name."""
    named = (*ALPHA, *LAMBDA, PANELS, STUDIES, STATES, EPOCHS, RUNS, KEYS, DIVERGED)
    return (
        is_metric_name(column)
        or is_seed_name(column)
        or any(is_called(column, names) for names in named)
    )


def listed(names: Iterable[str]) -> str:
    """Names of columns in a message."""
    shown = [f"'{name[:60]}'" for name in names]
    return ", ".join(shown[:20]) + (", …" if len(shown) > 20 else "")
