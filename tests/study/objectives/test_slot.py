"""What each run may use of the machine."""

import pytest

from landscape_study.study.objectives.slot import THREADS, VISIBLE, slot_environment


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch):
    for name in (*THREADS, VISIBLE):
        monkeypatch.delenv(name, raising=False)


def test_threads_are_shared_out_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch):
    assert {slot_environment("cpu", 3)[name] for name in THREADS} == {"3"}
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    environment = slot_environment("cpu", 3)
    assert "OMP_NUM_THREADS" not in environment  # that of this process is inherited
    assert environment["MKL_NUM_THREADS"] == "3"


@pytest.mark.parametrize(
    ("seen", "device", "handed"),
    [
        (None, "cuda:1", "1"),
        ("2,5", "cuda:0", "2"),
        ("2,5", "cuda:1", "5"),
        (" GPU-8f2a-11 , GPU-77 ", "cuda:1", "GPU-77"),
        ("MIG-1c0f,MIG-2d", "cuda:0", "MIG-1c0f"),
        ("MIG-GPU-a/1/0", "cuda:0", "MIG-GPU-a/1/0"),
    ],
)
def test_a_run_sees_one_gpu_by_the_name_that_it_has_here(
    monkeypatch: pytest.MonkeyPatch, seen: str | None, device: str, handed: str
):
    if seen is not None:
        monkeypatch.setenv(VISIBLE, seen)
    environment = slot_environment(device, 1)
    assert (environment[VISIBLE], environment["LANDSCAPE_DEVICE"]) == (handed, "cuda")


def test_on_cpus_nothing_is_said_of_gpus(monkeypatch: pytest.MonkeyPatch):
    assert VISIBLE not in slot_environment("cpu", 1)
