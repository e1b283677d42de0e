"""From the database to tidy frames, and from frames to landscapes.

It imports `study`. All other rooms import it.
"""
