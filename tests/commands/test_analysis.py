"""The commands that look at results: plot, compare, report, extend, refine."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from landscape_study.landscapes.growing.refining import cells_to_refine
from landscape_study.study.spec.extension import refined_study
from landscape_study.study.spec.study import Axis
from landscape_study.study.store import Store
from tests.commands.test_running_and_looking import SMALL_RUN, landscape
from tests.conftest import SPIRALS
from tests.valleys import fill, restart_study, valley_error, valley_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def valley(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study: adam coupled, adamw separable."""
    path = tmp_path_factory.mktemp("valley") / "valley.db"
    store = Store(str(path), create=True)
    fill(store, valley_study())
    other = valley_study(pairs=("adamw",)).change(name="shifted")
    fill(store, other, lambda panel, cell: valley_error(panel, cell) + 1)
    store.close()
    return path


@pytest.fixture(scope="module")
def restarts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study whose figure is about warm restarts."""
    path = tmp_path_factory.mktemp("restarts") / "restarts.db"
    store = Store(str(path), create=True)
    fill(store, restart_study())
    store.close()
    return path


def words_of(output: str) -> str:
    return " ".join(output.split())


class TestPlot:
    @pytest.mark.some(2)
    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ((), "valley.png"),
            (("--kind", "slices"), "valley-slices.png"),
            (("--contours", "--width", "page"), "valley.png"),
            pytest.param(
                ("--reference", "fig2", "--top", 5), "valley.png", marks=pytest.mark.long
            ),
            (("--kind", "slices", "--width", "column", "--span", 2), "valley-slices.png"),
        ],
    )
    def test_figures_by_option(self, valley: Path, options, name: str):
        result = landscape("plot", "valley", *options, "--store", valley)
        path = valley.with_name(name)
        assert result.output == f"figure: {path}\n"
        picture = imread(path)
        assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 50

    @pytest.mark.some(1)
    @pytest.mark.parametrize("kind", ["anytime", "generalization", "schedule"])
    def test_other_kinds_say_what_they_show(self, valley: Path, kind: str):
        result = landscape("plot", "valley", "--kind", kind, "--store", valley)
        *lines, last = result.output.splitlines()
        assert last == f"figure: {valley.with_name(f'valley-{kind}.png')}"
        assert lines[0].startswith("Adam + L2")

    def test_columns(self, valley: Path):
        shapes = []
        for columns in (1, 2):
            output = valley.with_name(f"columns-{columns}.png")
            landscape("plot", "valley", "--columns", columns, "-o", output, "--store", valley)
            shapes.append(imread(output).shape)
        assert shapes[0][0] > shapes[1][0]
        assert shapes[0][1] < shapes[1][1]

    def test_a_studys_own_kind_has_its_name(self, restarts: Path):
        result = landscape("plot", "restarts", "--store", restarts)
        assert result.output.splitlines()[-1] == f"figure: {restarts.with_name('restarts.png')}"
        assert re.search(r"^AdamWR .* % of AdamW at epoch ", result.output, re.M)
        result = landscape("plot", "restarts", "--kind", "heatmaps", "--store", restarts)
        assert f"figure: {restarts.with_name('restarts-heatmaps.png')}" in result.output

    def test_schedules_of_a_preset_need_no_database(self, tmp_path: Path):
        arguments = ("plot", "digits-fig2", "--kind", "schedule", "--store", tmp_path / "no.db")
        result = landscape(*arguments)
        path = tmp_path / "digits-fig2-schedule.png"
        assert result.output == f"figure: {path}\n"
        assert imread(path).shape[1] > 500
        assert list(tmp_path.iterdir()) == [path]
        result = landscape("plot", "digits-fig2", "--store", tmp_path / "no.db")
        assert result.exit_code == 1
        assert "no such database" in result.output

    @pytest.mark.some(1)
    @pytest.mark.parametrize(("width", "inches"), [("column", 3.25), ("page", 5.5), ("4", 4.0)])
    def test_a_printed_figure_is_as_wide_as_asked(self, valley: Path, width: str, inches: float):
        output = valley.with_name("print.svg")
        landscape("plot", "valley", "--width", width, "-o", output, "--store", valley)
        (points,) = re.findall(r'<svg [^>]*?width="([0-9.]+)pt"', output.read_text("utf-8"))
        assert float(points) == pytest.approx(72 * inches, abs=0.1)


class TestCompare:
    def test_all_panels(self, valley: Path):
        output = words_of(landscape("compare", "valley", "--store", valley).output)
        assert re.search(r"adam coupled −0\.\d\d", output)
        assert re.search(r"adamw separable −?0\.\d\d", output)
        assert "adam → " in output
        assert "rank corr." in output

    def test_two_panels_and_their_figure(self, valley: Path):
        figure = valley.with_name("both.png")
        result = landscape("compare", "valley", "adam", "adamw", "-o", figure, "--store", valley)
        assert f"figure: {figure}" in result.output
        assert imread(figure).shape[1] > imread(figure).shape[0]

    def test_a_panel_of_another_study(self, valley: Path):
        arguments = ("compare", "valley", "adamw", "shifted/adamw", "--store", valley)
        output = words_of(landscape(*arguments).output)
        best = re.search(r"adamw → (-?−?[\d.]+)", output)
        assert best is not None
        assert float(best[1]) == pytest.approx(1.0, abs=0.15)

    @pytest.mark.parametrize("panel", [(), ("adamw",), ("adamw", "sgd")])
    def test_with_the_paper(self, valley: Path, panel):
        arguments = ("compare", "valley", *panel, "--reference", "fig2", "--store", valley)
        output = words_of(landscape(*arguments).output)
        assert "fig2/sgd " in output if panel == ("adamw", "sgd") else "fig2/adamw " in output

    def test_unfinished_panels_are_told(self, tmp_path: Path):
        store = Store(str(tmp_path / "part.db"), create=True)
        fill(store, valley_study(seeds=1), chunks=6)
        output = words_of(landscape("compare", "valley", "--store", tmp_path / "part.db").output)
        assert "adam: 60 of 90 cells have finished; the numbers may change" in output
        assert "adamw: 0 of 90 cells have finished; the numbers may change" in output

    def test_finished_panels_need_no_warning(self, valley: Path):
        assert "finished" not in landscape("compare", "valley", "--store", valley).output

    def test_a_study_of_other_pairs_than_the_paper(self, tmp_path: Path):
        path = tmp_path / "torch.db"
        fill(Store(str(path), create=True), valley_study(pairs=("adamw-torch",), exponents=1))
        result = landscape("compare", "valley", "--reference", "fig2", "--store", path)
        assert result.exit_code == 2
        assert "reference 'fig2' has no panel of adamw-torch: it has sgd" in result.output

    def test_budgets_move_the_optimum(self, tmp_path: Path):
        study = valley_study(pairs=("adamw",))
        short = study.panels[0]
        long = {**short.changed({"epochs": 24}), "name": "adamw-long"}
        store = Store(str(tmp_path / "budgets.db"), create=True)
        fill(store, study.change(panels=[short, long]), lambda _, cell: valley_error("w", cell))
        output = words_of(
            landscape("compare", "valley", "--store", tmp_path / "budgets.db").output
        )
        assert "normalized λ" in output
        assert "adamw → adamw-long" in output


class TestReport:
    @pytest.mark.some(1)
    @pytest.mark.parametrize("kind", ["html", "md"])
    def test_is_written_beside_the_database(self, valley: Path, kind: str):
        result = landscape("report", "valley", "--format", kind, "--store", valley)
        path = valley.with_name(f"valley.{kind}")
        assert result.output == f"report: {path}\n"
        assert "AdamW" in path.read_text("utf-8")

    def test_goes_where_it_is_told(self, valley: Path, tmp_path: Path):
        path = tmp_path / "new" / "page.html"
        landscape("report", "valley", "-o", path, "--panel", "adamw", "--store", valley)
        assert path.stat().st_size > 10_000


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a study of the spirals, two panels of 3 × 2 cells."""
    path = tmp_path_factory.mktemp("extend") / "trained.db"
    arguments = [*SMALL_RUN, "--store", path, "--no-plot"]
    arguments[arguments.index("[0.05, 0.1]")] = "[0.025, 0.05, 0.1]"
    assert landscape(*arguments).exit_code == 0
    return path


@pytest.fixture
def path(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    path = tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(trained)) as connection:
        connection.execute("VACUUM INTO ?", (str(path),))
    return path


class TestExtend:
    @pytest.mark.long
    def test_a_side_is_added_and_only_new_cells_are_trained(self, path: Path):
        before = Store(str(path)).cells("small")
        result = landscape(
            *("extend", "small", "--panel", "sgd", "--side", "alpha-low", "--steps", 1),
            *("--task", SPIRALS, "--store", path, "--no-plot"),
        )
        assert "extending sgd alpha-low" in result.output
        assert "study small: 14 cells, 12 of them finished" in result.output
        after = Store(str(path)).cells("small")
        assert [row for row in after if row in before] == before
        new = [row for row in after if row not in before]
        assert {(row["panel"], row["alpha"], row["state"]) for row in new} == {
            ("sgd", 0.0125, "finished")
        }

    @pytest.mark.long
    def test_auto_extend_ends_after_its_rounds(self, path: Path):
        arguments = ("--task", SPIRALS, "--store", path, "--no-plot", "--auto-extend", 2)
        result = landscape("resume", "small", *arguments)
        assert result.exit_code == 0
        rounds = result.output.count("best cells lie on a border: extending")
        assert rounds <= 2
        cells = Store(str(path)).cells("small")
        assert {row["state"] for row in cells} == {"finished"}
        assert (len(cells) > 12) is (rounds > 0)

    @pytest.mark.long
    def test_a_dry_run_trains_nothing(self, path: Path):
        before = Store(str(path)).cells("small")
        arguments = ("--side", "alpha-high", "--task", SPIRALS, "--store", path, "--dry-run")
        output = words_of(landscape("extend", "small", *arguments).output)
        assert re.search(r"sgd sgd cosine 2 5 × 2 × 1 4 ", output)
        assert Store(str(path)).cells("small") == before

    def test_nothing_to_extend(self, valley: Path):
        result = landscape("extend", "valley", "--panel", "adamw", "--store", valley)
        assert result.exit_code == 0
        assert "no best cell lies on a border; name a side" in result.output


class TestRefine:
    ARGUMENTS = ("--task", SPIRALS, "--top", 1)

    @pytest.mark.long
    def test_cells_between_are_added_and_only_they_are_trained(self, path: Path):
        before = Store(str(path)).cells("small")
        result = landscape("refine", "small", *self.ARGUMENTS, "--store", path, "--no-plot")
        assert re.search(r"^refining sgd by \d cells, adamw by \d cells$", result.output, re.M)
        after = Store(str(path)).cells("small")
        assert [row for row in after if row in before] == before
        new = len(after) - len(before)
        assert f"study small: {len(after)} cells, {len(before)} of them finished" in result.output
        assert {row["state"] for row in after} == {"finished"}
        assert new == sum(len(p.grid.extra) for p in Store(str(path)).study("small").panels) > 0
        assert landscape("check", "--store", path).exit_code == 0
        again = landscape(*SMALL_RUN, "--store", path, "--no-plot")  # which adds nothing
        assert again.exit_code == 0
        assert len(Store(str(path)).cells("small")) == len(after)

    @pytest.mark.long
    def test_a_dry_run_trains_nothing(self, path: Path):
        before = Store(str(path)).cells("small")
        arguments = (*self.ARGUMENTS, "--panel", "sgd", "--store", path, "--dry-run")
        output = words_of(landscape("refine", "small", *arguments).output)
        assert re.search(r"refining sgd by (\d) cells .* 3 × 2 × 1 \+ \1 × 1 \1 ", output)
        assert Store(str(path)).cells("small") == before

    def test_nothing_to_refine(self, tmp_path: Path):
        path = tmp_path / "one.db"
        study = valley_study(seeds=1, pairs=("adamw",))
        study = study.change_panels(alpha=[0.01], **{"lambda": [0.001]})
        fill(Store(str(path), create=True), study)
        result = landscape("refine", "valley", "--store", path)
        assert result.exit_code == 0
        assert "study valley: nothing lies between the best cells" in result.output

    @pytest.mark.long
    def test_the_report_and_tables_of_a_refined_study(self, tmp_path: Path):
        path = tmp_path / "refined.db"
        store = Store(str(path), create=True)
        fill(store, valley_study())
        new = cells_to_refine(store, "valley")
        fill(store, refined_study(store.study("valley"), new))
        page = tmp_path / "valley.html"
        for arguments in (
            ("report", "valley", "-o", page),
            ("compare", "valley"),
            ("plot", "valley", "--contours", "-o", tmp_path / "a.png"),
            ("plot", "valley", "--kind", "slices", "-o", tmp_path / "b.png"),
            ("plot", "valley", "--kind", "mechanism", "-o", tmp_path / "c.png"),
            ("plot", "valley", "--kind", "generalization", "-o", tmp_path / "d.png"),
            ("plot", "valley", "--kind", "anytime", "-o", tmp_path / "e.png"),
            ("export", "valley", "-o", tmp_path / "cells.csv"),
            ("show", "valley"),
            ("status", "valley"),
        ):
            result = landscape(*arguments, "--store", path)
            assert result.exit_code == 0, result.output
        assert "not finished" not in page.read_text()
        told = landscape("report", tmp_path / "cells.csv", "-o", tmp_path / "again.html")
        assert told.exit_code == 0, told.output
        cells = pd.read_csv(tmp_path / "cells.csv")
        assert cells["extra"].sum() == 2 * sum(map(len, new.values()))


def test_edges_are_told_with_the_command_that_extends_them(tmp_path: Path):
    path = tmp_path / "cut.db"
    study = valley_study(pairs=("adamw",))
    alphas = Axis(values=study.panels[0].grid.alpha.values[:5])
    store = Store(str(path), create=True)
    fill(store, study.change_panels(alpha=alphas), valley_error)
    output = landscape("plot", "valley", "--store", path).output
    assert re.search(r"^\d of the 10 best cells of adamw lie at the largest α", output, re.M)
    command = f"  landscape extend valley --panel adamw --side alpha-high --store {path}\n"
    assert command in output


BAD_REQUESTS = {
    "one panel": (["compare", "valley", "adam"], "panel 'adam' alone: name the OTHER panel"),
    "itself": (["compare", "valley", "adam", "valley/adam"], "panel 'adam' twice: name another"),
    "no panel": (["compare", "valley", "nope", "adam"], "has no panel 'nope': it has adam"),
    "no other": (["compare", "valley", "adam", "nope"], "has no panel 'nope': it has adam"),
    "no study": (
        ["compare", "valley", "adam", "x/adam"],
        "no study 'x': it holds shifted",
    ),
    "figure": (["compare", "valley", "-o", "x.png"], "needs two panels: name PANEL and OTHER"),
    "pair": (
        ["compare", "valley", "adam", "adamw-torch", "--reference", "fig2"],
        "reference 'fig2' has no panel of adamw-torch",
    ),
    "slices": (
        ["plot", "valley", "--kind", "slices", "--contours", "--cmap", "jet"],
        "slices have no --cmap and no --contours: leave",
    ),
    "anytime": (["plot", "valley", "--kind", "anytime", "--top", "3"], "anytime figures have no"),
    "kind": (["plot", "valley", "--kind", "bars"], "Invalid value for '--kind'"),
    "columns": (["plot", "valley", "--columns", "0"], "Invalid value for '--columns'"),
    "width": (["plot", "valley", "--width", "wide"], "width = wide: give inches from 2.5 to 20"),
    "narrow": (["plot", "valley", "--width", "1"], "width = 1: give inches from 2.5 to 20"),
    "report": (["report", "nope"], "no study 'nope': it holds shifted, valley"),
    "format": (["report", "valley", "--format", "pdf"], "Invalid value for '--format'"),
    "side": (["extend", "valley", "--side", "up"], "unknown side 'up': choose one of alpha-low"),
    "panel": (["extend", "valley", "--panel", "x"], "has no panel 'x': it has adam, adamw"),
    "extend": (["extend", "nope"], "no study 'nope': it holds shifted, valley"),
    "refine": (["refine", "nope"], "no study 'nope': it holds shifted, valley"),
    "refined panel": (["refine", "valley", "--panel", "x"], "no panel 'x': it has adam, adamw"),
    "top": (["refine", "valley", "--top", "0"], "Invalid value for '--top'"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_wrong_request_gets_one_clear_message(arguments, message: str, valley: Path):
    before = valley.read_bytes()
    result = landscape(*arguments, "--store", valley)
    assert result.exit_code == 2
    assert message in words_of(result.output)
    assert valley.read_bytes() == before
