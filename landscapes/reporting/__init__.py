"""The report page, tables and sentences for people.

It imports all other rooms. The calls and the commands import its page, tables and lines.
"""
