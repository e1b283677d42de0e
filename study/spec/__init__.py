"""What the user asks for: studies, panels, grids and metrics; frozen, validated, in TOML.

Everything else may import it. It imports the pairs, whose names and constants it checks.
"""
