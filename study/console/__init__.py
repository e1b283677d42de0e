"""What a study looks like in a terminal: progress, tables, the live view.

It stands above all other rooms of `study`, which know no terminal.
"""
