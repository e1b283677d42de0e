"""Heatmaps of landscapes: what they show as records, and how they are drawn.

`heatmap_record` says what each shows, `heatmap` draws; edges, labels, contours and what lies
between scattered trials have modules of their own. Figures, reports and the calls import it.
"""
