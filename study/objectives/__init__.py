"""Trainings that the user brings whole: commands of any language, one process a cell.

`process` runs a command within its limits, `measurements` reads what it prints; running imports
both.
"""
