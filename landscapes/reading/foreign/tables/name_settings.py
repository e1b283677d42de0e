"""Settings in the names of files and folders: lr=0.1_wd=0.01, lr0.1-wd1e-4_seed3, adamw."""

from __future__ import annotations

import re
from collections.abc import Iterable

from landscape_study.landscapes.reading.foreign.tables.column_names import ALPHA, LAMBDA, SEEDS
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Value

OPTIMIZER_NAMES = {
    *("adam", "adamw", "sgd", "sgdw", "nadam", "radam", "rmsprop", "adagrad", "adadelta"),
    *("adamax", "adafactor", "lion", "muon", "lamb", "lars", "sophia", "shampoo", "soap"),
    "schedulefree",
}
KNOWN = {  # keys that stand in names without a sign before their number
    *(name for tier in (*ALPHA, *LAMBDA) for name in tier),
    *SEEDS,
    *("batch_size", "bs", "batch", "width", "depth", "epochs", "epoch", "dropout", "momentum"),
    *("hidden_dim", "hidden_size", "warmup_steps", "beta1", "beta2"),
}
NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\d+p\d+|nan|inf"
END = r"(?=$|[^A-Za-z0-9.]|\.(?!\d))"
SETTING = re.compile(
    rf"(?P<key>(?:[A-Za-z]+[_.])*(?:l2(?:[_.][A-Za-z]+)?|beta[12]|[A-Za-z]+))(?P<sign>[=:~_\-]?)"
    rf"(?P<number>{NUMBER}){END}"
)
NAMED = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9_.]*)=(?P<word>[A-Za-z][A-Za-z0-9]*)")


def settings_in(parts: Iterable[str]) -> dict[str, Value]:
    """The settings in the parts of a path, from the outermost; later ones win.

    A key is followed by a sign (=, :, _, -) or by nothing, and by a number. `lr0p1` is 0.1. A name
    of an optimizer is the setting `optimizer`.

    >>> settings_in(["adamw", "width=256_lr=0.1_wd=1e-4"])
    {'optimizer': 'adamw', 'width': '256', 'lr': '0.1', 'wd': '1e-4'}
    """
    found: dict[str, Value] = {}
    for part in parts:
        found |= _in_part(part)
    return found


def _in_part(part: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    words = re.findall(r"[A-Za-z]+", part)
    optimizer = next((word for word in words if word.lower() in OPTIMIZER_NAMES), None)
    if optimizer is not None:
        found["optimizer"] = optimizer
    for match in NAMED.finditer(part):
        if match["word"] != optimizer:
            found[_key(match["key"], "=")] = match["word"]
    for match in SETTING.finditer(part):
        number = re.sub(r"(\d)p(\d)", r"\1.\2", match["number"])
        found[_key(match["key"], match["sign"])] = number
    return found


def _key(text: str, sign: str) -> str:
    """The key at the end of the words before a number: the longest that is known.

    Of others all of it before a "=", else the last word. `s` is the seed.
    """
    pieces = re.split(r"([_.])", text.strip("_."))
    ends = ["".join(pieces[i:]) for i in range(0, len(pieces), 2)]
    known = (end for end in ends if end.lower().replace(".", "_") in KNOWN)
    found = next(known, ends[0] if sign and sign in "=:" else ends[-1])
    return "seed" if found == "s" else found
