"""What reads, measures and draws the results of studies: landscapes, verdicts, figures, reports.

The commands import it. It imports `study`, and nothing of `study` imports it. Its names for
notebooks are found when they are first used: matplotlib is slow to import.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from landscape_study.landscapes.landscape_calls import (
        cells,
        compare,
        cube,
        curves,
        export,
        extend,
        heatmaps,
        import_files,
        law,
        load,
        mechanism,
        plot,
        refine,
        report,
        verdicts,
    )
    from landscape_study.landscapes.reading.foreign.asked import Asked

__all__ = [
    "Asked",
    "cells",
    "compare",
    "cube",
    "curves",
    "export",
    "extend",
    "heatmaps",
    "import_files",
    "law",
    "load",
    "mechanism",
    "plot",
    "refine",
    "report",
    "verdicts",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "landscape_calls": [name for name in __all__ if name != "Asked"],
        "reading.foreign.asked": ["Asked"],
    },
)
