"""Reads the results of a study and draws them: landscapes, heatmaps, learning curves."""
