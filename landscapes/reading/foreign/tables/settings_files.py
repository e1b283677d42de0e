"""Files with the settings of one run, in JSON or YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from landscape_study.study.errors import UsageError, first_line
from landscape_study.study.printable import printable

LARGEST = 4 * 1024**2  # bytes


class _Settings(yaml.SafeLoader):
    """Constructs plain values only: no objects, and no aliases, which can grow endlessly."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("holds aliases")
        return super().compose_node(parent, index)


_Settings.add_multi_constructor("", lambda loader, tag, node: None)  # of tags that are not known


def load_settings(path: Path) -> dict[Any, Any]:
    """The settings in a file, nested as they are there.

    Raises:
        UsageError: it cannot be read, is very large, or holds no settings by name.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        text = path.read_text("utf-8-sig")
        found = json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=_Settings)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as e:
        raise UsageError(
            f"{path}: holds no settings ({printable(first_line(e))}): mend it, or leave that run "
            "out"
        ) from e
    if not isinstance(found, dict):
        raise UsageError(f"{path}: holds no settings by name: mend it, or leave that run out")
    return found
