"""How near the tool comes to what the machine can compute.

The limit is the time that the arithmetic of training and evaluation alone would take at the best
rate of matrix products that the machine reaches, measured here.
"""

from __future__ import annotations

import time
from typing import Any

import joblib
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import spread, usable_cores
from benchmarks.networks import NETWORKS, Network
from benchmarks.results import Facts, Settings, read
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.task import TaskProtocol, normalized

Shape = tuple[int, int, int, int]  # products at once, rows, inner size, columns

SHAPES: dict[str, Shape] = {
    **{f"{n} × {n}": (1, n, n, n) for n in (256, 512, 1024, 2048)},
    "32 of 128 × 128": (32, 128, 128, 128),
    "16 of 256 × 256": (16, 256, 256, 256),
}
RATE_SECONDS = 1.0  # of products of one shape, in every process at once
EVALUATED = 256  # examples that the arithmetic of evaluation is counted on


def measure(settings: Settings) -> Facts:
    """The machine's rate, and for every network the limit and what the tool reached."""
    processes, seconds = usable_cores(), 0.05 if settings.quick else RATE_SECONDS
    rates = machine_rates(processes, settings.repeats, seconds)
    for shape, found in rates.items():
        settings.tell(f"{shape}: {found['median'] / 1e9:.0f} Gflop/s")
    best_shape = max(rates, key=lambda shape: rates[shape]["max"])
    best = rates[best_shape]["max"]
    reached = {name: read(settings.results, f"throughput-{name}") for name in NETWORKS}
    return {
        "settings": {"processes": processes, "seconds": seconds, "shapes": SHAPES},
        "rates": rates,
        "best_shape": best_shape,
        "flops_per_s": best,
        "networks": {
            name: share_of_limit(network, best, reached[name])
            for name, network in NETWORKS.items()
        },
    }


def machine_rates(processes: int, repeats: int, seconds: float) -> dict[str, dict[str, float]]:
    """float32 operations per second by shape, one thread in each of so many processes at once."""
    found: dict[str, list[float]] = {name: [] for name in SHAPES}
    with joblib.Parallel(n_jobs=processes) as parallel:
        parallel(joblib.delayed(rate)((1, 64, 64, 64), 0.1) for _ in range(processes))  # start-up
        for _ in range(repeats):
            for name, shape in SHAPES.items():
                calls = (joblib.delayed(rate)(shape, seconds) for _ in range(processes))
                found[name].append(sum(parallel(calls)))
    return {name: spread(rates) for name, rates in found.items()}


def rate(shape: Shape, seconds: float) -> float:
    """Operations per second of products of this shape in one thread of this process."""
    torch.set_num_threads(1)
    count, rows, inner, columns = shape
    a, b = torch.randn(count, rows, inner), torch.randn(count, inner, columns)
    product = torch.empty(count, rows, columns)
    torch.bmm(a, b, out=product)
    done, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds or not done:
        torch.bmm(a, b, out=product)
        done += 1
    return 2 * done * count * rows * inner * columns / passed


def step_flops(task: TaskProtocol, batch_size: int) -> tuple[float, float]:
    """Operations of one cell's training step, and of its evaluation divided by the steps.

    A step is a mean one: the last batch of an epoch may be smaller. Counted where the data lie.
    """
    data = task.data()
    network = task.network().to(data.train_targets.device)
    examples = len(data.train_targets)
    batch = min(batch_size, examples)
    inputs, tested = (
        normalized(task, inputs, torch.float32)
        for inputs in (data.train_inputs[:batch], data.test_inputs[:EVALUATED])
    )
    with FlopCounterMode(display=False) as training:
        task.loss(network(inputs), data.train_targets[:batch]).backward()
    network.eval()
    with FlopCounterMode(display=False) as evaluation, torch.no_grad():
        network(tested)
    steps = -(-examples // batch_size)
    of_test = evaluation.get_total_flops() * len(data.test_targets) / len(tested)
    return training.get_total_flops() * examples / batch / steps, of_test / steps


def share_of_limit(network: Network, rate: float, throughput: Facts | None) -> dict[str, Any]:
    """The limit of a network in µs per cell and step, and what the tool reached, if measured."""
    study = network.study()
    task = load_task(study.task)
    batch_size = study.batch_size or task.batch_size
    training, evaluation = step_flops(task, batch_size)
    limit = 1e6 * (training + evaluation) / rate
    facts: dict[str, Any] = {
        "network": network.title,
        "training_flops": training,
        "evaluation_flops": evaluation,
        "limit_us": limit,
    }
    if throughput is None:
        return facts
    steps = -(-len(task.data().train_targets) // batch_size)
    (tool,) = (row for row in throughput["rows"] if row["row"] == "tool")
    settings = throughput["settings"]
    cell_steps = settings["cells"] * settings["epochs"] * steps
    reached = [1e6 * done["training_s"] / cell_steps for done in tool["repetitions"]]
    return facts | {
        "reached_us": spread(reached),
        "share": spread([limit / time for time in reached]),
    }
