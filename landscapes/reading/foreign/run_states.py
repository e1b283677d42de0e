"""What became of a run: states in words, and values that stand for failure."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from landscape_study.landscapes.reading.foreign.tables.foreign_table import Bools, Column, Floats

FINISHED = {
    *("finished", "complete", "completed", "done", "ok", "success", "succeeded", "terminated"),
    "",
}
FAILED = {
    *("fail", "failed", "crash", "crashed", "error", "errored", "killed", "preempted", "timeout"),
    *("memout", "oom", "aborted", "cancelled", "canceled", "out_of_memory"),
    *("interrupted", "died", "invalid"),
}
PRUNED = {"pruned", "stopped", "early_stopped", "earlystopped"}  # its value is at least this bad
OPEN = {"running", "waiting", "pending", "scheduled", "queued", "open", "paused"}
DIVERGED = {"diverged", "nan"}
WORDS = {
    **dict.fromkeys(FINISHED, "finished"),
    **dict.fromkeys(FAILED, "failed"),
    **dict.fromkeys(PRUNED, "pruned"),
    **dict.fromkeys(DIVERGED, "diverged"),
    **dict.fromkeys(OPEN, "open"),
}
# Values that programs write where there is no result.
SENTINELS = {
    *(float(sign * value) for sign in (1, -1) for value in (1, 99, 999, 9999, 99999, 999999)),
    *(float(sign * 10**k) for sign in (1, -1) for k in range(4, 20)),
    *(2.0**31 - 1, -(2.0**31), 2.0**63 - 1, 2.0**63, -(2.0**63), 2.0**32 - 1),
}
INFINITE = float(np.finfo(float).max)  # as NumPy and former versions of Optuna write infinity
BEYOND = 1e30  # a value of this size is no result, even once: 1e308, 3.4e38
FAR = 10  # ranges of the others, beyond which a value that stands twice is a sentinel
ALONE = 1000  # likewise, of a known sentinel that stands once


@dataclass(frozen=True)
class Sentinel:
    """A value that stands for failure."""

    value: float
    rows: int

    @property
    def said(self) -> str:
        """What it was taken for."""
        rows = f"{self.rows} rows" if self.rows > 1 else "1 row"
        return f"value {_shown(self.value)} in {rows}: taken as failed"


def is_state(word: str) -> bool:
    """Whether a word is the state of a run."""
    return _plain(word) in WORDS


def states_of(column: Column) -> tuple[np.ndarray, list[str]]:
    """The state of each row, [N]: finished, failed, pruned, diverged, open; and unknown words.

    A word that is not known is of a run that has not finished.
    """
    texts = column.as_texts()
    known = {text: WORDS.get(_plain(text), "open") for text in set(texts)}
    unknown = sorted(text for text in known if not is_state(text))
    state = np.full(len(texts), "open", dtype=object)
    for text, meaning in known.items():
        state[texts == text] = meaning
    return state, unknown


def sentinels(values: Floats) -> tuple[Bools, list[Sentinel]]:
    """Where a value stands for failure, [N], and which values do.

    One does that stands several times exactly alike, and far from all others: further than ten
    times their range. Of numbers that programs use for it (2147483647, 99999, -1, …) it is enough
    to lie outside the others' range by as much as that, or below 0 where no other is. Of 1e30 and
    beyond all are.
    """
    finite = np.isfinite(values)
    mark = finite & (np.abs(values) >= BEYOND)
    while True:  # the outermost first: one sentinel hides another
        rest = values[finite & ~mark]
        outer = (rest.min(), rest.max()) if len(rest) else ()
        found = next((one for one in outer if _is_sentinel(one, rest)), None)
        if found is None:
            break
        mark |= values == found
    which, counts = np.unique(values[mark], return_counts=True)
    return mark, [Sentinel(float(v), int(n)) for v, n in zip(which, counts, strict=True)]


def _is_sentinel(value: float, values: Floats) -> bool:
    others = values[values != value]
    times = len(values) - len(others)
    if len(np.unique(others)) < 2:
        return False
    span = float(np.ptp(others))
    away = max(value - float(others.max()), float(others.min()) - value)
    known = value in SENTINELS
    if times == 1:
        return known and abs(value) > 1 and away > ALONE * max(span, float(np.abs(others).max()))
    below = value < 0 <= float(others.min())
    return away > FAR * span or (known and (away > span or below))


def _plain(word: str) -> str:
    plain = word.strip().lower().rpartition(".")[2]
    return re.sub(r"[\s-]+", "_", plain)


def _shown(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e16 else f"{value:g}"
