"""How files are understood, told to whoever reads them from Python."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

LOGGER = logging.getLogger("landscape_study")
_told: set[str] = set()


class _Shown(logging.Handler):
    """Writes to where errors go, as long as nobody has set up logging."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            print(record.getMessage(), file=sys.stderr)


LOGGER.addHandler(_Shown())
LOGGER.setLevel(logging.INFO)


def tell(lines: Iterable[str]) -> None:
    """Log each line once."""
    for line in lines:
        if line not in _told:
            _told.add(line)
            LOGGER.info("%s", line)
