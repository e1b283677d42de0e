"""The house is as CONTRIBUTING draws it, and names in it are told apart."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.rooms import ORDER, PAGE, ROOT, drawing, page

TOPS = ("study", "landscapes", "commands")
FILES = [path for top in TOPS for path in sorted((ROOT / top).rglob("*.py"))]


def test_contributing_draws_the_rooms_as_they_are():
    text = PAGE.read_text("utf-8")
    assert drawing() in text, "draw them anew: python -m tests.rooms"
    assert page(text) == text


def test_every_room_is_drawn():
    rooms = {path.parent for path in FILES if path.name == "__init__.py"}
    names = {str(room.relative_to(ROOT)) for room in rooms} - {"study", "landscapes"}
    assert {name for name in names if not name.startswith(ORDER)} == set()


def test_no_two_modules_have_one_name():
    names = Counter(path.stem for path in FILES if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_file_begins_with_what_it_is_for(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_a_room_holds_not_more_than_can_be_overlooked():
    sizes = {
        str(folder.relative_to(ROOT)): len(list(folder.glob("*.py")))
        for folder in {path.parent for path in FILES}
    }
    assert {room: size for room, size in sizes.items() if size > 22} == {}
