"""Numbers and tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.results import Facts

Spread = dict[str, float]  # median, min, max


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all but the first column are numbers, set to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """A number with three digits that count, and no exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.1g}"


def spread(values: Spread, factor: float = 1.0) -> str:
    """The median, and from where to where the repetitions reach."""
    low, middle, high = (number(factor * values[key]) for key in ("min", "median", "max"))
    return middle if low == high else f"{middle} ({low} to {high})"


def measured(facts: Facts) -> str:
    """When and where: the line above each part's tables."""
    machine = facts["machine"]
    there = machine["versions"]  # on a card's machine, Optuna may be missing
    versions = ", ".join(f"{name} {there[name]}" for name in ("torch", "optuna") if name in there)
    repeats = facts["settings"].get("repeats", 1)
    times = f"; {repeats} repetitions: median (least to most)" if repeats > 1 else ""
    revision = (machine["git"] or "unknown")[:10]
    dirty = " with changes" if (machine["git"] or "").endswith("-dirty") else ""
    return (
        f"*{facts['measured'][:10]}, {machine['cpu']}, {machine['usable_threads']} cores, "
        f"{machine['memory_bytes'] / 1e9:.0f} GB; {versions}, revision {revision}{dirty}{times}.*"
    )


def seconds(values: Spread) -> str:
    if values["median"] < 0.1:
        return f"{spread(values, 1000)} ms"
    return f"{spread(values)} s"
