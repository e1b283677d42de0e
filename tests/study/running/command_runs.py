"""Studies of objectives that run in this very process: a cell takes little more than its own."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from landscape_study.study.planning.objective_plan import ObjectivePlan, plan_objective
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.running.job import ObjectiveJob
from landscape_study.study.running.worker import work
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store

TRAIN = """
import json, os, sys, time
lr, wd, seed, folder = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
{body}
for epoch in (1, 2):
    print(json.dumps({{"epoch": epoch, "val_loss": lr + wd + seed + 1 / epoch}}), flush=True)
"""


class CommandRun:
    """A study of a script, and the database that it is in.

    Args:
        folder: for both.
        body: lines of the script, which know lr, wd, seed and folder.
        alphas: of its cells, at λ = 0.01.
    """

    def __init__(self, folder: Path, body: str, alphas: Sequence[float] = (0.1,)) -> None:
        self.script = folder / "train.py"
        self.script.write_text(TRAIN.format(body=textwrap.dedent(body)))
        words = [sys.executable, "-S", str(self.script), "{alpha}", "{lambda}", "{seed}"]
        self._begin(folder, {"command": [*words, "{folder}"]}, alphas)

    def _begin(self, folder: Path, own: dict[str, object], alphas: Sequence[float]) -> None:
        grid = {"alpha": list(alphas), "lambda": [0.01], "panel": [{"pair": "mine"}]}
        asked = {"name": "own", "metric": "val_loss", **own, **grid}
        self.study = Study.from_dict(asked, "test")
        self.store = Store(str(folder / "own.db"), create=True)
        self.plan: ObjectivePlan = plan_objective(self.study, RunSettings(workers=1))
        self.store.create(self.study, self.plan.identity, self.plan.chunks)
        self.job = ObjectiveJob(
            store=self.store.url,
            study=self.study,
            identity=self.plan.identity,
            run_id=self.store.start_run("own", {}),
            folder=str(self.store.run_folders / "own"),
        )

    def __call__(self, device: str = "cpu", **changes: object) -> CommandRun:
        """Let a worker do all that is open, as the job says with these changes."""
        work(replace(self.job, **changes), device)  # type: ignore[arg-type]
        return self

    def retry(self) -> CommandRun:
        """Open failed cells again."""
        self.store.retry_failed("own")
        return self

    @property
    def states(self) -> list[str]:
        """Of the cells, by α."""
        return [row["state"] for row in self.store.cells("own")]

    @property
    def reason(self) -> str:
        """Why the first failed cell did, as it is stored."""
        return self.store.failures("own")[0].reason or ""

    @property
    def folders(self) -> list[Path]:
        """Of runs, that are there."""
        return sorted(Path(self.job.folder).glob("*"))


FUNCTION = """
import json, os, subprocess, sys, time
from landscape_study import objective

@objective
def train(cell, run):
"""


class FunctionCells(CommandRun):
    """The same of a function, whose lines know cell and run; `after` are lines of its module."""

    def __init__(
        self, folder: Path, body: str, alphas: Sequence[float] = (0.1,), after: str = ""
    ) -> None:
        self.script = folder / "mine.py"
        self.write(body, after)
        self._begin(folder, {"task": f"{self.script}:train", "function": True}, alphas)

    def write(self, body: str, after: str = "") -> None:
        """Let the function have these lines."""
        indented = textwrap.indent(textwrap.dedent(body), "    ")
        self.script.write_text(f"{FUNCTION}{indented}\n{after}\n")
        sys.modules.pop("mine", None)
