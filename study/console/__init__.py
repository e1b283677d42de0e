"""What a study looks like in a terminal: progress, tables, the live view.

It imports the store and the specification. Only the commands import it.
"""
