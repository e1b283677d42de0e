"""Measurements of the tool against what a user would run instead; see README.md."""
