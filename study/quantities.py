"""Durations and sizes as a person says them."""

from __future__ import annotations

MINUTE, HOUR = 60, 3600  # seconds


def format_seconds(seconds: float) -> str:
    """A duration as a person says it: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole >= HOUR:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    if whole >= MINUTE:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    return f"{whole} s"


def format_bytes(count: float) -> str:
    """A size in MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(count / 1e6, 0.1):.1f} MB"
