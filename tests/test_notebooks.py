"""The notebooks run from top to bottom, against a small study of the embedded task."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from landscape_study.study.planning.plan import make_plan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.running.driver import run
from landscape_study.study.spec.presets import load_preset
from landscape_study.study.spec.study import Axis
from landscape_study.study.store import Store

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def small_fig2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`digits-fig2` on a coarse grid with short training."""
    path = tmp_path_factory.mktemp("notebooks") / "small.db"
    alphas = {"sgd": 1.0, "sgdw": 1.0, "adam": 0.1, "adamw": 0.1}
    study = load_preset("digits-fig2")
    panels = [
        panel.changed(
            {
                "epochs": 3,
                "alpha": Axis(values=(alphas[panel.pair] / 256, alphas[panel.pair] / 16)),
                "lambda": Axis(values=(0.0, 1 / 128, 1 / 32)),
            }
        )
        for panel in study.panels
    ]
    plan = make_plan(study.change(panels=panels, seeds=2), RunSettings(device="cpu", workers=1))
    store = Store(str(path), create=True)
    store.create(plan.study, plan.identity, plan.chunks)
    run(plan, store)
    store.close()
    return path


@pytest.mark.long
@pytest.mark.notebook
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the Jupyter client's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, small_fig2: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LANDSCAPE_STORE", str(small_fig2))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    pictures = [
        output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})
    ]
    assert pictures
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["heatmaps", "separability", "your_own_task"]
