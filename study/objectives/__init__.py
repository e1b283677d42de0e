"""Trainings that the user brings whole, commands and functions: one process a cell.

`process` sees a run to its end within its limits, whatever runs. `measurements` reads what a
command prints. `objective` finds and marks functions; `function_host` is the process that holds
one and forks for each run, `function_run` what a function is given there, `function_process` the
other side, and `reports` reads what it left. Planning and running import it.
"""
