"""How files are understood, told to whoever reads them from Python."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

LOGGER = logging.getLogger("landscape_study")
_told: set[str] = set()


class _Shown(logging.Handler):
    """Writes to where errors go, as long as nobody has set up logging."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self.logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        if not any(one is not self for one in _handlers(self.logger)):
            print(record.getMessage(), file=sys.stderr)


def _handlers(logger: logging.Logger) -> list[logging.Handler]:
    """All that handle what is logged there."""
    above = logger.parent if logger.propagate else None
    return [*logger.handlers, *(_handlers(above) if above else [])]


def set_up(logger: logging.Logger) -> None:
    """Show what is logged there, as far as nobody has said otherwise before."""
    logger.addHandler(_Shown(logger))
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


set_up(LOGGER)


def tell(lines: Iterable[str]) -> None:
    """Log each line once."""
    for line in lines:
        if line not in _told:
            _told.add(line)
            LOGGER.info("%s", line)
