"""The scripts in examples/scripts print what their study files say they measure."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from landscape_study.study.objectives.measurements import Measurements
from landscape_study.study.objectives.process import Limits, run_process
from landscape_study.study.spec.placeholders import Filling, filled
from landscape_study.study.spec.study import Study

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
FILES = sorted(SCRIPTS.glob("*.toml"))


@pytest.fixture(autouse=True)
def _from_the_repository(monkeypatch: pytest.MonkeyPatch):
    """As the comments in the files say; `python` is the one that runs the tests."""
    monkeypatch.chdir(SCRIPTS.parents[1])
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")


def study_of(file: Path) -> Study:
    return Study.from_toml(file.read_text("utf-8"), str(file))


def run(study: Study, pair: str, folder: Path, **cell: float) -> Measurements:
    """Measure one cell, as a slot would."""
    whole = Filling(0.01, 0.001, 0, pair, pair, folder)
    found = Measurements(study.metric.name, study.pattern)
    words = filled(study.command or (), replace(whole, **cell).words)
    folder.mkdir()
    ended = run_process(words, {}, folder / "log.txt", Limits(seconds=100), found.read_line)
    assert ended.code == 0, ended.tail
    return found


@pytest.mark.long
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_script_is_measured_and_learns(file: Path, tmp_path: Path):
    study = study_of(file)
    for panel in study.panels:
        found = run(study, panel.pair, tmp_path / panel.name)
        curve = found.curves()[study.metric.name]
        assert len(curve) >= 15
        assert found.value == pytest.approx(curve[-1])
        assert curve[-1] < 0.9 * curve[0]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", ["line", "sklearn-digits"])
def test_what_diverges_is_no_failure(name: str, tmp_path: Path):
    study = study_of(SCRIPTS / f"{name}.toml")
    found = run(study, "sgd", tmp_path / "wild", alpha=1e4)
    assert found.value is not None
    assert not np.isfinite(found.value)


def test_every_script_has_a_study_file_that_names_it():
    named = {word for file in FILES for word in study_of(file).command or ()}
    scripts = {str(path.relative_to(SCRIPTS.parents[1])) for path in SCRIPTS.glob("*.[ps][yh]")}
    assert scripts
    assert scripts <= named
