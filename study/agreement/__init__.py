"""Whether an engine trains a task as the referee does: tried on a few steps, and remembered.

It imports training, tasks, and what these stand on. Planning and running import its permission and
its witness.
"""
