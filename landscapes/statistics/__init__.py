"""What landscapes say in numbers: surfaces, noise, verdicts with intervals, advice.

It imports the reading room and, of `study`, the specification and the pairs. Figures and reporting
import its functions on frames and landscapes; it draws nothing.
"""
