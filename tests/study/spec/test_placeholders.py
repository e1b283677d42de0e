"""Commands with placeholders: what a study of one is called."""

import doctest

import pytest

from landscape_study.study.spec import placeholders
from landscape_study.study.spec.placeholders import name_of


def test_the_examples_give_what_they_say():
    found = doctest.testmod(placeholders)
    assert found.attempted >= 3
    assert found.failed == 0


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["python", "-c", "import time; time.sleep(0.1); print(1)", "{alpha}"], "python"),
        (["python", "train.py", "--config=conf.yaml", "--out", "{folder}/a.txt"], "train"),
        (["python", "--out", "{alpha}.txt", "code/train.py"], "train"),
        (["torchrun", "--nproc_per_node", "2", "-m", "own.training.main"], "main"),
        (["./train it.sh", "{alpha}"], "train-it"),
        (["übung", "{alpha}"], "bung"),
        (["…", "{alpha}"], "command"),
    ],
)
def test_a_study_of_a_command_has_a_name_that_files_can_bear(command: list[str], name: str):
    assert name_of(command) == name
