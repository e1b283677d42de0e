"""Runs grids of (α, λ) cells for optimizer/regularization pairs into a database."""

from importlib.metadata import version

__version__ = version("landscape-study")
