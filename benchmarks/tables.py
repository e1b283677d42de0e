"""The page docs/speed.md: tables made of the results, between two markers.

    python -m benchmarks.tables

writes them anew. A part that has not been measured is not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import REPOSITORY
from benchmarks.networks import EVERY
from benchmarks.results import RESULTS, read
from benchmarks.sections import SECTIONS, throughput_sections

PAGE = REPOSITORY / "docs" / "speed.md"
BEGIN = "<!-- tables: written by `python -m benchmarks.tables` -->"
END = "<!-- end of tables -->"


def update(page: Path, results: Path) -> None:
    """Put the tables between the page's markers; a page that is not there begins as PAGE."""
    text = (page if page.exists() else PAGE).read_text(encoding="utf-8")
    page.write_text(with_tables(text, results), encoding="utf-8")


def with_tables(text: str, results: Path) -> str:
    """The page's text with what is between its markers made of the results."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{render(results)}{END}{after}"


def render(results: Path, only: Sequence[str] | None = None) -> str:
    """The sections of all parts (or `only` some) that have been measured, as Markdown."""
    found = {}
    for name in (*(f"throughput-{network}" for network in EVERY), *SECTIONS):
        facts = read(results, name) if only is None or name in only else None
        if facts is not None:
            found[name] = facts
    throughputs = [facts for name, facts in found.items() if name.startswith("throughput-")]
    sections = throughput_sections(throughputs) if throughputs else []
    sections += [SECTIONS[name](facts) for name, facts in found.items() if name in SECTIONS]
    return "".join(f"{section}\n\n" for section in sections)


if __name__ == "__main__":
    update(PAGE, RESULTS)
