"""Training a chunk of cells from start to end: engines, checkpoints, arithmetic.

It imports tasks, pairs and the specification, and knows no database. Agreement, planning and
running import it.
"""
