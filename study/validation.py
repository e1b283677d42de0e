"""What the parts of a study share: their base class, and errors that a user can act on."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from landscape_study.study.errors import SpecError

SHOWN = 200  # characters of a wrong value that are shown
NESTED = 100  # tables and lists within each other: no study has as many

_BRACKETS = re.compile(r"[\[\]{}]")


class Frozen(BaseModel, frozen=True, strict=True, extra="forbid", populate_by_name=True):
    """Base of the parts of a study: immutable, hashable, no unknown keys.

    Strict: "0.1" or true is no number, "yes" no truth value. Tuples are lists in TOML, so
    their fields are not strict; what stands in them is.
    """


def without_unused(
    model: BaseModel, table: dict[str, Any], unused: Mapping[str, object]
) -> dict[str, Any]:
    """What was dumped of a model, as before it had the fields that it makes no use of.

    Args:
        model: whose table it is.
        unused: by the field's name, the value that is no use; only where it is the default too.
    """
    fields = type(model).model_fields
    idle = {
        name
        for name, nothing in unused.items()
        if name in fields and getattr(model, name) == fields[name].default == nothing
    }
    return {name: value for name, value in table.items() if name not in idle}


def names_of(value: Sequence[str] | str) -> tuple[str, ...]:
    """Several names, or a single one as a string; each once."""
    return (value,) if isinstance(value, str) else tuple(dict.fromkeys(value))


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        SpecError: broken TOML, with its line; or far more than a study needs.
    """
    # Not left to the parser: where it meets Python's limit, so does what the garbage collector
    # calls meanwhile.
    if _nesting(text) > NESTED:
        raise SpecError(f"{where}: tables or lists are nested too deeply to be a study")
    try:
        return tomllib.loads(text)
    except ValueError as e:  # numbers of thousands of digits too
        raise SpecError(f"{where}: broken TOML: {e}") from e


def _nesting(text: str) -> int:
    """How many brackets and braces are open at once, at most; those in strings count too."""
    steps = (1 if sign in "[{" else -1 for sign in _BRACKETS.findall(text))
    return max(itertools.accumulate(steps, lambda depth, step: max(depth + step, 0)), default=0)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        SpecError: a file that cannot be read, is no text, or is broken TOML (with its line).
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise SpecError(f"{path}: no regular file, so no study file: name a file")
        return parse_toml(path.read_text(encoding="utf-8"), str(path))
    except OSError as e:
        raise SpecError(f"{path}: cannot be read ({e.strerror}): name a study file") from e
    except UnicodeDecodeError as e:
        raise SpecError(f"{path}: no text in UTF-8, so no study file: {e.reason}") from e


def parse_value(text: str, where: str) -> Any:
    """The value in `text`, written as in a study file: a list, or a table in braces.

    Raises:
        SpecError: it is not TOML; whether it is a valid value is checked with its panel.
    """
    return parse_toml(f"value = {text}", where)["value"]


def explain(e: ValidationError, where: str, panel_numbers: Sequence[int] = ()) -> str:
    """One line for each thing wrong: where it stands, what is wrong with what was found.

    What is wrong with several panels alike is said once.

    Args:
        e: what is wrong.
        where: it was found.
        panel_numbers: of the panels as they were written, from 1, where that is another than
            their order.
    """
    panels: dict[tuple[str, str], list[int]] = {}
    for error in e.errors():
        # These are this module's words: no user wrote them.
        path = [part for part in error["loc"] if part not in ("grid", "values", "more", "names")]
        index = 0
        is_of_panels = path[:1] in (["panel"], ["panels"])
        if is_of_panels and len(path) == 1 and error["type"] == "value_error":
            path = []  # its message names the panel
        elif is_of_panels and len(path) > 1:
            index, path = int(path[1]) + 1, path[2:]
            index = panel_numbers[index - 1] if panel_numbers else index
        panels.setdefault((_place(path), _message(error)), []).append(index)
    lines = []
    for (place, message), found in panels.items():
        indices = list(dict.fromkeys(found))
        numbers = ", ".join(map(str, indices))
        panel = "" if indices == [0] else f"panel{'s' * (len(indices) > 1)} {numbers}"
        lines.append(
            ": ".join(filter(None, [where, ", ".join(filter(None, [panel, place])), message]))
        )
    return "\n".join(lines)


def _message(error: Mapping[str, object]) -> str:
    """What is wrong, and what was found."""
    if error["type"] == "missing":
        return "missing: please give it"
    if error["type"] == "extra_forbidden":
        return "unknown key: remove it or correct its spelling"
    message = str(error["msg"]).removeprefix("Value error, ")
    found = repr(error["input"])
    shown = found if len(found) <= SHOWN else f"{found[:SHOWN]}…"
    return message if error["type"] == "value_error" else f"{message}, found {shown}"


def _place(path: list[str | int]) -> str:
    """('panel', 0, 'alpha') → "panel 1, alpha"."""
    words: list[str] = []
    for part in path:
        if isinstance(part, int) and words:
            words[-1] += f" {part + 1}"
        else:
            words.append(str(part).replace("lambda_", "lambda"))
    return ", ".join(words)
