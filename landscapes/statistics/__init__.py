"""What landscapes say in numbers: surfaces, noise, verdicts with intervals, advice.

It imports the reading room. Figures and reporting import it; it draws nothing.
"""
