"""What surrounds a process: its cache on disk, the machine's limits, signals.

All rooms may import it; it imports none of them.
"""
