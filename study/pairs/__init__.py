"""The optimizer/regularization pairs: update rules, where λ enters, schedules.

The specification and training import it. It imports no other room but that of the user's own
code, and torch only at work.
"""
