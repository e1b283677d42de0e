"""What an expert user of JAX writes: all cells by vmap, all steps by scan, in one compiled call.

    python -m benchmarks.jax_user INPUTS.npz RESULTS.json CACHE --processes 2

The program is in `jax_program.py`; INPUTS are written by `jax_rows.write_inputs`. SGD with its
two placements of λ is one program, Adam another, and each process has a share of the cells sorted
by them: with two processes, each compiles one. Compiled programs are kept in the folder CACHE.
Nothing of torch or this tool is imported, and nothing that is not needed.

Letters: N examples, B batch, E epochs, K cells trained at once.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = 10
# Cells trained, and test examples looked at, at once, by the inputs' dimensions: more of them do
# not fit into the cache.
AT_ONCE = {0: (8, 500), 1: (8, 250), 2: (4, 100)}
# Without YNNPACK: with it the perceptrons take a tenth to a sixth longer (JAX 0.10.2, AVX-512).
OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}

Inputs = dict[str, np.ndarray]
Cells = list[int]  # numbers of cells in the inputs


def run(
    inputs: Inputs, results: Path, cache: Path, convolution: str, share: int, shares: int
) -> None:
    """Train a share of the cells, and write what came of them."""
    if shares > 1:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[share % len(cores)]})  # one thread: XLA goes by it
    os.environ["JAX_PLATFORMS"] = "cpu"
    clock = time.perf_counter()
    import jax

    from benchmarks.jax_program import program

    import_s = time.perf_counter() - clock
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    chunks = divide(inputs, share, shares)
    data = arrange(inputs)

    def compile_for(rule: str) -> Any:
        example = arguments(inputs, chunks[rule][0], *data)
        lowered = program(rule, convolution).lower(*example)
        try:
            return lowered.compile(OPTIONS)
        except jax.errors.JaxRuntimeError:  # of a version that has no such option
            return lowered.compile()

    clock = time.perf_counter()
    with ThreadPoolExecutor() as threads:
        compiled = dict(zip(chunks, threads.map(compile_for, chunks), strict=True))
    compile_s, began, trained = time.perf_counter() - clock, time.time(), []
    for rule, parts in chunks.items():
        for cells in parts:
            losses, right = compiled[rule](*arguments(inputs, cells, *data))
            trained += summarize(inputs, cells, np.asarray(losses), np.asarray(right))
    times = {"import_s": import_s, "compile_s": compile_s, "training_s": time.time() - began}
    process = times | {"began": began, "ended": time.time()}
    results.write_text(json.dumps({"processes": [process], "cells": trained}))


def divide(inputs: Inputs, share: int, shares: int) -> dict[str, list[Cells]]:
    """The chunks of a share of the cells, by rule.

    Chunks of a rule are equally wide, so that one program serves: the last repeats a cell.
    """
    width, _ = AT_ONCE[dimensions(inputs)]
    rules = [rule_of(pair) for pair in inputs["pairs"]]
    order = sorted(range(len(rules)), key=lambda i: rules[i])
    own = order[len(order) * share // shares : len(order) * (share + 1) // shares]
    chunks = {}
    for rule in dict.fromkeys(rules[i] for i in own):
        cells = [i for i in own if rules[i] == rule]
        even = math.ceil(len(cells) / math.ceil(len(cells) / width))
        parts = [cells[i : i + even] for i in range(0, len(cells), even)]
        chunks[rule] = [part + part[-1:] * (even - len(part)) for part in parts]
    return chunks


def rule_of(pair: str) -> str:
    """`sgd` or `adam`: pairs of one rule share a program."""
    return str(pair).removesuffix("w")


def dimensions(inputs: Inputs) -> int:
    """Of the inputs: 0 for vectors, 1 for signals, 2 for images."""
    return max(0, inputs["train_inputs"].ndim - 2)


def arrange(inputs: Inputs) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """All batches in their order, [E, steps, …, B], with what they need of the schedule; the test.

    A last batch that is not full is filled with examples of no class, which count for nothing.
    """
    batch, epochs = int(inputs["batch_size"]), int(inputs["epochs"])
    examples, targets = _with_empty(inputs["train_inputs"], inputs["train_targets"])
    count = len(examples) - 1
    steps = math.ceil(count / batch)
    if inputs["batch_norm"] and count % batch:
        raise SystemExit(f"{count} examples make no whole batches of {batch} for batch norm")
    random = np.random.default_rng(int(inputs["seed"]))
    order = np.full((epochs, steps * batch), count)
    for row in order:
        row[:count] = random.permutation(count)
    order = order.reshape(epochs, steps, batch)
    number = np.arange(epochs * steps).reshape(epochs, steps)
    scalars = (
        0.5 * (1 + np.cos(np.pi * number / (epochs * steps))),  # η: cosine
        1 - 0.9 ** (number + 1),
        1 - 0.999 ** (number + 1),
    )
    batches = (_batch_last(examples[order], 2), _batch_last(targets[order], 2))
    return (*batches, *(values.astype(np.float32) for values in scalars)), _test_parts(inputs)


def _test_parts(inputs: Inputs) -> tuple[np.ndarray, ...]:
    """The test set in equal parts, the last of them filled."""
    examples, targets = _with_empty(inputs["test_inputs"], inputs["test_targets"])
    count = len(examples) - 1
    parts = math.ceil(count / AT_ONCE[dimensions(inputs)][1])
    order = np.full(parts * math.ceil(count / parts), count)
    order[:count] = np.arange(count)
    order = order.reshape(parts, -1)
    return _batch_last(examples[order], 1), _batch_last(targets[order], 1)


def _with_empty(examples: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Examples and their classes as 0 and 1, and after the last an example of no class."""
    classes = np.eye(CLASSES, dtype=np.float32)[targets]
    return tuple(np.concatenate([a, np.zeros_like(a[:1])]) for a in (examples, classes))


def _batch_last(values: np.ndarray, axis: int) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(values, axis, -1))


def arguments(inputs: Inputs, cells: Cells, batches: Any, test: Any) -> tuple[Any, ...]:
    """What `jax_program.program` takes, for these cells."""
    layers = []
    while f"weight{len(layers)}" in inputs:
        own = [f"{kind}{len(layers)}" for kind in ("weight", "bias")]
        layers.append(tuple(inputs[name] for name in own if name in inputs))
    statistics = []
    if inputs["batch_norm"]:
        widths = [len(layer[0]) for layer in layers[:-1]]
        statistics = [(np.zeros(w, np.float32), np.ones(w, np.float32)) for w in widths]
    lambda_ = inputs["lambdas"][cells].astype(np.float32)
    decoupled = np.char.endswith(inputs["pairs"][cells], "w")
    alpha = inputs["alphas"][cells].astype(np.float32)
    return layers, statistics, alpha, lambda_ * ~decoupled, lambda_ * decoupled, batches, test


def summarize(
    inputs: Inputs, cells: Cells, losses: np.ndarray, right: np.ndarray
) -> list[dict[str, Any]]:
    """The end of each cell: test error in percent, mean train loss of the last epoch."""
    examples, tested = len(inputs["train_targets"]), len(inputs["test_targets"])
    names = ("panel", "alpha", "lambda", "test_error", "train_loss")
    ends = {
        i: (
            str(inputs["panels"][i]),
            *(float(inputs[name][i]) for name in ("alphas", "lambdas")),
            100 * (1 - float(right[k, -1]) / tested),
            float(losses[k, -1]) / examples,
        )
        for k, i in enumerate(cells)
    }
    return [dict(zip(names, end, strict=True)) for end in ends.values()]


def start(how: dict[str, Any]) -> int:
    """Do `run` in a process of its own, which begins before JAX is imported; its number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        run(**how)
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train all cells of the inputs in so many processes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--convolution", choices=("lax", "slices"), default="slices")
    options = parser.parse_args(arguments)
    with np.load(options.inputs) as file:
        inputs = dict(file)
    shares = range(options.processes)
    parts = [options.results.with_suffix(f".{share}") for share in shares]

    def how(share: int) -> dict[str, Any]:
        return {
            **{"inputs": inputs, "results": parts[share], "cache": options.cache},
            **{"convolution": options.convolution, "share": share, "shares": len(shares)},
        }

    children = [start(how(share)) for share in shares[1:]]
    try:
        run(**how(0))
    finally:
        ends = [os.waitpid(child, 0)[1] for child in children]
    if any(ends):
        raise SystemExit("a process failed")
    found = [json.loads(part.read_text()) for part in parts]
    together = {key: [x for own in found for x in own[key]] for key in ("processes", "cells")}
    options.results.write_text(json.dumps(together))


if __name__ == "__main__":
    main()
