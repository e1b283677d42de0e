"""Sweeps that were run elsewhere: from files as people's tools write them to panels.

`table_files` reads a file into a table, by a module for each kind of file, and `run_folders` a
folder with a file or folder a run. `row_filter` selects rows, `column_roles` guesses which column
is what, `run_curves` finds the row that counts of each run, `run_rows` what became of it, and
`sweep` makes panels. It imports the rest of the reading room and, of the store, what reads
Optuna's databases; the calls and the commands import `sweep.read_sweep`.
"""
