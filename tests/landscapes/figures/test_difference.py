"""Two landscapes side by side, and their difference."""

from __future__ import annotations

import numpy as np
import pytest

from landscape_study.landscapes.figures.difference import (
    comparison_record,
    difference,
    draw_comparison,
    plot_comparison,
)
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.study import Axis

nan = float("nan")


def test_the_difference_is_other_minus_one(make):
    one = make([[3.0, 2.0], [5.0, 4.0]], seeds=3, stderr=np.full((2, 2), 0.3))
    other = make([[1.0, 2.5], [5.0, 4.0]], seeds=2, stderr=np.full((2, 2), 0.4), title="SGDW")
    found = difference(one, other)
    assert found.title == "SGDW − AdamW"
    assert np.allclose(found.error, [[-2.0, 0.5], [0.0, 0.0]])
    assert np.allclose(found.stderr, 0.5)
    assert (found.n == 2).all()
    assert (found.alpha, found.lambda_) == (one.alpha, one.lambda_)


def test_missing_and_diverged_cells_have_no_difference(make):
    found = difference(
        make([[3.0, nan], [5.0, 4.0]]),
        make([[1.0, 2.5], [5.0, 4.0]], diverged=[[0, 0], [1, 0]]),
    )
    assert np.array_equal(np.isnan(found.error), [[False, True], [True, False]])
    assert not found.diverged.any()


def test_only_common_values_are_compared(make):
    one = make([[1.0, 2.0, 3.0]], alpha=Axis(values=(0.1,)), lambda_=Axis(values=(0.0, 0.5, 1)))
    other = make(
        [[9.0, 9.0], [5.0, 7.0]],
        alpha=Axis(values=(0.05, 0.1 * (1 + 1e-12))),
        lambda_=Axis(values=(0.0, 1.0)),
    )
    found = difference(one, other)
    assert found.lambda_.values == (0.0, 1.0)
    assert found.alpha.values == (0.1,)
    assert np.allclose(found.error, [[4.0, 4.0]])


def test_grids_without_a_common_cell_are_refused(make):
    first, second = Axis(values=(0.1,)), Axis(values=(0.2,))
    one = make([[1.0]], alpha=first, lambda_=first)
    other = make([[1.0]], alpha=second, lambda_=first, title="SGDW")
    with pytest.raises(UsageError, match="AdamW and SGDW share no learning rate"):
        plot_comparison(one, other)
    other = make([[1.0]], alpha=first, lambda_=second)
    with pytest.raises(UsageError, match="share no regularization factor"):
        difference(one, other)


def test_differences_beyond_the_noise_carry_dots(make):
    """With three seeds each, the interval of 95 % is 2.78 standard errors wide on each side."""
    stderr = np.full((1, 4), 0.1)
    one = make([[2.0, 2.0, 2.0, 2.0]], seeds=3, stderr=stderr)
    other = make([[2.0, 2.38, 2.41, 1.5]], seeds=3, stderr=stderr)
    record = comparison_record(one, other)  # standard error √2 · 0.1 = 0.141, bound 0.393
    assert record.beyond_noise == ((0, 2), (0, 3))
    assert record.difference.summary == ("1 cell better,", "1 worse", "beyond noise (dots)")
    assert record.difference.scale == (-3.0, 3.0)
    assert record.difference.label == "difference of test error (points)"
    assert record.one.scale == record.other.scale == (1.5, 4.5)


def test_one_seed_gives_no_dots(make):
    record = comparison_record(make([[2.0, 2.0]]), make([[9.0, 1.0]]))
    assert record.beyond_noise == ()
    assert record.difference.summary == ("one seed:", "noise unknown")


def test_panels_without_a_result_in_common_say_so(make):
    record = comparison_record(make([[2.0, nan]]), make([[nan, 1.0]]))
    assert record.difference.summary == ("no cell has a result in both",)


def test_normalized_and_raw_lambda_have_no_difference(make):
    """0.001 as λ_norm is another λ than 0.001."""
    with pytest.raises(UsageError, match="AdamW has raw λ, SGDW normalized λ: equal numbers"):
        difference(make([[2.0, 1.0]]), make([[2.0, 1.0]], title="SGDW", normalized=True))


@pytest.mark.slow
def test_the_figure_has_three_maps_and_the_dots(make):
    stderr = np.full((2, 3), 0.01)
    one = make(np.arange(6.0).reshape(2, 3), seeds=3, stderr=stderr)
    other = make(np.arange(6.0).reshape(2, 3)[::-1], seeds=3, stderr=stderr, title="SGDW")
    figure = plot_comparison(one, other)
    maps = [ax for ax in figure.axes if ax.get_title(loc="left")]
    assert [ax.get_title(loc="left") for ax in maps] == ["AdamW", "SGDW", "SGDW − AdamW"]
    (dots,) = [line for line in maps[2].lines if line.get_gid() == "beyond noise"]
    assert len(dots.get_xdata()) == 6
    low, high = maps[2].collections[0].get_clim()
    assert low == -high


def test_a_single_column_has_room_for_its_words(make):
    lambda_ = Axis(values=(0.01,))
    one, other = (make(error, lambda_=lambda_) for error in ([[2.0], [3.0]], [[9.0], [1.0]]))
    figure = draw_comparison(comparison_record(one, other))
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert box.x0 > -0.01
    assert box.x1 < figure.get_figwidth() + 0.01
