"""Every kind of figure: a frozen record of what is shown, and a function that draws it.

It imports reading and statistics. Reporting and the commands import it.
"""
