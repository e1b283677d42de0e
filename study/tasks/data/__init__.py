"""Where a task's batches come from: tensors in memory, data sets, loaders.

`examples` says what all of them offer. It imports nothing of its room but random numbers; tasks
and training import the protocol and the tensors.
"""
