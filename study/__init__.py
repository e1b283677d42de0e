"""Runs grids of (α, λ) cells for optimizer/regularization pairs into a database."""
