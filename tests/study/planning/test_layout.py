"""Layouts: even chunks, devices, and how much the busiest worker has to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape_study.study.planning import layout as layout_module
from landscape_study.study.planning.layout import Layout, panel_chunks
from landscape_study.study.spec.study import Cell
from tests.conftest import make_study

TWO = Layout(("cpu", "cpu"), threads=1, chunk=48)


@given(count=st.integers(0, 400), size=st.integers(1, 64))
def test_every_cell_once_in_few_even_chunks(count: int, size: int):
    cells = [Cell(alpha=k + 1.0, lambda_=0.0) for k in range(count)]
    chunks = panel_chunks(cells, size)
    assert [cell for chunk in chunks for cell in chunk] == cells
    assert len(chunks) == -(-count // size)
    sizes = {len(chunk) for chunk in chunks}
    assert not sizes or (max(sizes) <= size and max(sizes) - min(sizes) <= 1)


def test_a_whole_chunk_is_the_largest_that_there_will_be():
    """Of panels of six cells."""
    for chunk, width in ((48, 6), (6, 6), (5, 3), (4, 3), (2, 2)):
        assert Layout(("cpu",), 1, chunk).width(make_study()) == width


def test_it_need_not_be_the_first():
    """As of 121 cells, which make chunks of 40, 41 and 40."""
    axis = tuple(0.01 * (k + 1) for k in range(11))
    assert Layout(("cpu",), 1, 48).width(make_study(alphas=axis, lambdas=axis)) == 41


class TestBusiest:
    """Two panels of six cells for three epochs."""

    @pytest.mark.parametrize(
        ("workers", "chunk", "cells"),
        [(1, 48, 24), (2, 48, 12), (3, 48, 12), (4, 48, 6), (3, 2, 8)],
    )
    def test_of_a_whole_study(self, workers: int, chunk: int, cells: int):
        layout = Layout(("cpu",) * workers, 1, chunk)
        missing = {"sgd": [6, 6], "adamw": [6, 6]}
        assert layout.busiest(make_study(seeds=2), missing) == 3 * cells

    def test_the_longest_is_taken_first(self):
        """5, 4 and 3 cells, then 3 and 3, make no more than nine for either of two workers."""
        missing = {"sgd": [3, 3, 5], "adamw": [4, 3]}
        assert TWO.busiest(make_study(seeds=3), missing) == 3 * 10

    @given(
        workers=st.integers(1, 9),
        chunk=st.integers(1, 9),
        counts=st.lists(st.integers(0, 6), min_size=1),
    )
    def test_no_less_than_a_fair_share_and_no_more_than_all(
        self, workers: int, chunk: int, counts: list[int]
    ):
        layout = Layout(("cpu",) * workers, 1, chunk)
        busiest = layout.busiest(make_study(), {"sgd": counts, "adamw": [0]})
        assert 3 * sum(counts) / workers <= busiest <= 3 * (sum(counts) / workers + min(chunk, 6))


class TestOthers:
    @pytest.fixture(autouse=True)
    def _four_cores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(layout_module.joblib, "cpu_count", lambda: 4)

    def test_smaller_chunks_and_half_the_workers_with_more_threads(self):
        others = list(Layout(("cpu",) * 4, 1, 48).others(chunks=True, workers=True))
        assert others == [
            Layout(("cpu",) * 4, 1, 24),
            Layout(("cpu",) * 4, 1, 12),
            Layout(("cpu",) * 2, 2, 48),
        ]

    @pytest.mark.parametrize(("chunk", "smaller"), [(48, [24, 12]), (16, [8]), (15, [])])
    def test_chunks_are_not_made_tiny(self, chunk: int, smaller: list[int]):
        others = Layout(("cpu",), 4, chunk).others(chunks=True, workers=True)
        assert [other.chunk for other in others] == smaller

    def test_what_the_user_asked_for_stays(self):
        assert list(TWO.others(chunks=False, workers=False)) == []
