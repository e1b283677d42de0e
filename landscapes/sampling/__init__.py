"""Samplers and pruners that read landscapes: who looks for the verdict, who leaves no hope."""
