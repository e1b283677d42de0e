"""The card: what it is, how fast it multiplies matrices, and what memory training takes there.

Every function takes the device's name, and does on a CPU what can be done there.
"""

from __future__ import annotations

import gc
import shutil
import subprocess
import time
from typing import Any

import torch

from benchmarks.measure import machine, spread
from landscape_study.study.training.arithmetic import worker_arithmetic

SIZES = (1024, 2048, 4096, 8192)  # of the square matrices that are multiplied
LONGEST = 0.1  # seconds that a product may take: larger ones are left out
REPEATS, PRODUCTS = 5, 8  # times that so many products in a row are timed


def is_gpu(device: str) -> bool:
    return device.startswith("cuda")


def synchronize(device: str) -> None:
    """Wait for all that the device has been told to do."""
    if is_gpu(device):
        torch.cuda.synchronize(device)


def facts(device: str) -> dict[str, Any]:
    """Name, memory, driver and versions; of a CPU its name."""
    if not is_gpu(device):
        return {"name": machine()["cpu"]}
    card = torch.cuda.get_device_properties(device)
    return {
        "name": card.name,
        "total_bytes": card.total_memory,
        "multiprocessors": card.multi_processor_count,
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def _driver() -> str | None:
    """Version of the driver, or None where nothing tells."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    lines = subprocess.run(query, capture_output=True, text=True).stdout.split()
    return lines[0] if lines else None


def forget(device: str) -> int:
    """Free what earlier measurements left, failed ones too; returns what stays reserved."""
    gc.collect()
    if not is_gpu(device):
        return 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_reserved(device)


def peak_bytes(device: str) -> int:
    """Most bytes reserved since `forget`; on a CPU nobody counts them."""
    return torch.cuda.max_memory_reserved(device) if is_gpu(device) else 0


def product_rates(device: str, *, quick: bool) -> dict[str, dict[str, float]]:
    """Operations per second of matrix products by precision: of the size that is fastest."""
    rates = {}
    for precision in ("float32", "tf32", "bf16"):
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        with worker_arithmetic(device, torch.get_num_threads(), tf32=precision == "tf32"):
            found = []
            for size in (64,) if quick else SIZES:
                found.append(_rate(device, dtype, size))
                if 2 * (2 * size) ** 3 / found[-1]["median"] > LONGEST:
                    break
        rates[precision] = max(found, key=lambda rate: rate["median"])
    forget(device)
    return rates


def _rate(device: str, dtype: torch.dtype, size: int) -> dict[str, float]:
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    rates = []
    for _ in range(1 + REPEATS):  # the first warms up
        synchronize(device)
        started = time.perf_counter()
        for _ in range(PRODUCTS):
            torch.mm(a, b)
        synchronize(device)
        rates.append(2 * PRODUCTS * size**3 / (time.perf_counter() - started))
    return spread(rates[1:])
