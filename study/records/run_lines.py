"""Who trained a study, when, where and with which versions, in lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from landscape_study.study.quantities import format_seconds


def run_lines(runs: Sequence[dict[str, Any]]) -> list[str]:
    """One line per run of a study: when, where, and with which versions."""
    lines = []
    for run in runs:
        try:
            lines.append(_run_line(run))
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError):
            lines.append("a run of which nothing can be read: what is stored of it is broken")
    return lines


def _run_line(run: dict[str, Any]) -> str:
    facts = run["provenance"]
    if "imported" in facts:
        return "; ".join([f"imported from {', '.join(facts['imported'])}", *facts["said"]])
    started = datetime.fromtimestamp(run["started"]).astimezone()
    took = "" if run["ended"] is None else format_seconds(run["ended"] - run["started"])
    versions = ", ".join(f"{name} {v}" for name, v in facts["versions"].items())
    devices = ", ".join(
        f"{facts['devices'].count(d)} × {d}" for d in sorted(set(facts["devices"]))
    )
    return (
        f"run {started:%Y-%m-%d %H:%M:%S %Z}, {took or 'not ended'}, on {facts['host']} "
        f"({devices}{_by(facts)}); Python {facts['python']}, {versions}; "
        f"git {facts['git'] or 'unknown'}"
    )


def _by(facts: dict[str, Any]) -> str:
    """The engine of a run; earlier runs did not say."""
    return f", {facts['engine']}" if "engine" in facts else ""
