"""The report page, tables and sentences for people.

It imports all other rooms.
"""
