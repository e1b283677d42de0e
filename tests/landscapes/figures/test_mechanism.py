"""Figures of what happened inside: their records, and how they are drawn."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import LogNorm

from landscape_study.landscapes.figures.mechanism import draw_mechanism, plot_mechanism
from landscape_study.landscapes.figures.mechanism_record import mechanism_record
from landscape_study.landscapes.reading.frames import mechanism_frame
from landscape_study.landscapes.reading.landscape import landscape
from landscape_study.landscapes.reading.panels import PanelData, study_panels
from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.timescale import Timescale
from landscape_study.study.store import Store
from tests.landscapes.studies import panel_of
from tests.valleys import fill, valley_study

ALPHAS, LAMBDAS = (0.1, 0.2), (0.0, 0.01, 0.02)
CELLS = [(alpha, lambda_) for alpha in ALPHAS for lambda_ in LAMBDAS]
LABELS = ("weight norm ‖θ‖", "gradient norm ‖g‖", "update ‖Δθ‖ / ‖θ‖", "clipped steps (%)")
SEEDS, EPOCHS = 2, 3


def panel(name="adamw", pair="adamw", *, clips=False, lost=(), schedule="constant"):
    """A panel whose errors grow with the cell's number, and what happened inside of it."""
    curves = {cell: [[0.0] * EPOCHS] for cell in CELLS}
    own = panel_of(name, curves, pair=pair, schedule=schedule)
    cells, inside = [], []
    for k, (alpha, lambda_) in enumerate(CELLS):
        for seed in range(SEEDS):
            place = {"panel": name, "alpha": alpha, "lambda": lambda_, "seed": seed}
            diverged = (k, seed) in lost
            error = 90.0 if diverged else 5.0 + k
            cells.append(place | {"test_error": error, "diverged": diverged, "state": "finished"})
            for epoch in range(1, EPOCHS + 1):
                norm = np.nan if diverged and epoch > 1 else 10.0**k * 4**seed * epoch
                inside.append(
                    place
                    | {"epoch": epoch, "weight_norm": norm, "gradient_norm": 1 / norm}
                    | {"update_norm": norm * alpha, "clipped_share": k / 10 if clips else np.nan}
                )
    frame = pd.DataFrame(cells)
    timescale = Timescale(2.0, 1.0)
    return PanelData(name, landscape(frame, own, timescale=timescale), frame, own), inside


def study(*panels):
    data = [one for one, _ in panels]
    return data, pd.DataFrame([row for _, rows in panels for row in rows])


def test_a_row_for_each_quantity_a_heatmap_for_each_panel():
    record = mechanism_record(*study(panel(), panel("sgd", "sgd", clips=True)))
    assert tuple(row.label for row in record.rows) == LABELS
    assert (record.columns, record.blocks) == (2, 1)
    assert [[one.title for one in row.heatmaps] for row in record.rows] == [
        ["AdamW", "SGD + L2"],
        *[["", ""]] * 3,
    ]
    assert [[one.x_title != "" for one in row.heatmaps] for row in record.rows] == [
        *[[False, False]] * 3,
        [True, True],
    ]
    assert {row.heatmaps[0].y_title for row in record.rows} == {"α"}
    assert {row.heatmaps[1].y_title for row in record.rows} == {""}


def test_values_are_those_of_the_last_epoch_means_of_logarithms_over_seeds():
    weights, gradients, updates = mechanism_record(*study(panel())).rows
    shown = dict(weights.heatmaps[0].error)
    assert shown == pytest.approx(
        {divmod(k, 3): 10.0**k * 2 * EPOCHS for k in range(6)}
    )  # 2 = √(1·4)
    assert dict(gradients.heatmaps[0].error)[0, 0] == pytest.approx(1 / (2 * EPOCHS))
    assert dict(updates.heatmaps[0].error) == pytest.approx(
        {(row, col): ALPHAS[row] for row in range(2) for col in range(3)}
    )
    assert weights.heatmaps[0].log
    assert weights.heatmaps[0].summary == ("6", "in the best cell")
    low, high = weights.heatmaps[0].scale
    assert 6 < low < 20 < high < 6e5
    assert updates.heatmaps[0].scale == pytest.approx((0.1, 0.2))


def test_under_restarts_they_are_those_of_the_last_whole_cycle():
    row = mechanism_record(*study(panel(schedule={"kind": "restarts", "t_0": 2}))).rows[0]
    assert dict(row.heatmaps[0].error)[0, 0] == pytest.approx(2 * 2)  # after 2 of 3 epochs


def test_the_best_cells_are_circled_and_diverged_ones_count_by_their_other_seeds():
    data = study(panel(lost={(1, 0), (2, 0), (2, 1)}))
    heatmap = mechanism_record(*data, top=2).rows[0].heatmaps[0]
    assert heatmap.circled == ((0, 0), (1, 0))
    assert heatmap.diverged == ((0, 1), (0, 2))
    assert dict(heatmap.error)[0, 1] == pytest.approx(10 * 4 * EPOCHS)
    assert heatmap.missing == ((0, 2),)
    assert heatmap.edges == ()


def test_clipped_steps_are_percent_and_a_panel_that_clips_nothing_says_so():
    record = mechanism_record(*study(panel(clips=True), panel("sgd", "sgd")))
    clipped, plain = record.rows[-1].heatmaps
    assert dict(clipped.error)[1, 2] == pytest.approx(50)
    assert (clipped.scale, clipped.log) == ((0.0, 100.0), False)
    assert clipped.summary == ("0 %", "in the best cell")
    assert plain.summary == ("nothing is clipped",)
    assert (plain.error, plain.circled, plain.missing) == ((), (), ())


@pytest.mark.parametrize(
    ("count", "columns", "blocks"), [(1, 1, 1), (3, 3, 1), (4, 4, 1), (5, 3, 2), (6, 3, 2)]
)
def test_many_panels_take_several_blocks(count, columns, blocks):
    data = study(*(panel(f"adamw-{i}") for i in range(count)))
    record = mechanism_record(*data)
    assert (record.columns, record.blocks) == (columns, blocks)
    figure = draw_mechanism(record)
    axes = [ax for ax in figure.axes if ax.get_gid() in LABELS]
    assert len(axes) == 3 * count
    bars = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert [bar.get_ylabel() for bar in bars] == [*LABELS[:3]] * blocks


def test_it_is_drawn_as_heatmaps_are_with_logarithmic_colours():
    data = study(panel(clips=True, lost={(1, 0)}), panel("sgd", "sgd"))
    figure = plot_mechanism(*data, cmap="magma")
    figure.canvas.draw()
    axes = [ax for ax in figure.axes if ax.get_gid() in LABELS]
    assert [ax.get_gid() for ax in axes] == [label for label in LABELS for _ in range(2)]
    weights, clipped = axes[0].collections[0], axes[6].collections[0]
    assert isinstance(weights.norm, LogNorm)
    assert not isinstance(clipped.norm, LogNorm)
    assert weights.cmap.name == "magma"
    assert len(weights.get_paths()) == 6
    assert [ax.get_title(loc="left") for ax in axes[:2]] == ["AdamW", "SGD + L2"]
    gids = {one.get_gid() for one in axes[0].findobj()}
    assert {"error", "diverged", "circles", "best", "summary"} <= gids
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["best cell", "diverged (any seed)"]


@pytest.mark.parametrize("width", [None, "column"])
def test_the_words_of_a_row_do_not_lie_over_the_one_above(width):
    figure = plot_mechanism(*study(panel(clips=True)), width=width)
    figure.canvas.draw()
    axes = [ax for ax in figure.axes if ax.get_gid() in LABELS]
    for above, below in pairwise(axes):
        (summary,) = [text for text in below.texts if text.get_gid() == "summary"]
        lowest = above.get_window_extent().y0
        assert summary.get_window_extent().y1 < lowest


def test_over_the_timescale():
    record = mechanism_record(*study(panel()), over="timescale")
    heatmaps = [row.heatmaps[0] for row in record.rows]
    assert {heatmap.x_title for heatmap in heatmaps} == {"", "timescale of the decay (epochs)"}
    assert all(heatmap.slant is not None for heatmap in heatmaps)
    draw_mechanism(record).canvas.draw()


def of_design(store: Store, **changes: object):
    """The panel of a study that was filled by a formula, and what happened inside of it."""
    fill(store, valley_study(seeds=1, pairs=("adam",)).change_panels(**changes))
    return study_panels(store, "valley"), mechanism_frame(store, "valley")


@pytest.mark.slow
def test_between_scattered_trials_there_is_no_surface(store: Store):
    """That of the error would be one of another quantity."""
    record = mechanism_record(*of_design(store, design={"sampler": "tpe", "trials": 40}))
    for row in record.rows:
        (shown,) = row.heatmaps
        assert shown.between is not None
        assert shown.between.values == shown.between.sure == ()
        assert len(shown.error) == 40
    (legend,) = draw_mechanism(record).legends
    told = {text.get_text() for text in legend.get_texts()}
    assert "trial" in told
    assert "interpolated" not in told


@pytest.mark.slow
def test_small_cells_of_a_refined_grid_lie_over_the_others(store: Store):
    cells = [[0.007071, 0.001], [0.01, 0.001414], [0.01414, 0.000707]]
    record = mechanism_record(*of_design(store, extra_cells=cells))
    for row in record.rows:
        (shown,) = row.heatmaps
        assert [shown.side(cell) for cell, _ in shown.error] == [1.0] * 90 + [0.5] * 3


def test_of_what_is_not_finished_it_says_so():
    one, _ = panel()
    empty = one.cells.iloc[:0]
    assert one.panel is not None
    nothing = replace(one, cells=empty, landscape=landscape(empty, one.panel))
    record = mechanism_record([nothing], pd.DataFrame(columns=["panel", "epoch", *INSIDE]))
    assert [row.heatmaps[0].summary for row in record.rows] == [("nothing finished yet",)] * 3
    draw_mechanism(record).canvas.draw()


INSIDE = (
    *("alpha", "lambda", "seed"),
    *("weight_norm", "gradient_norm", "update_norm", "clipped_share"),
)


def test_bad_requests_are_refused():
    data, inside = study(panel())
    with pytest.raises(UsageError, match=r"adamw: nothing is recorded of what happened inside"):
        mechanism_record(data, inside.iloc[:0])
    with pytest.raises(UsageError, match="no panels to draw"):
        mechanism_record([], inside)
    with pytest.raises(UsageError, match="columns = 0: a figure needs at least 1"):
        mechanism_record(data, inside, columns=0)
    with pytest.raises(UsageError, match="over = 'alpha': choose one of lambda, timescale"):
        mechanism_record(data, inside, over="alpha")
