"""From what a user writes on the command line to a study."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import filled
from landscape_study.study.spec.placeholders import PLACEHOLDER
from landscape_study.study.spec.presets import DEFAULT, load_preset
from landscape_study.study.spec.study import COMMAND, Panel, Study
from landscape_study.study.tasks import is_user_task, load_task
from landscape_study.study.validation import names_of, parse_value

if TYPE_CHECKING:
    from landscape_study.study.store import Store


LONGEST_NAME = 200  # characters: file systems end at 255 bytes, with all that is added


@dataclass(frozen=True)
class Changes:
    """What the command line changes of a preset or study file; None leaves a thing as it is."""

    name: str | None = None
    task: str | None = None
    pairs: Sequence[str] = ()
    seeds: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    schedule: Any = None  # its name, or a table: text as in a study file, or a dict
    alpha: Any = None  # an axis: text as in a study file, or what it stands for
    lambda_: Any = None
    metric: Any = None  # its name, or a table as in a study file
    goal: str | None = None  # minimize or maximize it
    matters: float | None = None  # the difference of it below which a user would not care


def asked_changes(**changes: Any) -> Changes:
    """Changes by their names.

    Raises:
        UsageError: something that no study has.
    """
    known = [field.name for field in fields(Changes)]
    unknown = [name for name in changes if name not in known]
    if unknown:
        raise UsageError(
            f"nothing of a study is called {', '.join(unknown)}: change {', '.join(known)}; where "
            "and how it is trained is in RunSettings"
        )
    return Changes(**changes)


def named_study(source: str) -> Study:
    """The study of a preset's name or a study file's path.

    Raises:
        UsageError: there is no such preset.
        SpecError: the file cannot be read, or holds no valid study.
    """
    is_file = source.endswith(".toml") or "/" in source
    return Study.from_file(Path(source)) if is_file else load_preset(source)


def asked_study(words: Sequence[str], changes: Changes) -> Study:
    """The study that the words of a command line ask for, with its options.

    Args:
        words: a preset's name or a study file's path, or the words of a command; none for the
            study that comes with the tool.
        changes: what options say.

    Raises:
        UsageError, SpecError: there is no such study, or the outcome is none.
    """
    if len(words) > 1 or any(PLACEHOLDER.search(word) for word in words):
        return _command_study(words, changes)
    return changed_study(named_study(words[0] if words else DEFAULT), changes)


def _command_study(command: Sequence[str], changes: Changes) -> Study:
    """A study that runs a command, over the grid that the options give."""
    lacking = [
        f"--{name}"
        for name, given in (
            ("alpha", changes.alpha),
            ("lambda", changes.lambda_),
            ("metric", changes.metric),
        )
        if given is None
    ]
    if lacking:
        raise UsageError(f"a command needs {', '.join(lacking)}: say over which values, of what")
    script = next((Path(word).stem for word in command[1:] if Path(word).suffix), command[0])
    axes = {
        name: parse_value(axis, f"--{name} {axis}") if isinstance(axis, str) else axis
        for name, axis in (("alpha", changes.alpha), ("lambda", changes.lambda_))
    }
    pairs = [{"pair": pair} for pair in changes.pairs] or [{"pair": COMMAND}]
    fields = {"name": Path(script).name, "command": list(command), "metric": changes.metric}
    study = Study.from_dict(fields | axes | {"panel": pairs}, "the command")
    return changed_study(study, replace(changes, pairs=(), alpha=None, lambda_=None, metric=None))


def changed_study(study: Study, changes: Changes) -> Study:
    """The study with `changes` made.

    Raises:
        UsageError: the outcome is no valid study.
    """
    if changes.task is not None:
        # Another task is another study: without a name of its own it would collide with this.
        # Its budget and batch size are its own.
        name = changes.name or _task_name(changes.task)
        study = study.change(task=changes.task, name=name, batch_size=None)
        study = study.change_panels(epochs=None)
    study = _select_pairs(study, changes)
    panel_changes: dict[str, Any] = {}
    if changes.epochs is not None:
        panel_changes["epochs"] = changes.epochs
    if changes.schedule is not None:
        panel_changes["schedule"] = _schedule(changes.schedule)
    for key, axis in (("alpha", changes.alpha), ("lambda", changes.lambda_)):
        if axis is not None:
            is_text = isinstance(axis, str)
            panel_changes[key] = parse_value(axis, f"--{key} {axis}") if is_text else axis
    study = study.change_panels(**panel_changes)
    fields = {"name": changes.name, "seeds": changes.seeds, "batch_size": changes.batch_size}
    study = study.change(**{key: value for key, value in fields.items() if value is not None})
    study = _measure(study, changes)
    _require_short_names(study)
    return study


def _measure(study: Study, changes: Changes) -> Study:
    """The study with what is asked of its metric."""
    own = {"goal": changes.goal, "matters": changes.matters}
    asked = {key: value for key, value in own.items() if value is not None}
    metric = changes.metric if changes.metric is not None else study.metric
    if isinstance(metric, str):
        metric = parse_value(metric, f"--metric {metric}") if metric[:1] == "{" else filled(metric)
    if asked:
        metric = (metric if isinstance(metric, dict) else asdict(metric)) | asked
    return study.change(metric=metric)


def _require_short_names(study: Study) -> None:
    """Files are called after studies and panels, and so are Optuna's studies."""
    for name in (study.name, *(panel.name for panel in study.panels)):
        if len(name) > LONGEST_NAME:
            raise UsageError(
                f"the name '{name[:20]}…' has {len(name)} characters, files can bear "
                f"{LONGEST_NAME}: give a shorter one"
            )


def resolved_preset(name: str) -> Study:
    """The preset of this name, with the budgets that it leaves to its task.

    Raises:
        UsageError: there is no such preset.
        TaskError: its task cannot be loaded.
    """
    study = load_preset(name)
    if all(panel.epochs for panel in study.panels):
        return study  # tasks are slow to import
    task = load_task(study.task)
    return study.resolve(batch_size=task.batch_size, epochs=task.epochs)


def resumed_study(
    store: Store, name: str | None, task: str | None, *, trust_command: bool = False
) -> Study:
    """The stored study to go on with.

    Args:
        store: where it is.
        name: None for the one that was created last.
        task: must name the study's task again if that is the user's own code.
        trust_command: whether to run the command that the study names, if it does.

    Raises:
        UsageError: there is none, it was trained elsewhere, or its task or command is the user's
            own and the command line does not name or trust it.
    """
    studies = [study for study in store.studies() if not study.is_imported]
    if name is None and not studies:
        raise UsageError(f"{store.name}: no study to resume: start one with `landscape run`")
    study = store.study(name) if name is not None else studies[-1]
    if study.is_imported:
        raise UsageError(
            f"study '{study.name}' was imported: nothing of it can be trained here; `landscape "
            f"report {study.name}` says what it shows"
        )
    if study.command is not None and not trust_command:
        raise UsageError(
            f"study '{study.name}' runs a command of your own, {shlex.join(study.command)}: to "
            "run what a database says, add --trust-command"
        )
    if is_user_task(study.task) and task != study.task:
        raise UsageError(
            f"study '{study.name}' trains your own task '{study.task}': to import that code, "
            f"add --task {study.task}"
        )
    return study


def _schedule(text: Any) -> Any:
    """A schedule by name, or with its options as in a study file."""
    if not isinstance(text, str):
        return text
    is_table = text.lstrip().startswith("{")
    return parse_value(text, f"--schedule {text}") if is_table else text


def _task_name(task: str) -> str:
    return task.rpartition(":")[2]


def _select_pairs(study: Study, changes: Changes) -> Study:
    """The panels of the wanted pairs; a pair that the study lacks needs its own grid."""
    if not changes.pairs:
        return study
    panels: list[Any] = []
    for pair in names_of(changes.pairs):
        found = [panel for panel in study.panels if panel.pair == pair]
        if not found and (changes.alpha is None or changes.lambda_ is None):
            has = ", ".join(dict.fromkeys(panel.pair for panel in study.panels))
            raise UsageError(
                f"--pair {pair}: study '{study.name}' has no grid for it (it has {has}): "
                "give one with --alpha and --lambda"
            )
        panels += found or [_new_panel(study.panels[0], pair)]
    return study.change(panels=panels)


def _new_panel(like: Panel, pair: str) -> dict[str, Any]:
    """A panel of another pair; its grid is replaced by the command line's."""
    return dict(like) | {"name": pair, "pair": pair}
