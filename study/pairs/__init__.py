"""The optimizer/regularization pairs: update rules, where λ enters, schedules.

The specification and training import it. It imports no other room, and torch only at work.
"""
