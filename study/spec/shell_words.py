"""Words as people type them into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from landscape_study.study.spec.placeholders import PLACEHOLDER


def shell_words(words: Iterable[str]) -> str:
    """Words as they are typed into a shell: quoted where need be, as people would."""
    return " ".join(map(_shell_word, words))


def _shell_word(word: str) -> str:
    """A word in double quotes where it holds single ones, and nothing that acts within double.

    Placeholders, "{alpha}", need no quotes.
    """
    plain = "'" in word and not set(word) & set('"$`\\!')
    if plain:
        return f'"{word}"'
    filled = PLACEHOLDER.sub(r"\1", word)
    return word if shlex.quote(filled) == filled else shlex.quote(word)
