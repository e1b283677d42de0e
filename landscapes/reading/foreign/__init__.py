"""Sweeps that were run elsewhere: from files as people's tools write them to panels.

`table_files` reads a file into rows, `column_roles` guesses which column is what, `sweep` makes
panels. It imports the rest of the reading room; the calls and the commands import
`sweep.read_sweep`.
"""
