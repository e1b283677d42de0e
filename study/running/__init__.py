"""Running a plan: the driver, its workers, where they run; the witness at the end.

It imports all other rooms but the console.
"""
