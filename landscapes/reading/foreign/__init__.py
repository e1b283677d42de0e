"""Sweeps that were run elsewhere: from tables, as people's tools write them, to studies.

`tables` reads files, `asked` is what the user says of them, `column_roles` guesses which column
is what, `run_curves` and `run_rows` make a row of each run, `sweep` makes panels, `foreign_study`
a study of them, and `file_results` lets it be read like one of a database. It imports the rest of
the reading room; the calls and the commands import `asked` of it, and `reading.opening` the rest.
"""
