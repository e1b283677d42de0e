"""Words that people can paste into a shell, as they would type them."""

import subprocess

import pytest

from landscape_study.study.spec.shell_words import shell_words


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["python", "train.py", "--lr", "{alpha}"], "python train.py --lr {alpha}"),
        (["--out=runs/{pair}-{seed}"], "--out=runs/{pair}-{seed}"),
        (["a b", "it's"], "'a b' \"it's\""),
        (["{alpha} {lambda}"], "'{alpha} {lambda}'"),
        (["{1..3}"], "'{1..3}'"),  # which a shell would make three words of
        (["x{a,b}"], "'x{a,b}'"),
        (["it's $HOME"], "'it'\"'\"'s $HOME'"),
        ([""], "''"),
    ],
)
def test_words_are_quoted_where_a_shell_would_take_them_apart(words, typed):
    assert shell_words(words) == typed
    shown = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {typed}"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split("\0")[:-1] == words
