import math

import pytest

from landscape_study.landscapes.figures.schedule_figure import (
    ScheduleRecord,
    plot_schedules,
    schedule_sentences,
    schedules_record,
)
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.study import Axis, Grid, Panel

GRID = Grid(alpha=Axis(values=(0.1,)), lambda_=Axis(values=(0.0,)))
RESTARTS = {"kind": "restarts", "t_0": 100}


def panel(name: str, schedule, epochs: int | None = 1500, **fields) -> Panel:
    return Panel(
        name=name,
        pair=name.partition("-")[0].rstrip("r"),
        schedule=schedule,
        epochs=epochs,
        grid=GRID,
        **fields,
    )


@pytest.fixture
def panels():
    return [
        panel("adamwr", RESTARTS, normalized=True),
        panel("sgdwr", RESTARTS, normalized=True),
        panel("adamw", "step", 100),
        panel("adamw-short", "step", 10),
    ]


def test_one_record_per_schedule_and_budget(panels):
    restarts, step, short = schedules_record(panels).schedules
    assert restarts.title == "restarts (T₀ = 100, ×2), 1500 epochs"
    assert restarts.panels == ("AdamWR", "SGDWR")
    assert restarts.ends == (100, 300, 700, 1500)
    assert restarts.ticks == (0, 100, 300, 700, 1500)
    assert step.ticks == (0, 30, 60, 80, 100)
    assert (step.panels, short.panels, short.epochs) == (("AdamW",), ("AdamW, short",), 10)


def test_a_record_jumps_where_the_schedule_does(panels):
    restarts, step, _ = schedules_record(panels).schedules
    eta = dict(restarts.eta)
    assert eta[0.0] == eta[100.0] == eta[700.0] == 1.0
    assert max(t for t in eta if t < 300) == pytest.approx(300)
    assert eta[max(t for t in eta if t < 300)] == pytest.approx(0, abs=1e-12)
    assert eta[max(eta)] == pytest.approx(0, abs=1e-12)  # not back at 1 after the last epoch
    assert {value for _, value in step.eta} == {1.0, 0.1, 0.1**2, 0.1**3}
    assert all(t < step.epochs for t, _ in step.eta)


def test_constant_is_constant():
    (record,) = schedules_record([panel("sgd", "constant", 2)]).schedules
    assert record == ScheduleRecord(
        title="constant, 2 epochs",
        panels=("SGD + L2",),
        epochs=2,
        eta=record.eta,
        ends=(2,),
        ticks=(0.0, 2.0),
    )
    assert {value for _, value in record.eta} == {1.0}


def test_sentences_say_where_cycles_end(panels):
    assert schedule_sentences(panels)[:2] == (
        "AdamWR, SGDWR: restarts (T₀ = 100, ×2), 1500 epochs; cycles end at 100, 300, 700, 1500",
        "AdamW: step, 100 epochs",
    )


def test_drawing_names_the_ends_of_cycles(panels):
    figure = plot_schedules(panels, columns=2)
    restarts, *others = figure.axes
    assert len(others) == 2
    assert restarts.get_title(loc="left") == "restarts (T₀ = 100, ×2), 1500 epochs\nAdamWR, SGDWR"
    assert [int(tick) for tick in restarts.get_xticks()] == [100, 300, 700, 1500]  # 0 is too near
    ends = [line.get_xdata()[0] for line in restarts.lines if line.get_gid() == "end"]
    assert ends == [100, 300, 700, 1500]
    assert [ax.get_ylabel() for ax in figure.axes] == ["η", "", "η"]


def test_crowded_ends_are_named_as_there_is_room():
    figure = plot_schedules([panel("sgd", {"kind": "restarts", "t_0": 1, "t_mult": 1}, 200)])
    ticks = figure.axes[0].get_xticks()
    assert 3 < len(ticks) < 40
    assert ticks[-1] == 200


@pytest.mark.parametrize(("width", "columns"), [("column", 1), ("page", 2), (None, 3)])
def test_columns_by_width(panels, width, columns):
    record = schedules_record(panels, width=width)
    assert record.columns == columns
    assert record.rows == math.ceil(3 / columns)


def test_a_budget_is_needed(panels):
    with pytest.raises(UsageError, match="panel 'sgd' names no budget: give its epochs"):
        plot_schedules([*panels, panel("sgd", "cosine", None)])
    with pytest.raises(UsageError, match="no panels to draw"):
        plot_schedules([])
