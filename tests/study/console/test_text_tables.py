"""Tables in terminals that are narrower than these."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from landscape_study.study.console.text_tables import print_table


class TestWidth:
    def table(self, name: str = "adam") -> Table:
        table = Table(box=None, padding=(0, 1, 0, 0), title="study mine", caption="what it says")
        table.add_column("panel", overflow="fold")
        for i in range(6):
            table.add_column(f"number {i}", justify="right", no_wrap=True)
        for row in (name, "sgd"):
            table.add_row(row, *(f"{i}.00\n−{i}.50…{i}.50" for i in range(6)))
        return table

    def printed(self, monkeypatch, table: Table, columns: int | None) -> list[str]:
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns:
            monkeypatch.setenv("COLUMNS", str(columns))
        file = io.StringIO()
        print_table(Console(file=file), table)
        return file.getvalue().splitlines()

    @pytest.mark.parametrize("columns", [30, 60, 80])
    @pytest.mark.parametrize("name", ["adam", "a panel whose name is far too long for it"])
    def test_no_line_is_wider_and_nothing_is_lost(self, monkeypatch, columns, name):
        lines = self.printed(monkeypatch, self.table(name), columns)
        assert max(map(len, lines)) <= columns
        text = "\n".join(lines)
        for i in range(6):
            assert text.count(f"number {i}") == 1
            assert text.count(f"−{i}.50…{i}.50") == 2
        assert text.count("study mine") == text.count("what it says") == 1
        assert lines[-1].strip() == "what it says"
        assert [line.split()[0] for line in lines].count("sgd") == text.count("panel  ")

    def test_one_that_fits_is_printed_as_it_is(self, monkeypatch):
        assert "".join(self.printed(monkeypatch, self.table(), 100)).count("panel") == 1

    def test_without_a_terminal_it_is_as_wide_as_it_likes(self, monkeypatch):
        lines = self.printed(monkeypatch, self.table(), None)
        assert "".join(lines).count("panel") == 1
        assert max(map(len, lines)) > 60
