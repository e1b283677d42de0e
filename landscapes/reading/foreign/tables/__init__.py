"""Files and folders of other programs, each read into a table.

`table_files` and `run_folders` open what there is, the modules of the formats read it,
`table_builder` keeps what may matter, `foreign_table` is what comes out. It imports `study`; the
rest of the foreign room imports it.
"""
