"""Whether an engine trains a task as the referee does: tried on a few steps, and remembered.

It imports training and tasks. Planning and running import it.
"""
