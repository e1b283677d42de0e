"""Tables that scikit-learn ships, without a second and a half of its imports."""

import importlib.util
from pathlib import Path

import numpy as np


def shipped_table(name: str, task: str, delimiter: str | None = None) -> np.ndarray:
    """The numbers of a file of `sklearn/datasets/data`, as they stand there.

    Raises:
        ImportError: scikit-learn is not installed; `task` is whose data they are.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise ImportError(f"scikit-learn is not installed: the task '{task}' reads its data")
    path = Path(package.origin).parent / "datasets" / "data" / name
    return np.loadtxt(path, delimiter=delimiter)
