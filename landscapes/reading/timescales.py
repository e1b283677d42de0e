"""How long the weights of a panel's cells remember, from what is known of its study."""

from __future__ import annotations

import math

from landscape_study.landscapes.reading.study_results import Results
from landscape_study.study.pairs.normalization import normalizer
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.pairs.timescale import Timescale, timescale
from landscape_study.study.records.provenance import TRAINING_EXAMPLES
from landscape_study.study.spec.study import Panel, Study


def training_examples(results: Results, study: Study) -> int | None:
    """How many examples the study is trained on, as its runs said; None where none did.

    Runs of former versions did not, nor do commands, functions and files.
    """
    for run in reversed(results.runs(study.name)):
        found = run["provenance"].get(TRAINING_EXAMPLES)
        if isinstance(found, int) and found > 0:
            return found
    return None


def panel_timescale(study: Study, panel: Panel, examples: int | None) -> Timescale | None:
    """How long the weights of its cells remember; None where too little is known.

    Nor is it given where the panel's axes are others than α and λ.

    Under warm restarts a normalized λ is that of the cycle whose end counts.
    """
    if examples is None or panel.is_labelled or panel.epochs is None or not panel.grid.is_usual:
        return None
    pair = pair_called(panel.pair)
    if pair.is_optimizer or (pair.is_own and pair.entering.in_gradient):
        return None  # what it does with λ only its code says, which is not imported to be read
    size = study.batch_size_of(panel)
    lambda_scale = 1.0
    if panel.normalized:
        last = max(panel.schedule.solution(panel.epochs) - 1, 0)
        cycle = panel.schedule.cycle(last, panel.epochs)
        lambda_scale = normalizer(size, examples, cycle)
    steps = math.ceil(examples / size)
    return timescale(pair, study.options_of(panel), steps, lambda_scale)
