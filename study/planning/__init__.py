"""From a study to work: layout over the machine, choice of the engine, what it costs.

It imports training, agreement, tasks and the store. Running and the commands import it.
"""
