"""Where data sets lie: one folder that the user may name."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

DATA_FOLDER = "LANDSCAPE_DATA"  # the environment variable, which workers inherit


def data_folder() -> Path:
    """The folder that LANDSCAPE_DATA names, or the user's cache folder; need not exist."""
    named = os.environ.get(DATA_FOLDER)
    if named:
        return Path(named).expanduser().absolute()
    import pooch  # takes a tenth of a second

    return Path(pooch.os_cache("landscape-study"))


def use_data_folder(folder: Path) -> None:
    """Name the folder for this process and for those that it starts."""
    os.environ[DATA_FOLDER] = str(folder.expanduser().absolute())


def data_command(name: str) -> str:
    """The command that brings data set `name` into the folder in use."""
    where = f" --folder {shlex.quote(str(data_folder()))}" if os.environ.get(DATA_FOLDER) else ""
    return f"`landscape data {name}{where}`"
