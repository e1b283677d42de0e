"""What commands print, as values and curves."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from landscape_study.study.objectives.measurements import Measurements


def read(lines: list[str], **options: str) -> Measurements:
    found = Measurements("val_loss", **options)
    for line in lines:
        found.read_line(line)
    return found


def test_the_last_line_that_has_the_metric_counts():
    lines = ['{"val_loss": 3}', "noise {", '{"val_loss": 2.5}', '{"acc": 1}', "{'val_loss': 9}"]
    assert read(lines).value == 2.5


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('{"val_loss": "0.25"}', 0.25),
        ('{"val_loss": 1e400}', math.inf),
        ('  {"val_loss": 1}  ', 1.0),
        ('{"val_loss": true}', None),
        ('{"val_loss": null}', None),
        ('{"VAL_LOSS": 1}', None),
        ("[1, 2]", None),
        ("{" * 5000 + "}" * 5000, None),
    ],
)
def test_what_is_a_value(line: str, value: float | None):
    assert read([line]).value == value


def test_nan_is_a_value_that_is_none():
    assert math.isnan(read(['{"val_loss": NaN}']).value)


def test_nested_records_have_names_with_points():
    found = Measurements("eval.loss")
    found.read_line('{"eval": {"loss": 2}}')
    assert found.value == 2


def test_a_pattern_finds_it_in_any_line():
    lines = ["epoch 1: val loss 0.5 (best)", "epoch 2: val loss 0.25", "val loss nothing"]
    assert read(lines, pattern=r"val loss (\S+)").value == 0.25


def test_curves_of_all_numbers_of_its_lines():
    lines = [
        '{"epoch": 1, "val_loss": 3, "acc": 0.1}',
        '{"epoch": 1, "other": 3}',
        '{"epoch": 2, "val_loss": 2}',
    ]
    curves = read(lines).curves()
    assert curves.keys() == {"val_loss", "acc"}
    np.testing.assert_array_equal(curves["val_loss"], np.float32([3, 2]))
    np.testing.assert_array_equal(curves["acc"], np.float32([0.1, np.nan]))


def test_steps_that_are_no_epochs_are_kept():
    curves = read(['{"step": 100, "val_loss": 3}', '{"step": 200, "val_loss": 2}']).curves()
    np.testing.assert_array_equal(curves["step"], np.float32([100, 200]))


def test_a_step_that_is_said_again_takes_the_place_of_the_former():
    lines = [f'{{"epoch": {e}, "val_loss": {v}}}' for e, v in ((1, 9), (2, 8), (2, 7), (3, 6))]
    np.testing.assert_array_equal(read(lines).curves()["val_loss"], np.float32([9, 7, 6]))


def test_of_endless_points_the_last_is_the_value_and_curves_are_thinned_out(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("landscape_study.study.objectives.measurements.MOST_POINTS", 4)
    found = read([f'{{"val_loss": {k}}}' for k in range(1, 25)])
    assert found.value == 24
    np.testing.assert_array_equal(found.curves()["val_loss"], np.float32([1, 9, 17, 24]))
    np.testing.assert_array_equal(found.curves()["step"], np.float32([1, 9, 17, 24]))


def test_one_point_is_no_curve():
    assert read(['{"val_loss": 3}']).curves() == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"val_loss": 4}',
        "4.0\n",
        '[{"val_loss": 5}, {"val_loss": 4}]',
        '{"a": 1}\n{"val_loss": 4}',
    ],
)
def test_a_result_file(tmp_path: Path, text: str):
    (tmp_path / "r.json").write_text(text)
    found = Measurements("val_loss")
    found.read_result(tmp_path / "r.json")
    found.read_result(tmp_path / "none.json")
    assert found.value == 4


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "it printed no JSON line with 'val_loss'"),
        (
            ["epoch 1 Val loss (mean)= 3", "epoch 1: Val loss = 3.5", "val_loss: 4"],
            "it printed no JSON line with 'val_loss'; --pattern 'Val loss = (\\S+)' finds it in "
            "its lines",
        ),
        (['{"loss": 1, "x": 2}'], "it printed no 'val_loss', but 'loss'"),
        ([json.dumps({"q": 1})], "it printed no 'val_loss', only q"),
    ],
)
def test_what_is_lacking_is_told(lines: list[str], said: str):
    assert read(lines).lacking == said


def test_the_pattern_that_is_told_finds_it():
    """Also of a metric whose name means something in patterns."""
    line = "mAP50(B): 0.25"
    found = Measurements("mAP50(B)")
    found.read_line(line)
    pattern = found.lacking.split("'")[3]
    again = Measurements("mAP50(B)", pattern)
    again.read_line(line)
    assert again.value == 0.25
