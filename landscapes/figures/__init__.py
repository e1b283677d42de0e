"""Every kind of figure: a frozen record of what is shown, and a function that draws it.

It imports statistics, reference, reading and the store. Reporting, the calls and the commands
import what draws a figure: `study_figure` for all kinds.
"""
