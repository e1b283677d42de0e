"""Which engines can do a task's network, tried on a few cells before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from study.engines import ENGINES, Engine, Ensemble, Programs, native
from study.engines.base import quiet_fallbacks
from study.spec import Options
from study.tasks.task import Data, TaskProtocol, normalized

EXAMPLES = 8  # of a batch that is tried
BATCHES = 3
TOLERANCE = 1e-3  # of the largest number; rounding is far below, another dropout mask far above
BF16_TOLERANCE = 0.1
PLAIN = Options()


def why_not(
    engine: str,
    task: TaskProtocol,
    data: Data,
    options: Options = PLAIN,
    device: str = "cpu",
) -> str | None:
    """Why the engine cannot do the task's network on the device; None if it can.

    What is captured must also give on several batches what the vmapped network gives: a network
    that asks Python's own random numbers, say, would be frozen by tracing, and nobody told.
    """
    if engine == "one-by-one":
        return None
    if engine == "compiled":
        why = native.why_not() if device == "cpu" else "a GPU replays recorded graphs instead"
        return why or why_not("captured", task, data, options, device)
    try:
        if engine == "vmap":
            _results("vmap", task, data, options, 1, 1)
            return None
        ours, reference = (_results(e, task, data, options, 2, BATCHES) for e in (engine, "vmap"))
    except Exception as e:  # vmap raises many kinds; a true fault shows one by one too
        return f"{type(e).__name__}: {str(e).strip().splitlines()[0]}"
    tolerance = BF16_TOLERANCE if options.bf16 else TOLERANCE
    if not all(_close(*pair, tolerance) for pair in zip(ours, reference, strict=True)):
        return (
            "traced once and replayed it gives other results: it depends on more than its inputs"
        )
    return None


@torch.random.fork_rng(devices=[])
def _results(
    engine: str, task: TaskProtocol, data: Data, options: Options, networks: int, batches: int
) -> list[Tensor]:
    """Gradients, losses, buffers and scores of two cells of each network on each batch."""
    results: list[Tensor] = []
    programs = Programs()
    for seed in range(networks):  # what is traced for one chunk must do for the next
        torch.manual_seed(seed)
        ensemble = Ensemble(task.network(), 2, "cpu", torch.float32)
        ensemble.theta[1] *= 0.9
        made = ENGINES[engine](ensemble, task, options, programs)
        with quiet_fallbacks():
            for number in range(batches):
                results += _of_batch(made, data, number)
    return results


def _of_batch(engine: Engine, data: Data, number: int) -> Iterator[Tensor]:
    network, size = engine.ensemble.network, min(EXAMPLES, len(data.train_targets))
    start = number * size % (len(data.train_targets) - size + 1)
    batch = slice(start, start + size)
    inputs = normalized(engine.task, data.train_inputs[batch], torch.float32)
    targets = data.train_targets[batch]
    torch.manual_seed(number)
    network.train()
    yield from engine.gradient(inputs, targets)
    yield from (buffer.clone() for buffer in engine.ensemble.buffers.values())
    network.eval()
    with torch.no_grad():
        yield from engine.scores(inputs, targets).values()


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether they differ by rounding only."""
    a, b = a.double(), b.double()
    scale = a.abs().amax() if a.numel() else a.new_zeros(())
    return bool(((a - b).abs() <= tolerance * scale).all() | (a == b).all())
