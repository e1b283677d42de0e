"""Text that others wrote, as it may be shown: it steers no terminal and fakes no line."""

from __future__ import annotations

import re
from typing import Any

SECRETS = ("password", "sslpassword")  # what the address of a database may carry


def without_secrets(text: str) -> str:
    """A text that may hold addresses, even broken ones, without the passwords in them."""
    text = re.sub(r"(:/+[^\s:/@]*:)\S*@", r"\1***@", text)
    return re.sub(rf"(?i)\b({'|'.join(SECRETS)})(=|%3D)[^\s&]*", r"\1=***", text)


def printable(text: str) -> str:
    """The text with its control characters, and whatever else has no shape, as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """The same of a text of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def printable_facts(value: Any) -> Any:
    """JSON facts, all text in them printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [printable_facts(part) for part in value]
    if isinstance(value, dict):
        return {printable(key): printable_facts(part) for key, part in value.items()}
    return value
