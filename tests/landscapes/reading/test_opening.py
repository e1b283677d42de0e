"""What a name means, and what is none."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

import landscape_study as ls
from landscape_study.landscapes.reading.opening import texts_of
from landscape_study.study.errors import UsageError

FRAME = pd.DataFrame({"lr": [0.1, 0.2], "wd": [1, 2], "loss": [1, 2]})
CALLS = [
    ls.verdicts,
    ls.cells,
    ls.report,
    ls.plot,
    lambda store, name: ls.import_files("x.db", name),
]
WRONG = [
    (
        FRAME,
        "a DataFrame is not taken here, but a study's name, or a file: write it into one with",
    ),
    (FRAME, "separability(frame, metric)"),
    (FRAME["lr"], "a Series is not taken here"),
    ([FRAME], "(list): give the name of a study, or paths of files with results"),
    (Path("sweep.csv"), "sweep.csv: cannot be read (No such file or directory)"),
    (None, "'None' (NoneType): give the name of a study"),
    ([], "'[]' (list): give the name of a study"),
    ("", "'' (str): give the name of a study"),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("name", "message"), WRONG)
def test_what_is_no_name_is_refused(call, name, message, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=re.escape(message)):
        call(None, name)
    assert not [*tmp_path.iterdir()]


def test_paths_are_names_too():
    assert texts_of(Path("runs/a.csv")) == texts_of([Path("runs/a.csv"), "runs/a.csv"])
    assert texts_of(Path("runs/a.csv")) == ("runs/a.csv",)
