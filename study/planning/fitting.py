"""Whether a study and its task fit together: tried before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.decay_groups import unmatched
from landscape_study.study.pairs.optimizer_arguments import Arguments
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.pairs.rules import RULES
from landscape_study.study.planning.own_pairs import with_own_pairs
from landscape_study.study.spec.metric import TOP5, TOP5_CLASSES
from landscape_study.study.spec.panel import Panel
from landscape_study.study.spec.study import Cell, Figure, Study
from landscape_study.study.tasks.data.examples import TaskData
from landscape_study.study.tasks.randomness import seeded
from landscape_study.study.tasks.refusals import check_task
from landscape_study.study.tasks.regularization import dropout_modules, is_cross_entropy
from landscape_study.study.tasks.task import (
    Task,
    TaskProtocol,
    as_precise,
    main_metric,
    metrics_of,
)
from landscape_study.study.training.hidden_weights import hidden_matrices
from landscape_study.study.training.own_optimizer import OwnOptimizer

NAMED = 8  # parameters that a message names


def resolved(study: Study, task: TaskProtocol) -> Study:
    """The study with what it leaves to the task and to its pairs: batch size, budget, metric.

    Raises:
        PairError: a rule or optimizer of the user's own is not there, or not right.
    """
    metrics = [main_metric(task), *metrics_of(task).values()]
    return with_own_pairs(study).resolve(
        batch_size=task.batch_size, epochs=task.epochs, metrics=metrics
    )


def fitting_data(
    study: Study, task: TaskProtocol, tell: Callable[[str], None] = lambda message: None
) -> TaskData:
    """The task's data, if the study can be trained on it.

    Args:
        study: resolved.
        tell: called with a word when something takes longer.

    Raises:
        TaskError: the task is wrong.
        DataError: its data cannot be read.
        UsageError: it lacks what the study asks for.
        PairError: an optimizer such as torch's does not take its network.
    """
    dtype = getattr(torch, study.options.precision)
    kinds = {
        (study.batch_size_of(panel, own), study.options_of(panel, own)): panel
        for panel in study.panels
        for own in panel.owns
    }
    for (batch_size, options), panel in kinds.items():
        if options.accumulate > batch_size:
            raise UsageError(
                f"study '{study.name}', panel '{panel.name}': accumulate = {options.accumulate} "
                f"parts of a batch of {batch_size}: give no more than it has examples"
            )
    parts = {(batch_size, options.accumulate) for batch_size, options in kinds}
    data = check_task(task, sorted(parts), dtype, tell)
    _require_own_batches(study, data)
    _require_metrics(study, task)
    for (_, options), panel in kinds.items():
        if options.no_decay:
            _require_parameters(study, panel, options.no_decay, task)
        _require_regularized(study, panel, options, task)
    _require_hidden(study, task)
    _require_optimizers(study, task)
    return data


def _require_optimizers(study: Study, task: TaskProtocol) -> None:
    """Check that optimizers such as torch's take the task's network.

    Raises:
        PairError: one does not.
    """
    dtype = getattr(torch, study.options.precision)
    for panel in study.panels:
        pair = panel.own_code
        if pair is not None and pair.is_optimizer:
            with seeded(0):
                named = dict(as_precise(task.network(), "cpu", dtype).named_parameters())
            cell = Cell(panel.grid.alpha.values[0], panel.grid.lambda_.values[0])
            OwnOptimizer(pair, Arguments.of(panel.optimizer), named, cell, study.options_of(panel))


def _require_regularized(study: Study, panel: Panel, options: Options, task: TaskProtocol) -> None:
    """Check that labels can be smoothed and dropout be set, if that is asked for."""
    where = f"study '{study.name}', panel '{panel.name}'"
    if options.label_smoothing and not is_cross_entropy(task):
        raise UsageError(
            f"{where}: label_smoothing needs a task whose loss is torch's cross entropy, and that "
            f"of '{study.task}' is another one: leave it out, or smooth within the loss"
        )
    if options.dropout is None:
        return
    with seeded(0):
        network = task.network()
    if not isinstance(task, Task) or not dropout_modules(network):
        raise UsageError(
            f"{where}: dropout: the network of task '{study.task}' has no module such as "
            "torch.nn.Dropout to set: leave it out, or give the network one"
        )


def _require_hidden(study: Study, task: TaskProtocol) -> None:
    """Check that rules that treat hidden matrices whole find some."""
    wanting = [p for p in study.panels if _takes_matrices(p)]
    if not wanting:
        return
    with seeded(0):
        network = task.network()
    if not hidden_matrices(network):
        raise UsageError(
            f"study '{study.name}', panel '{wanting[0].name}': pair '{wanting[0].pair}' is meant "
            f"for hidden matrices, and the network of task '{study.task}' has none: take another "
            "pair, or a network with a layer between the first and the last"
        )


def _takes_matrices(panel: Panel) -> bool:
    """Whether its rule treats matrices whole; those of users do not."""
    rule = RULES.get(pair_called(panel.pair).rule)
    return rule is not None and rule.takes_matrices


def _require_own_batches(study: Study, data: TaskData) -> None:
    """Check that nobody asks for other batches than a loader gives."""
    own = data.train.own_batch
    for panel, numbers in ((each, one) for each in study.panels for one in each.owns):
        wanted = study.batch_size_of(panel, numbers)
        if own is not None and wanted != own:
            raise UsageError(
                f"study '{study.name}', panel '{panel.name}': batch size {wanted}, but the loader "
                f"of task '{study.task}' gives batches of {own}: ask for {own}, in the task or in "
                "the study, or let the loader give others; of a data set with a length, any batch "
                "size can be had"
            )


def _require_parameters(
    study: Study, panel: Panel, patterns: Sequence[str], task: TaskProtocol
) -> None:
    """Check that each pattern names some parameter."""
    with seeded(0):
        names = [name for name, p in task.network().named_parameters() if p.requires_grad]
    lacking = unmatched(names, patterns)
    if lacking:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        raise UsageError(
            f"study '{study.name}', panel '{panel.name}': no_decay = {lacking} names no parameter "
            f"of task '{study.task}', which has {', '.join(names[:NAMED])}{more}"
        )


def _require_metrics(study: Study, task: TaskProtocol) -> None:
    """Check, before anything is trained, that the task has what the study wants recorded."""
    recorded = metrics_of(task)
    drawn = () if study.figure.metrics == Figure().metrics else study.figure.metrics
    for field, metrics in {"metric": (study.metric.name,), "figure.metrics": drawn}.items():
        for metric in (one for one in metrics if one not in recorded):
            if metric != TOP5 or task.classes is None:
                raise UsageError(
                    f"study '{study.name}': {field} = \"{metric}\" is not recorded: choose one of "
                    f"{', '.join(recorded)}"
                )
            raise UsageError(
                f"study '{study.name}': {field} = \"{metric}\" needs more than "
                f"{TOP5_CLASSES} classes, task '{study.task}' has {task.classes}: take a task "
                'that has more, or a study file that says "test_error" instead; '
                "`landscape show` prints a preset's"
            )
