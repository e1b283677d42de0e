"""The commands of `landscape`, by kind: each parses, calls the library and prints.

They import everything else; only `cli` imports them. Heavy imports stand inside the commands, so
that --help answers at once.
"""
