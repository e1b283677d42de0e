"""Names of what is compiled for a built-in task, remembered: nobody need trace it again.

Of a user's own task or rule they are not. What it imports, reads or asks of its surroundings
decides what is traced too, and may change without a trace in its source; nor would it show on a
few batches: a bound that is reached late, say.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import torch

from landscape_study.study.environment import cache as kept
from landscape_study.study.records.identity import Identity
from landscape_study.study.spec.study import Study
from landscape_study.study.tasks import is_user_task
from landscape_study.study.training.compiling.library import circumstances
from landscape_study.study.training.engines.base import Libraries

STUDY = Path(__file__).parents[1]
ROOMS = ("pairs", "tasks", "training")  # whose sources decide what is traced


def programs_name(study: Study, identity: Identity) -> str | None:
    """Under which name programs of the study are remembered; None where they are not.

    Args:
        study: resolved.
        identity: of its task as it is here.
    """
    if is_user_task(study.task) or any(panel.own_code for panel in study.panels):
        return None
    each = (study.options_of(panel, own) for panel in study.panels for own in panel.owns)
    panels = sorted({options.model_dump_json() for options in each})
    facts = (study.task, identity.fingerprint, panels)
    surroundings = (torch.__version__, circumstances(), _sources())
    digest = hashlib.sha256(repr((*facts, *surroundings)).encode()).hexdigest()
    return f"{digest[:24]}.programs.json"


def recall(file: str) -> Libraries:
    """Names of what was compiled before."""
    found = kept.recall(file).get("programs", ())
    return {(name, tuple(map(torch.Size, shapes))): library for name, shapes, library in found}


def keep(file: str, libraries: Libraries) -> None:
    """Remember these, beside those that are known."""
    before = recall(file)
    known = {**before, **libraries}
    if known == before:
        return
    rows = [(name, [[*shape] for shape in shapes], known[name, shapes]) for name, shapes in known]
    kept.keep(file, {"programs": rows})


@cache
def _sources() -> str:
    """A hash of this tool's sources: a version may be changed where it is developed."""
    files = (path for room in ROOMS for path in (STUDY / room).rglob("*.*"))
    digest = hashlib.sha256()
    for path in sorted(path for path in files if path.suffix in (".py", ".cpp", ".h")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
