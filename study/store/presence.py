"""Whether an open SQLite file is still what its name says: files get moved, replaced, deleted.

Who has such a file open goes on writing into what has no name any more, without an error.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from landscape_study.study.errors import StoreError
from landscape_study.study.store import Store

Identity = tuple[int, int]  # device and number of a file


class Presence:
    """Watches the file of a store; on PostgreSQL there is nothing to watch.

    Args:
        store: open, and already read from.
        run_id: a run that is going on in it.
    """

    def __init__(self, store: Store, run_id: int) -> None:
        self.store, self.run_id = store, run_id
        self.path = Path(store.name).absolute() if store.database.is_sqlite else None
        self.seen = self._files()

    def require(self) -> None:
        """Check that the file is in its place.

        Raises:
            StoreError: it is not; what it holds is saved beside it, if it can be.
        """
        found = self._files()
        if found == self.seen:
            return
        log_began = self.seen[1] is None and found[0] == self.seen[0]
        if log_began or self._is_ours():  # some file systems number files anew
            self.seen = found
            return
        saved = self._save()
        remedy = f"they are saved in {saved}: put that into its place, and resume"
        raise StoreError(
            f"{self.store.name}: it was moved, replaced or deleted while a run was writing into "
            f"it, so that nobody would find the results: {remedy if saved else LOST}"
        )

    def _files(self) -> tuple[Identity | None, Identity | None]:
        """Of the file and of its log."""
        if self.path is None:
            return None, None
        return _identity(self.path), _identity(self.path.with_name(f"{self.path.name}-wal"))

    def _is_ours(self) -> bool:
        """Whether who opens the file by its name now finds this run in it."""
        log_there = self.path is not None and self._files()[1] is not None
        if not log_there and self.seen[1] is not None:
            return False  # the log holds what is not in the file yet
        return self._is_in(self.store.url)

    def _is_in(self, store: str) -> bool:
        """Whether this run goes on in a database."""
        with suppress(StoreError), closing(Store(store)) as found:
            return found.is_running(self.run_id)
        return False

    def _save(self) -> Path | None:
        """Write what the open file holds into a new one; where that is."""
        if self.path is None:
            return None
        saved = self.path.with_name(f"{self.path.name}.saved-{os.getpid()}")
        with suppress(OSError, StoreError, sqlite3.Error):
            self.store.database.save_as(saved)
            if self._is_in(str(saved)):
                return saved
        with suppress(OSError):
            saved.unlink()  # who replaced the file took its log too
        return None


LOST = (
    "they could not be saved: look with `landscape check` what the file there holds, or restore a "
    "copy, and resume"
)


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
