"""A command with placeholders, filled for a cell: no shell comes between."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from landscape_study.study.spec.cell_numbers import Own, plain

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z_0-9]*)\}")
NEEDED = ("alpha", "lambda")
NAMES = (*NEEDED, "seed", "pair", "panel", "folder", "result")
SCRIPTS = (".py", ".ipynb", ".sh", ".bash", ".r", ".jl", ".m", ".js", ".ts", ".lua", ".pl", ".rb")
PREFIX = "LANDSCAPE_"  # of the environment variables


@dataclass(frozen=True)
class Filling:
    """What stands for the placeholders of one cell.

    Attributes:
        own: its numbers beside α and λ, by name.
        folder: of its own, where it may keep what it needs to go on after a crash.
        result: a file that the command may write its result into.
    """

    alpha: float
    lambda_: float
    seed: int
    pair: str
    panel: str
    folder: Path
    own: Own = ()

    @property
    def result(self) -> Path:
        """Where a command may write its result, if it does not print it."""
        return self.folder / "result.json"

    @property
    def words(self) -> dict[str, str]:
        """The text of each placeholder; numbers as Python writes them, to the last digit."""
        return {
            "alpha": repr(self.alpha),
            "lambda": repr(self.lambda_),
            "seed": str(self.seed),
            "pair": self.pair,
            "panel": self.panel,
            "folder": str(self.folder),
            "result": str(self.result),
            **{name: repr(plain(value)) for name, value in self.own},
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same as environment variables, LANDSCAPE_ALPHA and so on."""
        return {f"{PREFIX}{name.upper()}": text for name, text in self.words.items()}


def is_file_name(word: str) -> bool:
    """Whether a word of a command looks like a file's name, which has a suffix.

    >>> is_file_name("code/train.py"), is_file_name("print(1.5)"), is_file_name("{alpha}.txt")
    (True, False, False)
    """
    return re.fullmatch(r"[\w./~][\w./~+-]*\.[A-Za-z]\w*", word) is not None


def name_of(command: Sequence[str]) -> str:
    """What a study of a command is called where nobody says: as its script, or its program.

    >>> name_of(["python", "code/train.py", "{alpha}"]), name_of(["python", "-m", "own.train"])
    ('train', 'train')
    >>> name_of(["./try 2.sh", "{alpha}"]), name_of(["sh", "-c", "echo 0.5; echo {alpha}"])
    ('try-2', 'sh')
    """
    after_m = [word.rpartition(".")[2] for m, word in pairwise(command) if m == "-m"]
    scripts = [Path(word).stem for word in command[1:] if is_file_name(word)]
    name = [*after_m, *scripts, Path(command[0]).stem][0]
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-._+") or "command"


def wrong_with(command: Sequence[str], axes: Sequence[str] = NEEDED) -> str | None:
    """What is wrong with a command: nothing to call, a placeholder misspelt or missing.

    Args:
        command: its words.
        axes: names of the numbers that it must hear of.
    """
    if not command or not command[0].strip():
        return 'no command: give the words of one, such as ["python", "train.py", …]'
    found = [name for word in command for name in PLACEHOLDER.findall(word)]
    names = list(dict.fromkeys((*NAMES, *axes)))
    for name in found:
        if name not in names:
            close = difflib.get_close_matches(name.lower(), names, 1, 0.5)
            meant = f"did you mean {{{close[0]}}}? " if close else ""
            known = ", ".join(f"{{{known}}}" for known in names)
            return f"{{{name}}} is no placeholder: {meant}there are {known}"
    lacking = [f"{{{name}}}" for name in axes if name not in found]
    if lacking:
        return f"the command has no {' and no '.join(lacking)}: put it where the number belongs"
    return None


def missing_files(command: Sequence[str], folder: Path) -> list[tuple[str, str | None]]:
    """The words of a command that look like files and are none, and which file may be meant.

    Args:
        command: its first word, the program, is left out, and so is what has a placeholder.
        folder: where it runs.
    """
    found = []
    for word in command[1:]:
        path = folder / word
        if is_file_name(word) and not path.exists():
            there = [one.name for one in path.parent.glob(f"*{path.suffix}")]
            close = difflib.get_close_matches(path.name, there, 1, 0.5)
            found.append((word, str(Path(word).parent / close[0]) if close else None))
    return found


def filled(command: Sequence[str], words: Mapping[str, str]) -> list[str]:
    """The words of a command with its placeholders filled."""
    return [PLACEHOLDER.sub(lambda found: words[found.group(1)], word) for word in command]
