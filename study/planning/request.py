"""From what a user writes on the command line to a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape_study.study.errors import UsageError
from landscape_study.study.objectives.objective import is_objective, named
from landscape_study.study.own_code.loading import is_reachable, is_user_task, plain_name
from landscape_study.study.pairs.registry import label_of
from landscape_study.study.spec.budgets import panel_name
from landscape_study.study.spec.cell_numbers import ALPHA, LAMBDA, NUMBERS, USUAL, meant
from landscape_study.study.spec.metric import Metric, filled
from landscape_study.study.spec.placeholders import PLACEHOLDER, SCRIPTS, name_of
from landscape_study.study.spec.presets import DEFAULT, load_preset
from landscape_study.study.spec.study import Panel, Study
from landscape_study.study.tasks import load_task
from landscape_study.study.validation import names_of, parse_value, read_toml

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
    epochs: Any = None  # a budget, several, or a table: text or what it stands for
    batch_size: int | None = None
    schedule: Any = None  # its name, or a table: text as in a study file, or a dict
    design: Any = None  # "grid", or a table as in a study file
    sampler: str | None = None  # asks for cells between the ends of the axes
    trials: int | None = None  # trainings that it may ask for, in each panel
    until: float | None = None  # percent; at which level a verdict must stand to stop before
    prune: Any = None  # a pruner's name, or a table as in a study file; "none" for no pruner
    alpha: Any = None  # an axis: text as in a study file, or what it stands for
    lambda_: Any = None
    axes: Mapping[str, Any] = field(default_factory=dict)  # of other numbers, by name, likewise
    metric: Any = None  # its name, or a table as in a study file
    goal: str | None = None  # minimize or maximize it
    pattern: str | None = None  # finds the metric in what a command prints
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
    return Changes(**changes | {"task": named(changes.get("task"))})


def named_study(source: str) -> Study:
    """The study of a preset's name or a study file's path.

    Raises:
        UsageError: there is no such preset, or it is a script or function.
        SpecError: the file cannot be read, or holds no valid study.
    """
    if is_user_task(source):
        raise UsageError(
            f"'{source}' is no study: a task or function of yours is named by --task {source}"
        )
    if Path(source).suffix.lower() in SCRIPTS:
        name_it = f", or name a function of it, --task {source}:NAME"
        raise UsageError(
            f"'{source}' is a script, no study: put the command that calls it after --, with "
            "{alpha} and {lambda} in it" + (name_it if source.endswith(".py") else "")
        )
    is_file = source.endswith(".toml") or "/" in source
    return study_of_file(Path(source)) if is_file else load_preset(source)


def study_of_file(path: Path) -> Study:
    """The study of a file, whose task may be a function of the user's own.

    Raises:
        SpecError: the file cannot be read, or holds no valid study.
        TaskError: its task is the user's own, and not there.
    """
    data = read_toml(path)
    task = data.get("task")
    if isinstance(task, str) and is_user_task(task):
        data |= {"task": plain_name(task), "function": is_objective(task)}
    return Study.from_dict(data, str(path))


def asked_study(words: Sequence[str], changes: Changes) -> Study:
    """The study that the words of a command line ask for, with its options.

    Args:
        words: a preset's name or a study file's path, or the words of a command; none for the
            study that comes with the tool, or for a function that options name.
        changes: what options say.

    Raises:
        UsageError, SpecError: there is no such study, or the outcome is none.
        TaskError: a task of the user's own is not there.
    """
    if len(words) > 1 or any(PLACEHOLDER.search(word) for word in words):
        own = {"name": name_of(words), "command": list(words)}
        return objective_study(own, "command", changes)
    if not words and changes.task is not None and is_objective(changes.task):
        return function_study(changes.task, changes)
    return changed_study(named_study(words[0] if words else DEFAULT), changes)


def function_study(name: str, changes: Changes) -> Study:
    """A study of a function of the user's own, over the grid that the options give.

    Raises:
        UsageError: they give none.
    """
    own = {"name": _task_name(name), "task": plain_name(name), "function": True}
    return objective_study(own, "function", replace(changes, task=None))


def objective_study(own: dict[str, Any], kind: str, changes: Changes) -> Study:
    """A study of an objective, over the grid that the options give.

    Args:
        own: its fields as in a study file, but for grid, metric and panels.
        kind: "command" or "function".
        changes: what options say.

    Raises:
        UsageError: they give no grid, or no metric.
    """
    needed = {"alpha": changes.alpha, "lambda": changes.lambda_, "metric": changes.metric}
    lacking = [f"--{name}" for name, given in needed.items() if given is None]
    if lacking:
        raise UsageError(f"a {kind} needs {', '.join(lacking)}: say over which values, of what")
    axes = _axes(changes, of_objective=True)
    panels = [{"pair": pair} | axes for pair in names_of(changes.pairs) or [kind]]
    metric = {"metric": _written_metric(changes.metric)}
    study = Study.from_dict(own | metric | {"panel": panels}, "the command line")
    rest = replace(changes, pairs=(), alpha=None, lambda_=None, axes={}, metric=None)
    return changed_study(study, rest)


def changed_study(study: Study, changes: Changes) -> Study:
    """The study with `changes` made.

    Raises:
        UsageError: the outcome is no valid study.
    """
    if changes.task is not None:
        study = _with_task(study, changes.task, changes)
    _require_no_budget(study, changes)
    study = _select_pairs(study, changes)
    panel_changes: dict[str, Any] = {}
    if changes.epochs is not None:
        study = _at_one_budget(study)
        panel_changes["epochs"] = _epochs(changes.epochs)
    if changes.schedule is not None:
        panel_changes["schedule"] = _named_or_table("schedule", changes.schedule)
    if changes.prune is not None:
        asked = _named_or_table("prune", changes.prune)
        panel_changes["prune"] = None if asked == "none" else asked
    study = _sampled(study, changes)
    panel_changes |= _axes(changes, of_objective=study.has_objective)
    study = _alike_once(study, study.change_panels(**panel_changes))
    fields = {"name": changes.name, "seeds": changes.seeds, "batch_size": changes.batch_size}
    fields |= {"pattern": changes.pattern}
    study = study.change(**{key: value for key, value in fields.items() if value is not None})
    study = _measure(study, changes)
    _require_short_names(study)
    return study


def _axes(changes: Changes, *, of_objective: bool) -> dict[str, Any]:
    """The axes that are asked for, by the keys of a panel.

    Args:
        changes: that ask for them.
        of_objective: whether it may know numbers that nobody else does.

    Raises:
        UsageError: one of something that is no number of a cell.
    """
    usual = {ALPHA: changes.alpha, LAMBDA: changes.lambda_}
    given = usual | dict(changes.axes)
    for name in given:
        if name in changes.axes and usual.get(name) is not None:
            raise UsageError(f"--axis {name}: --{name} gives it already: leave out one")
        if name not in NUMBERS and not of_objective:
            known = ", ".join(NUMBERS)
            raise UsageError(f"--axis {name}: {meant(name)}numbers of a cell are {known}")
    return {
        name: parse_value(axis, _option(name, axis)) if isinstance(axis, str) else axis
        for name, axis in given.items()
        if axis is not None
    }


def _option(name: str, axis: str) -> str:
    """How an axis was asked for on the command line."""
    return f"--{name} {axis}" if name in USUAL else f"--axis {name}={axis}"


def _sampled(study: Study, changes: Changes) -> Study:
    """The study with what is asked of its designs.

    Raises:
        UsageError: a sampler without trials, or the reverse.
    """
    if changes.design is not None:
        study = _with_designs(study, lambda panel: changes.design)
    own = {"sampler": changes.sampler, "trials": changes.trials, "until": changes.until}
    asked = {key: value for key, value in own.items() if value is not None}
    if not asked:
        return study

    def sampled(panel: Panel) -> Any:
        known = {} if panel.sampled is None else panel.sampled.model_dump(exclude_none=True)
        if "sampler" in asked and asked["sampler"] != known.get("sampler"):
            known.pop("until", None)  # of another sampler
        lacking = [one for one in ("sampler", "trials") if one not in {*known, *asked}]
        if lacking:
            options = ", ".join(f"--{one}" for one in lacking)
            raise UsageError(f"{options}: a sampler needs both, as in --sampler tpe --trials 60")
        return known | asked

    return _with_designs(study, sampled)


def _with_designs(study: Study, design: Callable[[Panel], Any]) -> Study:
    """The study with other designs; panels that wait for another one wait still."""
    panels = [
        panel if panel.promoted else panel.changed({"design": design(panel)})
        for panel in study.panels
    ]
    return study.change(panels=panels)


def _with_task(study: Study, task: str, changes: Changes) -> Study:
    """The study of another task; its budget and batch size are the task's own.

    Another task is another study: without a name of its own it would collide with this.

    Raises:
        UsageError: it is a function, and nobody says what of it is measured.
        TaskError: it is the user's own, and not there.
    """
    by_function = is_objective(task)
    if by_function and not study.function and changes.metric is None:
        raise UsageError(f"--metric: say what {task} returns, as in --metric val_loss")
    own = {"task": plain_name(task), "function": by_function, "command": None, "pattern": None}
    if by_function:
        own["metric"] = _written_metric(changes.metric or study.metric)
    name = changes.name or _task_name(task)
    panels = [panel.changed({"epochs": None}) for panel in _at_one_budget(study).panels]
    return study.change(name=name, batch_size=None, panels=panels, **own)


def _require_no_budget(study: Study, changes: Changes) -> None:
    """An objective knows no budget, batch size or schedule but its own.

    Raises:
        UsageError: one is asked for.
    """
    for option in ("epochs", "batch_size", "schedule"):
        if study.has_objective and getattr(changes, option) is not None:
            kind = "function" if study.function else "command"
            raise UsageError(
                f"--{option.replace('_', '-')}: the {kind} decides that itself: leave it out"
            )


def _measure(study: Study, changes: Changes) -> Study:
    """The study with what is asked of its metric."""
    own = {"goal": changes.goal, "matters": changes.matters}
    asked = {key: value for key, value in own.items() if value is not None}
    if changes.metric is None and not asked:
        return study
    metric = _written_metric(_metric_of(study) if changes.metric is None else changes.metric)
    if asked:
        metric = (metric if isinstance(metric, dict) else asdict(metric)) | asked
    return study.change(metric=metric)


def _metric_of(study: Study) -> Metric:
    """What the study is of: where it names no metric, the first one of a task of the user's."""
    if study.names_metric or study.is_imported or not is_user_task(study.task):
        return study.metric
    from landscape_study.study.tasks.task import main_metric

    return main_metric(load_task(study.task))


def _written_metric(metric: Any) -> Any:
    """A metric as a study file has it: text may be its name, or a table."""
    if not isinstance(metric, str):
        return metric
    return parse_value(metric, f"--metric {metric}") if metric[:1] == "{" else filled(metric)


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
    from landscape_study.study.planning.fitting import resolved

    return resolved(study, load_task(study.task))


def resumed_study(
    store: Store, name: str | None, task: str | None, *, trust_command: bool = False
) -> Study:
    """The stored study to go on with.

    Args:
        store: where it is.
        name: None for the one that was created last.
        task: must name the study's task again if that is the user's own code.
        trust_command: whether to run the command that the study names, if it does, and to import
            its samplers, pruners, rules and optimizers.

    Raises:
        UsageError: there is none, it was trained elsewhere, or its task, command, sampler or rule
            is the user's own and the command line does not name or trust it.
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
            f"study '{study.name}' runs a command of your own, {study.training}: to "
            "run what a database says, add --trust-command"
        )
    if study.own_helpers and not trust_command:
        raise UsageError(
            f"study '{study.name}' makes use of code of your own, "
            f"{', '.join(study.own_helpers)}: to import what a database says, add --trust-command"
        )
    if is_user_task(study.task) and (task is None or plain_name(task) != study.task):
        if not is_reachable(study.task):
            raise UsageError(
                f"study '{study.name}' has a function that was handed over in Python, "
                f"'{study.task}': hand it over again, as in landscape_study.resume"
                f"('{study.name}', task=train)"
            )
        raise UsageError(
            f"study '{study.name}' trains your own {'function' if study.function else 'task'} "
            f"'{study.task}': to import that code, add --task {study.task}"
        )
    return study


def _at_one_budget(study: Study) -> Study:
    """The study with one panel where several differ by their budget alone, which is to be another.

    Those that have the best cells of others go, and so do whole grids at further budgets. What is
    left of several is called as before there were several: adamw-15-epochs is adamw.
    """
    dear = [panel for panel in study.panels if panel.promoted and panel.epochs]
    sources = {panel.promoted.best_of for panel in dear if panel.promoted}
    cheap = [panel for panel in study.panels if panel not in dear]
    bare = [panel.model_copy(update=_without_budget(panel)) for panel in cheap]
    panels: list[Any] = []
    for number, (panel, one) in enumerate(zip(cheap, bare, strict=True)):
        if one in bare[:number]:
            continue
        is_one_of_several = panel.name in sources or bare.count(one) > 1
        panels.append(panel.changed({"name": one.name}) if is_one_of_several else panel)
    return study.change(panels=panels)


def _alike_once(before: Study, study: Study) -> Study:
    """The study with one panel in the place of those that a change has made alike.

    It is called after its pair, where no other panel has that, since the names of before tell
    what the change took away: adamw-step with a cosine. Studies whose panels were alike before, or
    take the best cells of others, stay as they are.
    """
    was, now = ([_called_after_pair(one) for one in each.panels] for each in (before, study))
    once = [number for number, one in enumerate(now) if one not in now[:number]]
    if any(one.promoted for one in now) or any(was.count(one) > 1 for one in was):
        return study
    pairs = [now[number].pair for number in once]
    return study.change(
        panels=[
            one if now.count(one) > 1 and pairs.count(one.pair) == 1 else study.panels[number]
            for number, one in enumerate(now)
            if number in once
        ]
    )


def _called_after_pair(panel: Panel) -> Panel:
    return panel.model_copy(update={"name": label_of(panel.pair)})


def _without_budget(panel: Panel) -> dict[str, Any]:
    """What a panel is called where it has no budget of its own."""
    return {"name": panel.name.removesuffix(panel_name("", panel.epochs or 0)), "epochs": None}


def _epochs(text: Any) -> Any:
    """A budget, or several: "15", "15,60,240", or a list or table as in a study file.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(text, str):
        return text
    if text.lstrip()[:1] in ("[", "{"):
        return parse_value(text, f"--epochs {text}")
    try:
        budgets = [int(word) for word in text.split(",")]
    except ValueError as e:
        raise UsageError(
            f"--epochs {text}: no number of epochs: give one, or several as in 15,60,240"
        ) from e
    return budgets if len(budgets) > 1 else budgets[0]


def _named_or_table(option: str, text: Any) -> Any:
    """What an option says by a name, or by a table as in a study file."""
    if not isinstance(text, str):
        return text
    is_table = text.lstrip().startswith("{")
    return parse_value(text, f"--{option} {text}") if is_table else text


def _task_name(task: str) -> str:
    """What a study of a task is called, where nobody says."""
    return task.rpartition(":")[2].rpartition(".")[2].strip("<>_") or "function"


def _select_pairs(study: Study, changes: Changes) -> Study:
    """The panels of the wanted pairs; a pair that the study lacks needs its own grid."""
    if not changes.pairs:
        return study
    panels: list[Any] = []
    for pair in map(_plain_pair, names_of(changes.pairs)):
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
    own = {"optimizer": None, "source": None}
    return dict(like) | own | {"name": label_of(pair), "pair": pair}


def _plain_pair(name: str) -> str:
    """The name of a pair as panels have it: ./mine.py:Tiger-l2 is mine.py:Tiger-l2."""
    return plain_name(name) if ":" in name else name
