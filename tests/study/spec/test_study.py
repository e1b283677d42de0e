"""Study, Panel, Grid and Axis: what they accept, refuse, and say when they refuse."""

import math
import re
import time
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from landscape_study.study.errors import SpecError, StudyMismatchError, UsageError
from landscape_study.study.pairs.options import Options, PanelOptions
from landscape_study.study.pairs.registry import PAIRS
from landscape_study.study.pairs.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    InverseSqrt,
    Linear,
    Step,
    WarmRestarts,
    WarmupStableDecay,
)
from landscape_study.study.spec.extension import extended_study
from landscape_study.study.spec.figure_kinds import FIGURE_KINDS
from landscape_study.study.spec.metric import (
    METRICS,
    RECORDED,
    TEST_ERROR,
    TOP5,
    TOP5_ERROR,
    Metric,
    filled,
)
from landscape_study.study.spec.study import Axis, Cell, Figure, Grid, Panel, Study
from landscape_study.study.validation import parse_value, read_toml

EXAMPLE = """
name = "my-study"
task = "digits"
seeds = 3
schedule = "cosine"
epochs = 60
lambda = { base = 0.001, log2 = [-5, 4], zero = true }

[[panel]]
pair = "sgdw"
alpha = { base = 1.0, log2 = [0, -10] }

[[panel]]
pair = "adamw"
name = "adamw-long"
epochs = 600
schedule = { kind = "restarts", t_0 = 100 }
alpha = [0.1, 0.05, 0.025]
lambda = [0]
"""


def table(**changes):
    """A small valid study as TOML would give it."""
    return {
        "name": "mine",
        "task": "digits",
        "panel": [{"pair": "sgd", "alpha": [0.1, 0.2], "lambda": [0, 0.01]}],
    } | changes


def panel_table(**changes):
    """The same, with changes to its panel."""
    return table(panel=[table()["panel"][0] | changes])


def study(**changes):
    return Study.from_dict(table(**changes), "mine.toml")


# Reading


def test_the_example_of_the_module_means_what_it_says():
    read = Study.from_toml(EXAMPLE, "example")
    assert (read.name, read.task, read.seeds, read.batch_size) == ("my-study", "digits", *SEEDS)
    first, second = read.panels
    assert (first.name, first.pair, first.schedule, first.epochs) == ("sgdw",) * 2 + (Cosine(), 60)
    assert first.grid.alpha.values == tuple(2.0**k for k in range(-10, 1))
    assert first.grid.lambda_.values == (0.0, *(0.001 * 2.0**k for k in range(-5, 5)))
    assert first.grid.lambda_.base == 0.001
    assert (second.name, second.pair, second.epochs) == ("adamw-long", "adamw", 600)
    assert second.schedule == WarmRestarts(t_0=100, t_mult=2)
    assert second.grid == Grid(alpha=[0.025, 0.05, 0.1], lambda_=[0.0])
    assert len(first.grid.cells()) == 11 * 11


SEEDS = ((0, 1, 2), None)


def test_what_is_not_given_is_the_papers_or_the_tasks():
    plain = study()
    assert (plain.seeds, plain.batch_size) == ((0,), None)
    assert plain.options == Options(
        momentum=0.9, beta1=0.9, beta2=0.999, eps=1e-8, decay_1d=True, precision="float32"
    )
    assert plain.metric == TEST_ERROR
    assert plain.figure == Figure(kind="heatmaps", columns=None, metrics=("test_error",))
    panel = plain.panels[0]
    assert (panel.name, panel.schedule, panel.epochs) == ("sgd", Cosine(), None)
    assert not panel.normalized


@pytest.mark.parametrize(("seeds", "expected"), [(1, (0,)), (3, (0, 1, 2)), ([7, 2], (2, 7))])
def test_seeds_are_a_count_or_a_list(seeds, expected):
    assert study(seeds=seeds).seeds == expected


@pytest.mark.parametrize("kind", ["constant", "step", "cosine"])
def test_a_schedule_may_be_given_by_its_name(kind):
    named = Study.from_dict(panel_table(schedule=kind), "x")
    assert named == Study.from_dict(panel_table(schedule={"kind": kind}), "x")
    assert named.panels[0].schedule.kind == kind


def test_the_design_of_a_panel_says_which_cells_of_its_grid_it_has():
    plain = Study.from_dict(panel_table(), "x")
    (panel,) = Study.from_dict(panel_table(design="grid"), "x").panels
    assert panel == plain.panels[0]
    assert panel.cells() == panel.grid.cells()
    assert "design" not in panel.to_toml() | panel.settings()  # databases stay as they are
    with pytest.raises(SpecError, match="design"):
        Study.from_dict(panel_table(design="cross"), "x")


def test_error_and_figure_are_read_from_toml():
    text = EXAMPLE.replace(
        "seeds = 3",
        'seeds = 3\nerror = "top5_error"\n'
        'figure = { kind = "anytime", columns = 2, metrics = ["train_loss", "top5_error"] }',
    )
    read = Study.from_toml(text, "example")
    assert read.metric == TOP5_ERROR
    assert read.figure == Figure(kind="anytime", columns=2, metrics=("train_loss", "top5_error"))


def test_a_study_stored_before_there_were_figures_is_still_read():
    written = tomllib.loads(study().to_toml())
    del written["figure"]
    assert "metric" not in written
    assert Study.from_dict(written, "old") == study()


@pytest.mark.parametrize("key", ["panel", "panels"])
def test_panels_inherit_what_the_study_gives_and_they_do_not(key):
    shared = {"schedule": "step", "epochs": 7, "normalized": True, "alpha": [1.0], "lambda": [0.5]}
    own = [{"pair": "sgd"}, {"pair": "adam", "epochs": 9, "alpha": [2.0], "normalized": False}]
    read = Study.from_dict({"name": "x", "task": "t", **shared, key: own}, "x")
    inherited, overriding = read.panels
    assert (inherited.schedule, inherited.epochs, inherited.normalized) == (Step(), 7, True)
    assert inherited.grid == Grid(alpha=[1.0], lambda_=[0.5])
    assert (overriding.schedule, overriding.epochs, overriding.normalized) == (Step(), 9, False)
    assert overriding.grid == Grid(alpha=[2.0], lambda_=[0.5])


def test_from_dict_leaves_its_argument_alone():
    data = table(epochs=5)
    Study.from_dict(data, "x")
    assert data == table(epochs=5)


# Grids


def test_cells_come_by_ascending_alpha_then_lambda():
    grid = Grid(alpha=[0.2, 0.1], lambda_=[0.5, 0.0])
    assert grid.cells() == (Cell(0.1, 0), Cell(0.1, 0.5), Cell(0.2, 0), Cell(0.2, 0.5))


@pytest.mark.parametrize(
    ("first", "last", "zero", "values"),
    [
        (0, -2, False, (0.25, 0.5, 1.0)),
        (-1, 1, True, (0.0, 0.5, 1.0, 2.0)),
        (3, 3, False, (8.0,)),
    ],
)
def test_powers_of_two(first, last, zero, values):
    axis = Axis.log2(1.0, first, last, zero=zero)
    assert axis.values == values
    assert axis.positive == tuple(value for value in values if value)


def test_powers_of_two_are_exact_and_their_exponents_whole():
    axis = Axis.log2(0.001, -100, 100, zero=True)
    assert axis.exponents() == tuple(range(-100, 101))
    assert all(math.frexp(v)[0] == math.frexp(0.001)[0] for v in axis.positive)


@pytest.mark.parametrize(
    ("base", "value", "exponent"),
    [(1.0, 3.0, math.log2(3)), (5e-324, 1e300, 2070.578), (1e300, 5e-324, -2070.578)],
)
def test_exponents_of_far_apart_numbers_neither_overflow_nor_vanish(base, value, exponent):
    (found,) = Axis(values=(value,), base=base).exponents()
    assert found == pytest.approx(exponent, rel=1e-6)


def test_union_holds_both_under_the_first_base():
    union = Axis.log2(0.1, 0, 1).union(Axis(values=(0.0, 0.2, 5.0), base=7.0))
    assert union == Axis(values=(0.0, 0.1, 0.2, 5.0), base=0.1)


def test_minus_zero_is_zero():
    (value,) = Axis(values=(-0.0,)).values
    assert math.copysign(1, value) == 1


def test_a_study_is_frozen_and_hashable():
    one = study()
    with pytest.raises(ValidationError, match="frozen"):
        one.name = "other"
    with pytest.raises(ValidationError, match="frozen"):
        one.panels[0].grid.alpha.values = (1.0,)
    assert hash(one) == hash(study())
    assert len({one, study(), study(name="other")}) == 2


# Round trip

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,8}", fullmatch=True)
POSITIVE = st.floats(min_value=5e-324, allow_infinity=False, exclude_min=False)
EXPONENTS = st.integers(-40, 40)


def listed(elements):
    return st.lists(elements, min_size=1, max_size=5, unique=True).map(lambda v: Axis(values=v))


def axes(*, zero):
    lists = listed(st.one_of(POSITIVE, st.just(0.0)) if zero else POSITIVE)
    based = st.builds(
        lambda axis, base: Axis(values=axis.values, base=base), lists, st.floats(1e-300, 1e300)
    )
    powers = st.builds(
        Axis.log2,
        st.floats(1e-200, 1e200),
        EXPONENTS,
        EXPONENTS,
        zero=st.booleans() if zero else st.just(False),
    )
    return st.one_of(lists, based, powers)


SCHEDULE = st.one_of(
    st.just(Constant()),
    st.builds(
        Step,
        at=st.lists(st.floats(0, 1, exclude_min=True, exclude_max=True), unique=True).map(
            lambda at: tuple(sorted(at))
        ),
        factor=st.floats(0, 1, exclude_min=True, exclude_max=True),
    ),
    st.builds(Cosine, warmup=st.floats(0, 0.9), floor=st.floats(0, 0.9)),
    st.builds(Linear, warmup=st.floats(0, 0.9)),
    st.builds(InverseSqrt, warmup=st.floats(0.1, 0.9)),
    st.builds(
        WarmupStableDecay,
        warmup=st.floats(0, 0.5),
        decay=st.floats(0.1, 0.5),
        shape=st.sampled_from(["linear", "sqrt"]),
    ),
    st.builds(WarmRestarts, t_0=st.integers(1, 10**6), t_mult=st.integers(1, 9)),
)
PANEL = st.builds(
    Panel,
    name=NAMES,
    pair=st.sampled_from(  # with any options
        [name for name in PAIRS if "unscheduled" not in name and "schedulefree" not in name]
    ),
    schedule=SCHEDULE,
    epochs=st.none() | st.integers(1, 10**6),
    batch_size=st.none() | st.integers(1, 10**6),
    options=st.none()
    | st.builds(
        PanelOptions, clip_norm=st.just(math.inf) | POSITIVE, accumulate=st.integers(1, 9)
    ),
    normalized=st.booleans(),
    grid=st.builds(Grid, alpha=axes(zero=False), lambda_=axes(zero=True)),
)
SHARE = st.floats(0, 1, exclude_max=True)
FIGURE = st.builds(
    Figure,
    kind=st.sampled_from(list(FIGURE_KINDS)),
    columns=st.none() | st.integers(1, 12),
    metrics=st.lists(st.sampled_from((*RECORDED, TOP5)), min_size=1, unique=True).map(tuple),
)
STUDY = st.builds(
    dict,
    name=NAMES,
    task=st.text().filter(str.isprintable),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True),
    batch_size=st.none() | st.integers(1, 10**6),
    metric=st.sampled_from(["test_error", "top5_error", "test_loss", "val_acc"]).map(filled),
    figure=FIGURE,
    options=st.builds(
        Options,
        momentum=SHARE,
        beta1=SHARE,
        beta2=SHARE,
        eps=POSITIVE,
        decay_1d=st.booleans(),
        no_decay=st.lists(st.text(min_size=1), max_size=2).map(tuple),
        clip_norm=st.just(math.inf) | POSITIVE,
        accumulate=st.integers(1, 100),
        precision=st.sampled_from(["float32", "float64"]),
    ),
    panels=st.lists(PANEL, min_size=1, max_size=3, unique_by=lambda panel: panel.name),
).map(Study.model_validate)


def _with(line: str, text: str) -> str:
    """A study file with this line in the place of its own of that name."""
    own = line.partition(" =")[0]
    kept = re.sub(rf"^{own} = (\[\n(    .*\n)*\]|.*)\n", "", text, flags=re.MULTILINE)
    return f"{line}\n{kept}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seeds = 3000000000", "seeds: more seeds than 10000: give fewer"),
        ("seeds = " + "9" * 5000, "broken TOML"),
        ("x = " + "[" * 5000, "nested too deeply to be a study"),
        ("# " + "]" * 9000 + "\nx = " + "[" * 5000, "nested too deeply to be a study"),
        ("batch_size = 1" + "0" * 30, "batch_size: Input should be less than or equal to"),
        ("batch_size = '" + "9" * 9000 + "'", "…"),
        ('task = "\\u001b]0;"', "task: '\\x1b]0;' names no task: it holds unprintable characters"),
    ],
    ids=["seeds", "digits", "depth", "depth after others", "batch size", "long", "unprintable"],
)
def test_what_is_far_too_much_is_told_before_it_is_built(line: str, message: str):
    began = time.monotonic()
    with pytest.raises(SpecError) as caught:
        Study.from_toml(_with(line, study().to_toml()), "here")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert time.monotonic() - began < 1


def test_a_study_has_at_most_a_million_cells():
    axis = {"log2": [-100, 100]}
    with pytest.raises(SpecError, match=r"40401000 cells are more than 1000000: make several"):
        study(seeds=1000, panel=[{"pair": "sgd", "alpha": axis, "lambda": axis}])


def test_values_that_differ_by_rounding_are_one():
    axis = Axis(values=(0.1 * 3, 0.3, 0.7))
    assert axis.values == (0.3, 0.7)
    assert axis.union(Axis(values=(0.1 * 7, 0.9))).values == (0.3, 0.7, 0.9)


@pytest.mark.slow
@settings(max_examples=300)
@given(STUDY)
def test_every_study_survives_toml_to_the_bit(original):
    text = original.to_toml()
    read = Study.from_toml(text, "round trip")
    assert read == original
    assert hash(read) == hash(original)
    assert read.to_toml() == text
    for before, after in zip(original.panels, read.panels, strict=True):
        assert before.grid.cells() == after.grid.cells()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair_and_schedule_survives_toml(pair, schedule):
    chosen = {"kind": schedule} | ({"t_0": 3} if schedule == "restarts" else {})
    original = Study.from_dict(panel_table(pair=pair, schedule=chosen), "x")
    assert Study.from_toml(original.to_toml(), "x") == original


@pytest.mark.parametrize(
    ("axis", "written"),
    [
        (Axis.log2(0.001, -2, 3, zero=True), {"base": 0.001, "log2": [-2, 3], "zero": True}),
        (Axis(values=(0.5, 1.0, 2.0)), {"base": 1.0, "log2": [-1, 1], "zero": False}),
        (Axis(values=(0.5, 2.0)), {"base": 1.0, "values": [0.5, 2.0]}),
        (Axis(values=(0.0,)), {"base": 1.0, "values": [0.0]}),
        (Axis(values=(0.1, 0.3), base=0.1), {"base": 0.1, "values": [0.1, 0.3]}),
    ],
)
def test_axes_are_written_as_powers_where_they_are(axis, written):
    assert axis.to_toml() == written


def test_a_file_is_read_and_named(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    assert Study.from_file(path) == Study.from_toml(EXAMPLE, "x")
    path.write_text(EXAMPLE.replace('"sgdw"', '"sgdx"'), encoding="utf-8")
    with pytest.raises(SpecError, match=re.escape(f"{path}: panel 1, pair: unknown pair 'sgdx'")):
        Study.from_file(path)


# Refusals: where, what was found, what was expected

KNOWN_PAIRS = "choose one of lion-l2, lion-decoupled, lion-scaled, lion-unscheduled, "
KNOWN_SCHEDULES = "choose one of constant, step, cosine, linear, inverse-sqrt, wsd, restarts"

WRONG_PANELS = {
    "unknown pair": (
        {"pair": "lion"},
        f"pair: pair 'lion' does not say where λ enters: {KNOWN_PAIRS}",
    ),
    "no pair": (
        {"pair": "lino-scaled"},
        "pair: unknown pair 'lino-scaled': did you mean lion-scaled",
    ),
    "normalized without a schedule": (
        {"pair": "adam-unscheduled", "normalized": True},
        "normalized: λ of pair 'adam-unscheduled' follows no schedule",
    ),
    "pair no text": ({"pair": 5}, "pair: Input should be a valid string, found 5"),
    "unknown schedule": (
        {"schedule": "poly"},
        f"schedule: unknown schedule 'poly': {KNOWN_SCHEDULES}",
    ),
    "unknown schedule in a table": (
        {"schedule": {"kind": "poly"}},
        f"schedule: unknown schedule 'poly': {KNOWN_SCHEDULES}",
    ),
    "schedule without kind": (
        {"schedule": {"t_0": 5}},
        f"schedule: unknown schedule None: {KNOWN_SCHEDULES}",
    ),
    "a warmup longer than the first cycle": (
        {"schedule": {"kind": "restarts", "t_0": 2, "warmup": 0.3}, "epochs": 10},
        "epochs: a warmup of 0.3 of 10 epochs is no part of a first cycle of 2: make it shorter",
    ),
    "a warmup that is all": (
        {"schedule": {"kind": "linear", "warmup": 1}},
        "schedule, linear, warmup: Input should be less than 1, found 1",
    ),
    "schedule a number": ({"schedule": 5}, f"schedule: unknown schedule 5: {KNOWN_SCHEDULES}"),
    "restarts without t_0": (
        {"schedule": "restarts"},
        "schedule: restarts need t_0: write { kind =",
    ),
    "schedule option unknown": (
        {"schedule": {"kind": "cosine", "t_0": 5}},
        "schedule, cosine, t_0: unknown key: remove it or correct its spelling",
    ),
    "schedule fractions": (
        {"schedule": {"kind": "step", "at": [30, 60]}},
        "schedule, step, at: [30.0, 60.0] are not ascending fractions of the budget between 0 "
        "and 1, such as [0.3, 0.6, 0.8]",
    ),
    "alpha zero": ({"alpha": [0.0, 0.1]}, "alpha: 0 is no learning rate"),
    "alpha zero by powers": (
        {"alpha": {"log2": [0, 1], "zero": True}},
        "alpha: 0 is no learning rate",
    ),
    "alpha negative": ({"alpha": [-0.1]}, "alpha: -0.1 is not a finite number of 0 or"),
    "alpha nan": ({"alpha": [math.nan]}, "alpha: nan is not a finite number of 0 or more"),
    "alpha inf": ({"alpha": [0.1, math.inf]}, "alpha: inf is not a finite number"),
    "alpha twice": ({"alpha": [0.1, 0.2, 0.1]}, "alpha: 0.1 stands there more than once"),
    "alpha none": ({"alpha": []}, "alpha: no values: give at least one"),
    "alpha a word": (
        {"alpha": "0.1"},
        "alpha: '0.1' is no axis: give a list such as [0.1, 0.05], or a table such as",
    ),
    "alpha one number": ({"alpha": 0.1}, "alpha: 0.1 is no axis: give a list such as [0.1, 0.05]"),
    "alpha of words": (
        {"alpha": [0.2, "0.1"]},
        "alpha 2: Input should be a valid number, found '0.1'",
    ),
    "alpha true": ({"alpha": [True]}, "alpha 1: Input should be a valid number, found Tr"),
    "alpha missing": ({"alpha": None}, "alpha: None is no axis"),
    "alpha of many": ({"alpha": [k / 7 for k in range(1, 1002)]}, "alpha: 1001 values are more"),
    "epochs of years": (
        {"epochs": 10**9},
        "epochs: Input should be less than or equal to 1000000",
    ),
    "lambda negative": ({"lambda": [-1e-9]}, "lambda: -1e-09 is not a finite number"),
    "lambda nan": ({"lambda": [0.0, math.nan]}, "lambda: nan is not a finite number"),
    "lambda twice zero": ({"lambda": [0, 0.0, -0.0]}, "lambda: 0.0 stands there more tha"),
    "lambda misspelled": ({"lamda": 0}, "lamda: unknown key: remove it or correct its spelling"),
    "base negative": (
        {"alpha": {"base": -1, "log2": [0, 1]}},
        "alpha: base = -1 is not a positive number",
    ),
    "base of a list": (
        {"alpha": {"base": 0.0, "values": [1]}},
        "alpha, base: Input should be greater than 0, found 0.0",
    ),
    "base a word": (
        {"alpha": {"base": "1", "log2": [0, 1]}},
        "alpha: base = '1' is not a positive number",
    ),
    "exponents not whole": (
        {"alpha": {"log2": [0, 1.5]}},
        "alpha: log2 = [0, 1.5] is not a pair of whole exponents such as [0, -10]",
    ),
    "exponents not two": (
        {"alpha": {"log2": [0, 1, 2]}},
        "alpha: log2 = [0, 1, 2] is not a pair of whole exponents such as [0, -10]",
    ),
    "exponents too many": (
        {"alpha": {"log2": [0, 10**9]}},
        "alpha: log2 = [0, 1000000000] is not a pair of whole exponents",
    ),
    "powers beyond floats": (
        {"alpha": {"base": 1e300, "log2": [0, 200]}},
        "alpha: base = 1e+300 with log2 = [0, 200] is beyond any number",
    ),
    "base beyond floats": (
        {"alpha": {"base": 10**400, "log2": [0, 1]}},
        "with log2 = [0, 1] is beyond any number",
    ),
    "zero no truth value": (
        {"lambda": {"log2": [0, 1], "zero": 1}},
        "lambda: zero = 1 is neither true nor false",
    ),
    "powers and list": (
        {"alpha": {"log2": [0, 1], "values": [1.0]}},
        "alpha: both values and log2: give one of them",
    ),
    "unknown key of an axis": (
        {"alpha": {"log2": [0, 1], "step": 2}},
        "alpha, step: unknown key: remove it or correct its spelling",
    ),
    "epochs 0": ({"epochs": 0}, "epochs: Input should be greater than or equal to 1, found 0"),
    "epochs negative": ({"epochs": -5}, "epochs: Input should be greater than or equal to 1, fou"),
    "epochs half": ({"epochs": 1.5}, "epochs: Input should be a valid integer, found 1.5"),
    "epochs a word": ({"epochs": "60"}, "epochs: Input should be a valid integer, found '60'"),
    "epochs true": ({"epochs": True}, "epochs: Input should be a valid integer, found True"),
    "normalized a word": (
        {"normalized": "yes"},
        "normalized: Input should be a valid boolean, found 'yes'",
    ),
    "name with spaces": (
        {"name": "my panel"},
        "name: 'my panel' is no name: use letters, digits, '.', '_', '+' and '-', starting with",
    ),
    "name with a slash": ({"name": "a/b"}, "name: 'a/b' is no name"),
    "name empty": ({"name": ""}, "name: '' is no name"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG_PANELS.values(), ids=WRONG_PANELS)
def test_an_impossible_panel_is_refused(changes, message):
    with pytest.raises(SpecError, match=re.escape(message)) as caught:
        Study.from_dict(panel_table(**changes), "mine.toml")
    assert f"mine.toml: panel 1, {message}" in str(caught.value) or message.startswith("with")
    assert isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    ("pair", "options", "message"),
    [
        ("schedulefree-sgd-scaled", {"momentum": 0.0}, "needs momentum above 0"),
        ("schedulefree-adam-decoupled", {"beta1": 0.0}, "needs beta1 above 0"),
    ],
)
def test_a_mean_needs_momentum(pair: str, options: dict, message: str):
    other = {"momentum": 0.0, "beta1": 0.0} | dict.fromkeys(options, 0.9)
    assert Study.from_dict(panel_table(pair=pair) | {"options": other}, "mine.toml")
    with pytest.raises(SpecError, match=f"mine.toml: panel '{pair}': pair '{pair}' {message}"):
        Study.from_dict(panel_table(pair=pair) | {"options": options}, "mine.toml")
    with pytest.raises(SpecError, match=message):
        Study.from_dict(panel_table(pair=pair, options=options), "mine.toml")
    (option,) = options
    axes = {"pair": pair, "alpha": 0.1, "lambda": [0.1, 0.2]}
    for least, is_right in ((0.5, True), (0.0, False)):
        asked = {"name": "a", "task": "digits", "panel": [axes | {option: [least, 0.9]}]}
        if is_right:
            assert Study.from_dict(asked, "mine.toml")
            continue
        with pytest.raises(SpecError, match=message):
            Study.from_dict(asked, "mine.toml")


WRONG_STUDIES = {
    "name missing": ({"name": None}, "name: Input should be a valid string, found None"),
    "name with a newline": ({"name": "a\n"}, "name: 'a\n' is no name"),
    "no panels": ({"panel": []}, "no panels: give at least one [[panel]] with its pair"),
    "panel no list": ({"panel": 5}, "panel: Input should be a valid tuple, found 5"),
    "panel no table": ({"panel": ["sgd"]}, "panel 1: Input should be a valid dictionary or insta"),
    "panels of one name": (
        {"panel": table()["panel"] * 2},
        "2 panels are called 'sgd': give each its own name",
    ),
    "seeds 0": ({"seeds": 0}, "seeds: 0 seeds: give at least 1"),
    "seeds negative": ({"seeds": [-1]}, "seeds 1: Input should be greater than or equal to 0"),
    "seeds beyond 32 bits": ({"seeds": [2**32]}, "seeds 1: Input should be less than 4294967296"),
    "seeds twice": ({"seeds": [1, 1]}, "seeds: [1, 1] are not distinct seeds such as [0, 1, 2]"),
    "seeds none": ({"seeds": []}, "seeds: [] are not distinct seeds such as [0, 1, 2]"),
    "seeds of words": ({"seeds": ["a"]}, "seeds 1: Input should be a valid integer, found 'a'"),
    "seeds true": ({"seeds": True}, "seeds: Input should be a valid tuple, found True"),
    "batch size 0": ({"batch_size": 0}, "batch_size: Input should be greater than or equal to 1"),
    "batch size a word": ({"batch_size": "50"}, "batch_size: Input should be a valid integer, fo"),
    "unknown key": ({"sedes": 3}, "sedes: unknown key: remove it or correct its spelling"),
    "unknown option": ({"options": {"beta3": 0.1}}, "options, beta3: unknown key: remove it or"),
    "beta 1": ({"options": {"beta1": 1.0}}, "options, beta1: Input should be less than 1, found"),
    "momentum nan": ({"options": {"momentum": math.nan}}, "options, momentum: Input should be"),
    "eps 0": ({"options": {"eps": 0}}, "options, eps: Input should be greater than 0, found 0"),
    "precision": (
        {"options": {"precision": "bf16"}},
        "options, precision: Input should be 'float32' or 'float64', found 'bf16'",
    ),
    "no_decay as text": (
        {"options": {"no_decay": "*.bias"}},
        "options, no_decay: '*.bias' is no list of patterns: write [\"*.bias\"]",
    ),
    "clip_norm": ({"options": {"clip_norm": 0}}, "options, clip_norm: Input should be greater"),
    "accumulate": ({"options": {"accumulate": 0}}, "options, accumulate: Input should be greater"),
    "decay_1d": ({"options": {"decay_1d": "no"}}, "options, decay_1d: Input should be a valid bo"),
    "metric of no name": (
        {"metric": {"goal": "maximize"}},
        "metric, name: missing: please give it",
    ),
    "goal": (
        {"metric": {"name": "accuracy", "goal": "up"}},
        "metric, goal: Input should be 'minimize' or 'maximize', found 'up'",
    ),
    "matters": (
        {"metric": {"name": "test_loss", "matters": 0}},
        "metric, matters: Input should be greater than 0, found 0",
    ),
    "unknown key of the metric": (
        {"metric": {"name": "accuracy", "aim": "up"}},
        "metric, aim: Unexpected keyword argument, found 'up'",
    ),
    "metric": ({"metric": 3}, "metric: Input should be a dictionary or an instance of Metric, f"),
    "figure kind": (
        {"figure": {"kind": "pie"}},
        "figure, kind: Input should be 'heatmaps', 'slices', 'generalization', 'anytime', "
        "'schedule', 'mechanism' or 'law', found 'pie'",
    ),
    "figure columns": (
        {"figure": {"columns": 0}},
        "figure, columns: Input should be greater than or equal to 1, found 0",
    ),
    "figure metric twice": (
        {"figure": {"metrics": ["test_loss", "test_loss"]}},
        "figure, metrics: ['test_loss', 'test_loss']: give names of metrics",
    ),
    "figure metrics none": (
        {"figure": {"metrics": []}},
        "figure, metrics: []: give names of metrics that are recorded",
    ),
    "figure key": ({"figure": {"colour": "red"}}, "figure, colour: unknown key: remove it or"),
    "figure a word": ({"figure": "heatmaps"}, "figure: Input should be a valid dictionary or"),
    "inherited schedule": ({"schedule": "poly"}, "panel 1, schedule: unknown schedule 'poly'"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG_STUDIES.values(), ids=WRONG_STUDIES)
def test_an_impossible_study_is_refused(changes, message):
    with pytest.raises(SpecError, match=re.escape(f"mine.toml: {message}")):
        study(**changes)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("name", "mine.toml: name: missing: please give it"),
        ("task", "mine.toml: task: missing: please give it"),
        ("panel", "mine.toml: panel: missing: please give it"),
    ],
)
def test_what_a_study_cannot_do_without(lost, message):
    data = table()
    del data[lost]
    with pytest.raises(SpecError) as caught:
        Study.from_dict(data, "mine.toml")
    assert str(caught.value) == message


@pytest.mark.parametrize("lost", ["pair", "alpha", "lambda"])
def test_what_a_panel_cannot_do_without(lost):
    data = table()
    del data["panel"][0][lost]
    with pytest.raises(SpecError) as caught:
        Study.from_dict(data, "mine.toml")
    assert str(caught.value) == f"mine.toml: panel 1, {lost}: missing: please give it"


def test_everything_wrong_is_told_at_once_each_with_its_panel():
    good, bad = table()["panel"][0], {"pair": "x", "alpha": [0], "lambda": [1], "epochs": 0}
    with pytest.raises(SpecError) as caught:
        study(panel=[good, bad], seeds=0)
    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()] == [
        ["mine.toml", "seeds"],
        ["mine.toml", "panel 2, pair"],
        ["mine.toml", "panel 2, epochs"],
        ["mine.toml", "panel 2, alpha"],
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [('name = "a"\ntask = \n', 2), ('name = "a"\nname = "b"\n', 2), ("a = 1\n\n[[panel\n", 3)],
)
def test_broken_toml_names_its_line(text, line):
    with pytest.raises(SpecError, match=rf"mine\.toml: broken TOML: .*\(at line {line}, column"):
        Study.from_toml(text, "mine.toml")


def test_a_file_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "none.toml"
    with pytest.raises(SpecError, match=r"none\.toml: cannot be read \(No such file or directory"):
        read_toml(path)


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"binary\.toml: no text in UTF-8, so no study file"):
        read_toml(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[0.1, 0.2]", [0.1, 0.2]),
        ("{ base = 1, log2 = [0, -3] }", {"base": 1, "log2": [0, -3]}),
    ],
)
def test_an_axis_of_the_command_line_is_read_as_in_a_file(text, expected):
    assert parse_value(text, "--alpha") == expected


@pytest.mark.parametrize("text", ["[0.1,", "1/2", ""])
def test_a_broken_axis_of_the_command_line_is_told(text):
    with pytest.raises(SpecError, match=r"^--alpha: broken TOML: "):
        parse_value(text, "--alpha")


def test_an_unknown_panel_is_told():
    assert study().panel("sgd").pair == "sgd"
    with pytest.raises(SpecError, match="study 'mine' has no panel 'adam': it has sgd"):
        study().panel("adam")


# Changing


def test_resolve_fills_only_what_was_left_to_the_task():
    panels = [{"pair": "sgd", "epochs": 7}, {"pair": "adam"}]
    shared = {"alpha": [0.1], "lambda": [0]}
    resolved = study(panel=panels, **shared).resolve(batch_size=50, epochs=60)
    assert (resolved.batch_size, [p.epochs for p in resolved.panels]) == (50, [7, 60])
    assert resolved.resolve(batch_size=1, epochs=1) == resolved


def test_change_panels_changes_all_and_validates():
    changed = study().change_panels(epochs=5, normalized=True)
    assert [(p.epochs, p.normalized) for p in changed.panels] == [(5, True)]
    with pytest.raises(SpecError, match="study 'mine': panel 1, epochs: Input should be greater"):
        study().change_panels(epochs=0)


# Merging what is asked into what is stored


def grown(**changes):
    return Study.from_dict(panel_table(**changes), "asked")


def test_merge_with_itself_changes_nothing():
    assert study().merge(study(), "db") == study()


def test_merge_adds_seeds_panels_and_grid_values():
    asked = study(
        seeds=[5, 1],
        panel=[
            {"pair": "adam", "alpha": [0.01], "lambda": [0.5]},
            {"pair": "sgd", "alpha": [0.2, 0.4], "lambda": [0.02]},
        ],
    )
    merged = study(seeds=2).merge(asked, "db")
    assert merged.seeds == (0, 1, 5)
    assert [panel.name for panel in merged.panels] == ["sgd", "adam"]
    assert merged.panels[0].grid == Grid(alpha=[0.1, 0.2, 0.4], lambda_=[0, 0.01, 0.02])
    assert merged.panels[1] == asked.panels[0]


def test_who_asks_for_less_of_the_axes_leaves_a_sampler_its_trials():
    """The file of a study that was extended says what they were before."""
    before = study().change_panels(design={"sampler": "tpe", "trials": 60})
    name = before.panels[0].name
    longer = extended_study(before, [(name, "alpha-high")])
    more = longer.panels[0].sampled
    assert more is not None
    assert more.trials > 60
    assert longer.merge(before, "db").panels[0].sampled == more
    larger = before.change_panels(design={"sampler": "tpe", "trials": 500})
    assert longer.merge(larger, "db").panels[0].design == larger.panels[0].design
    fewer = before.change_panels(design={"sampler": "tpe", "trials": 40})
    assert before.merge(fewer, "db").panels[0].design == fewer.panels[0].design


def test_merge_never_shrinks():
    small = study(panel=[{"pair": "sgd", "alpha": [0.1], "lambda": [0]}])
    large = study(seeds=3, panel=[*table()["panel"], {**table()["panel"][0], "pair": "adam"}])
    assert large.merge(small, "db") == large


def test_merge_keeps_what_is_stored_when_only_the_axis_title_differs():
    asked = grown(alpha={"base": 0.1, "values": [0.1, 0.2]})
    assert study().merge(asked, "db") == study()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("test_loss", METRICS["test_loss"]),
        ("val_loss", Metric("val_loss", "val_loss")),
        ({"name": "val_loss", "unit": "nats"}, Metric("val_loss", "val_loss", "nats")),
        ({"name": "f1", "goal": "maximize"}, Metric("f1", "f1", goal="maximize")),
        ({"name": "test_error", "matters": 0.5}, replace(TEST_ERROR, matters=0.5)),
        ({"name": "r2", "title": "R²", "matters": 1e-3}, Metric("r2", "R²", matters=1e-3)),
    ],
)
def test_a_metric_is_a_name_or_a_table_and_survives_toml(written, read):
    asked = study(metric=written)
    assert asked.metric == read
    assert Study.from_toml(asked.to_toml(), "x") == asked


COMMAND = ["python", "train.py", "{alpha}", "{lambda}"]


def test_a_command_has_labels_for_pairs_and_survives_toml():
    panels = [{"pair": "my optimizer", "name": "a"}, {"pair": "Lion 🦁", "name": "b"}]
    axes = {"alpha": [0.1, 0.2], "lambda": [0.0]}
    written = {"name": "x", "command": COMMAND, "metric": "val_loss", "panel": panels} | axes
    read = Study.from_dict(written, "x")
    assert read.task == "command"
    assert [panel.is_labelled for panel in read.panels] == [True, True]
    assert Study.from_toml(read.to_toml(), "x") == read
    assert read.merge(read.change(seeds=3), "db").seeds == (0, 1, 2)


def test_a_command_without_panels_has_one():
    written = {"name": "x", "command": COMMAND, "metric": "m", "alpha": [1.0], "lambda": [0.0]}
    assert [panel.name for panel in Study.from_dict(written, "x").panels] == ["command"]


FUNCTION = {"name": "x", "task": "a.py:train", "function": True, "metric": "val_loss"}
CELLS = {"alpha": [0.1, 0.2], "lambda": [0.0]}


def test_a_function_has_labels_for_pairs_and_survives_toml():
    read = Study.from_dict(
        FUNCTION | CELLS | {"panel": [{"pair": "my optimizer", "name": "a"}]}, "x"
    )
    assert (read.has_objective, read.panels[0].is_labelled) == (True, True)
    assert read.training == "Function a.py:train"
    assert Study.from_toml(read.to_toml(), "x") == read
    assert read.merge(read.change(seeds=3), "db").seeds == (0, 1, 2)
    assert [panel.pair for panel in Study.from_dict(FUNCTION | CELLS, "x").panels] == ["function"]


def test_a_study_without_a_function_says_nothing_of_it():
    assert "function" not in study().to_toml()


def test_a_study_may_change_what_trains_it():
    function = study(metric="test_loss").change(task="a.py:train", function=True)
    assert all(panel.is_labelled for panel in function.panels)
    back = function.change(task="a.py:task", function=False)
    assert not any(panel.is_labelled for panel in back.panels)
    with pytest.raises(StudyMismatchError, match="function = True, this asks for False"):
        function.merge(function.change(function=False), "db")
    with pytest.raises(SpecError, match="unknown pair 'mine'"):
        Study.from_dict(FUNCTION | CELLS | {"panel": [{"pair": "mine"}]}, "x").change(
            function=False
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "digits"}, "'digits' is no function of yours: name it as task = \"package"),
        ({"metric": None}, 'no metric: say what is measured, as in metric = "val_loss"'),
        ({"function": "yes"}, "function: "),
        ({"panel": 5}, "panel: "),
        ({"panel": [5]}, "panel 1: "),
    ],
)
def test_a_function_that_cannot_be_is_refused(fields: dict, message: str):
    with pytest.raises(SpecError, match=re.escape(message)):
        Study.from_dict(FUNCTION | CELLS | fields, "x")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"command": []}, "command: no command: give the words of one"),
        ({"command": "a {alpha}"}, "command: no shell takes 'a {alpha}' apart: write its words"),
        ({"command": ["a", "{alpha}"]}, "command: the command has no {lambda}"),
        (
            {"command": ["a", "{lambda} {alpah}"]},
            "{alpah} is no placeholder: did you mean {al",
        ),
        ({"pattern": "loss=(.*"}, "pattern: 'loss=(.*' is no regular expression"),
        ({"pattern": "loss=.*"}, "pattern: 'loss=.*' has 0 groups: put the number in one"),
    ],
)
def test_a_command_that_cannot_be_is_refused(fields: dict, message: str):
    written = {"name": "x", "command": COMMAND, "metric": "m", "alpha": [1.0], "lambda": [0.0]}
    with pytest.raises(SpecError, match=re.escape(message)):
        Study.from_dict(written | fields, "x")


@pytest.mark.parametrize(
    "asked",
    [
        {"batch_size": 32},
        {"options": {"momentum": 0.5}},
        {"epochs": 30},
        {"schedule": "step"},
        {"normalized": True},
    ],
    ids=lambda asked: next(iter(asked)),
)
@pytest.mark.parametrize("kind", ["function", "command"])
def test_what_an_objective_would_never_hear_of_is_refused(kind: str, asked: dict):
    own = {"function": FUNCTION, "command": {"name": "x", "command": COMMAND, "metric": "m"}}
    (name,) = asked
    with pytest.raises(SpecError, match=f"x: {name}: the {kind} decides that itself: leave it"):
        Study.from_dict(own[kind] | CELLS | asked, "x")


@pytest.mark.parametrize("name", ["alpha", "state", "seconds", "epoch"])
def test_a_metric_that_would_be_another_column_is_refused(name: str):
    told = f"metric: '{name}' is another column of all tables: .* as {name}_measured"
    with pytest.raises(SpecError, match=told):
        Study.from_dict(FUNCTION | CELLS | {"metric": name}, "x")


@pytest.mark.parametrize("kind", ["function", "command"])
def test_the_file_of_an_objective_says_nothing_of_training_that_is_not_known(kind: str):
    own = {"function": FUNCTION, "command": {"name": "x", "command": COMMAND, "metric": "m"}}
    asked = Study.from_dict(own[kind] | CELLS, "x")
    written = asked.to_toml()
    assert Study.from_toml(written, "x") == asked
    for word in ("momentum", "schedule", "cosine", "normalized", "precision"):
        assert word not in written


def test_former_versions_called_the_metric_error():
    assert study(error="top5_error") == study(metric="top5_error")


def test_what_matters_may_change_and_stays_where_nobody_says():
    asked = study(metric={"name": "test_error", "matters": 1.0})
    assert study().merge(asked, "db").metric.matters == 1.0
    assert asked.merge(study(), "db").metric.matters == 1.0


def test_merge_draws_as_asked():
    asked = study(figure={"kind": "slices", "columns": 3})
    assert study().merge(asked, "db").figure == asked.figure
    assert asked.merge(study(), "db") == study()


REFUSED = {
    "metric": (study(metric="top5_error"), "metric = 'test_error', this asks for 'top5_error'"),
    "goal": (
        study(metric={"name": "test_error", "goal": "maximize"}),
        "goal = 'minimize', this asks for 'maximize'",
    ),
    "task": (study(task="other"), "task = 'digits', this asks for 'other'"),
    "batch size": (study(batch_size=7), "batch_size = None, this asks for 7"),
    "options": (study(options={"momentum": 0.5}), "options = { momentum = 0.9, beta1 = 0.9,"),
    "precision": (study(options={"precision": "float64"}), "precision = 'float64', bf16"),
    "pair": (grown(name="sgd", pair="adam"), "panel 'sgd': pair = 'sgd', this asks for 'adam'"),
    "schedule": (
        grown(schedule="constant"),
        "panel 'sgd': schedule = { kind = 'cosine' }, this asks for { kind = 'constant' }",
    ),
    "epochs": (grown(epochs=9), "panel 'sgd': epochs = None, this asks for 9"),
    "normalized": (grown(normalized=True), "panel 'sgd': normalized = False, this asks for True"),
}


@pytest.mark.parametrize(("asked", "message"), REFUSED.values(), ids=REFUSED)
def test_merge_refuses_what_would_mix_results(asked, message):
    with pytest.raises(StudyMismatchError, match=re.escape(message)) as caught:
        study().merge(asked, "results/my.db")
    told = str(caught.value)
    assert told.startswith("results/my.db: study 'mine' was run with ")
    assert told.endswith("choose another --name, or ask for the same")


def _designed(design: object) -> Study:
    """A study of a cheap and a dear panel; the design is the dear one's."""
    axes = {"alpha": [0.1, 0.2, 0.4], "lambda": [0.01, 0.02, 0.04]}
    panels = [{"pair": "sgd", "name": name, **axes} for name in ("cheap", "other", "dear")]
    return study(panel=[*panels[:2], panels[2] | {"design": design}])


TPE = {"sampler": "tpe", "trials": 60}
BEST = {"best_of": "cheap", "share": 0.3}
OTHER_DESIGNS = {
    "grid": (TPE, "grid", "design = { sampler = 'tpe', trials = 60, zero = 0.1, seed = 0 }"),
    "sampler": (TPE, TPE | {"sampler": "qmc"}, "{ sampler = 'qmc', zero = 0.1, seed = 0 }"),
    "seed": (TPE, TPE | {"seed": 1}, "zero = 0.1, seed = 1 }: choose another --name"),
    "zero": (TPE, TPE | {"zero": 0.5}, "zero = 0.5, seed = 0 }: choose another --name"),
    "best cells": (TPE, BEST, "this asks for { best_of = 'cheap' }: choose"),
    "from best cells": (BEST, TPE, "design = { best_of = 'cheap' }, this asks for { sampler"),
    "of others": (BEST, BEST | {"best_of": "other"}, "this asks for { best_of = 'other' }"),
}


@pytest.mark.parametrize(("before", "after", "told"), OTHER_DESIGNS.values(), ids=OTHER_DESIGNS)
def test_what_began_with_one_design_does_not_go_on_with_another(before, after, told):
    with pytest.raises(StudyMismatchError, match=re.escape(told)):
        _designed(before).merge(_designed(after), "db")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (TPE, TPE | {"trials": 90}),
        (BEST, BEST | {"share": 0.5}),
        ({"sampler": "verdict", "trials": 60}, {"sampler": "verdict", "trials": 60, "until": 80}),
        ("grid", TPE),
        ("grid", BEST),
    ],
)
def test_a_design_may_ask_for_more(before, after):
    assert _designed(before).merge(_designed(after), "db") == _designed(after)


def test_merge_refuses_other_options_of_the_same_schedule():
    steps = [grown(schedule={"kind": "step", "factor": factor}) for factor in (0.1, 0.2)]
    with pytest.raises(StudyMismatchError, match=r"factor = 0\.1 }, this asks for .*0\.2 }"):
        steps[0].merge(steps[1], "db")


def test_toml_of_a_study_is_plain_toml():
    parsed = tomllib.loads(study().to_toml())
    assert parsed["panel"][0]["lambda"] == {"base": 1.0, "values": [0.0, 0.01]}
    assert "batch_size" not in parsed


# The metric that the task has


MAE = Metric("mae", "mean absolute error", unit="mg", goal="minimize")
SHARE = Metric("exact", "exact matches", goal="maximize", matters=0.01)
TEN = {"batch_size": 10, "epochs": 10}


@pytest.mark.parametrize(
    ("named", "measured"),
    [
        ({}, MAE),  # the first one
        ({"metric": "mae"}, MAE),
        ({"metric": "exact"}, SHARE),
        ({"metric": {"name": "exact", "matters": 0.5}}, replace(SHARE, matters=0.5)),
        ({"metric": {"name": "mae", "title": "loss"}}, replace(MAE, title="loss")),
        ({"metric": "test_error"}, TEST_ERROR),
        ({"metric": "other"}, Metric("other", "other")),  # the plan refuses it
    ],
)
def test_what_a_study_leaves_open_of_its_metric_the_task_says(named, measured):
    asked = study(**named)
    changed = asked.change(name="x").change_panels(normalized=True)
    assert changed.names_metric == asked.names_metric == bool(named)
    resolved = changed.resolve(**TEN, metrics=[MAE, SHARE, TEST_ERROR])
    assert resolved.metric == measured
    assert Study.from_toml(resolved.to_toml(), "x") == resolved
    assert resolved.resolve(**TEN, metrics=[SHARE, MAE]) == resolved


def test_what_matters_is_left_as_it_was_by_who_says_nothing_of_it():
    stored = study(metric={"name": "mae", "matters": 3}).resolve(**TEN, metrics=[MAE])
    again = study().resolve(**TEN, metrics=[MAE])
    assert again.metric.matters is None
    assert stored.merge(again, "db").metric == stored.metric
    other = study(metric={"name": "mae", "matters": 2}).resolve(**TEN, metrics=[MAE])
    assert stored.merge(other, "db").metric.matters == 2


def test_a_pair_by_its_whole_name_is_the_same_panel():
    whole = Study.from_dict(panel_table(pair="adam-decoupled"), "x")
    assert whole == Study.from_dict(panel_table(pair="adamw"), "x")
    assert (whole.panels[0].name, whole.panels[0].pair) == ("adamw", "adamw")
