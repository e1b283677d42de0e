"""From the database to tidy frames, and from frames to landscapes.

It imports the store and what this stands on. All other rooms import its frames and landscapes.
"""
