"""Numbers, durations and sizes as a person says them."""

from __future__ import annotations

MINUTE, HOUR = 60, 3600  # seconds
SIGNIFICANT = 4  # digits of a number of which nobody knows what matters
WRITTEN = 1e9  # from which such a number is written with a power of ten


def format_number(value: float, digits: int | None = None) -> str:
    """A number with a real minus sign: "−0.88"; with so many digits after the point.

    In four significant digits, but whole above them, where nobody knows how many matter.
    """
    if digits is None and not 10**SIGNIFICANT <= abs(value) < WRITTEN:
        told = f"{value + 0.0:.{SIGNIFICANT}g}"
    else:
        places = digits or 0
        told = f"{round(value, places) + 0.0:.{places}f}"  # + 0.0 turns -0.0 into 0.0
    return (told.replace("-", "−", 1) if told[:1] == "-" else told).replace("inf", "∞")


def format_roughly(value: float) -> str:
    """A number in two significant digits, without powers of ten where it is whole: "120000"."""
    return format_number(float(f"{value:.2g}"))


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
