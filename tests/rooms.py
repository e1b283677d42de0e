"""The rooms of the house and their arrows, drawn from the imports: `python -m tests.rooms`.

Writes the drawing into CONTRIBUTING.md, where a test compares it with what it should be.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "CONTRIBUTING.md"
NAME = "landscape_study"
ORDER = (  # from the command line down
    "cli.py",
    "commands",
    "landscapes/landscape_calls.py",
    *(f"landscapes/{room}" for room in ("reporting", "figures", "growing", "sampling")),
    "landscapes/statistics",
    *(f"landscapes/{room}" for room in ("reference", "reading")),
    "study/study_calls.py",
    *(f"study/{room}" for room in ("console", "running", "planning", "agreement", "training")),
    "study/objectives",
    "study/sampling",
    *(f"study/{room}" for room in ("tasks", "store", "records", "spec", "pairs", "own_code")),
    "study/environment",
)


def drawing() -> str:
    """One line a room: what it holds, and below it the rooms that it imports."""
    graph = grimp.build_graph(NAME)
    lines = []
    for room in ORDER:
        lines.append(f"{room:31}{_holds(room)}")
        arrows = [other for other in ORDER if _imports(graph, room, other)]
        if arrows:
            lines.append(_wrapped(_short(arrows)))
    return "\n".join(lines)


def _imports(graph: grimp.ImportGraph, room: str, other: str) -> bool:
    if room == other:
        return False
    return graph.direct_import_exists(
        importer=_module(room), imported=_module(other), as_packages=True
    )


def _module(room: str) -> str:
    return f"{NAME}.{room.removesuffix('.py').replace('/', '.')}"


def _holds(room: str) -> str:
    """The first line of the room's docstring."""
    path = ROOT / room
    source = path if path.is_file() else path / "__init__.py"
    text = ast.get_docstring(ast.parse(source.read_text("utf-8"))) or ""
    return text.partition("\n")[0]


def _short(rooms: list[str]) -> str:
    return ", ".join(rooms)


def _wrapped(text: str, width: int = 99) -> str:
    indent, lines = " " * 33, [""]
    for word in text.split(", "):
        more = f"{lines[-1]}{', ' if lines[-1] else ''}{word}"
        if len(indent) + len(more) > width:
            lines.append(word)
        else:
            lines[-1] = more
    lines[0] = f"→ {lines[0]}"
    return ",\n".join(f"{indent if i else indent[2:]}{line}" for i, line in enumerate(lines))


def page(text: str) -> str:
    """The page with today's drawing in it."""
    return re.sub(
        r"(<!-- rooms -->\n```\n).*?(\n```\n)",
        lambda found: f"{found[1]}{drawing()}{found[2]}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), encoding="utf-8")
