"""Train one chunk from start to end: its cells together or one by one, and who leaves before.

Letters: K cells of the chunk, E epochs.

All cells of a chunk start from the same weights and see the same batches, augmentations and
dropout masks in the same order (common random numbers), so they differ by α and λ alone. The
engine decides how gradients and scores are computed; what they are does not depend on it, but for
rounding.

Where a pruner looks, all cells come to a stop. Those that leave are done; the others move up: what
is trained together becomes narrower, and goes on to the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from landscape_study.study.pairs.options import Options
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.standing import Pruner, Standing
from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.study import Cell, Panel
from landscape_study.study.tasks.data.examples import TaskData
from landscape_study.study.tasks.randomness import seeded
from landscape_study.study.tasks.task import TaskProtocol
from landscape_study.study.training.checkpoint import Checkpoint, Recalled, State, fits
from landscape_study.study.training.course import Training, begun
from landscape_study.study.training.engines import ENGINES, Engine, Programs
from landscape_study.study.training.engines.base import Tensors, quiet_fallbacks
from landscape_study.study.training.recorder import Recorder

# Parts of a state whose form depends on objects of the user's or of other libraries: attributes,
# buffers that grow, what optimizers hold.
OF_THE_USERS = ("network", "loss", "augment", "normalize", "buffers", "library")


def train_chunk(
    task: TaskProtocol,
    data: TaskData,
    panel: Panel,
    cells: Sequence[Cell],
    *,
    seed: int,
    batch_size: int,
    options: Options,
    device: str = "cpu",
    metric: Metric = TEST_ERROR,
    engine: str = "vmap",
    programs: Programs | None = None,
    on_step: Callable[[], None] = lambda: None,
    checkpoint: Checkpoint | None = None,
    pruner: Pruner | None = None,
) -> Outcome:
    """Train the cells for the panel's epochs and test them after each.

    Args:
        data: the task's data on `device` in the precision of `options`.
        panel: pair, schedule, budget; its grid is not looked at.
        cells: the K cells; what stands there twice only fills up.
        seed: decides start weights, batches, augmentation and dropout.
        metric: what becomes the cells' value.
        engine: one of `ENGINES` that can do the task's network (see `agreement.finding`).
        programs: what was traced for earlier chunks of the same task and options.
        on_step: called before each step and test batch; what it raises ends the training.
        checkpoint: where the state is kept now and then, and where an interrupted training of
            the same chunk left off.
        pruner: stops cells before the end; None to train all of them.
    """
    if panel.epochs is None:
        raise ValueError(f"panel '{panel.name}' has no epochs: resolve the study first")
    begin = partial(
        begun,
        *(task, data, panel),
        seed=seed,
        batch_size=batch_size,
        options=options,
        device=device,
        engine=engine,
        programs=programs,
    )
    stops = [] if pruner is None else [*pruner.stops(panel.epochs)]
    chunk = _Chunk(cells, ENGINES[engine], [*stops, panel.epochs], checkpoint)
    while chunk.parts:
        part = chunk.next()
        if part is None:
            assert pruner is not None
            chunk.prune(pruner, seed, metric)
            continue
        with seeded(seed, device), quiet_fallbacks():
            training = begin([cells[place] for place in part.places])
            if chunk.takes_up(part, training):
                training.finish(on_step, partial(chunk.keep, part, training), chunk.stop)
                chunk.put(part, training)
    return chunk.outcome(panel, metric)


@dataclass
class _Part:
    """Cells that are trained together, at rest.

    Attributes:
        places: of its cells in the chunk.
        state: of their training; None before the first step.
    """

    places: list[int]
    state: State | None = None

    @property
    def epoch(self) -> int:
        """How many epochs are over."""
        return 0 if self.state is None else int(self.state["epoch"])

    def narrowed(self, engine: type[Engine], rows: Sequence[int]) -> _Part:
        """With some of its cells only."""
        state = self.state
        if state is not None and len(rows) < len(self.places):
            state = state | {
                "engine": engine.part(state["engine"], rows),
                "loss_sum": state["loss_sum"][rows],
                "recorder": Recorder.part(state["recorder"], rows),
            }
        return _Part([self.places[row] for row in rows], state)


@dataclass
class _Left:
    """Cells that are not trained any more, and what their recorder found.

    Attributes:
        alone: epochs that were trained for them and for nobody who goes on.
    """

    places: list[int]
    recorder: State
    alone: int


class _Chunk:
    """A chunk between its stops, with a checkpoint of it where there is one.

    Attributes:
        parts: that are still to be trained.
        left: cells that are not any more.
        pruned: the epoch after which each cell was given up, [K]; 0 where it was not.
        gone: which cells nobody looks at any more, or ever did since they only fill up, [K].
        stop: the epoch until which all are trained now.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        engine: type[Engine],
        stops: Sequence[int],
        checkpoint: Checkpoint | None,
    ) -> None:
        self.cells, self.engine, self.stops, self.checkpoint = cells, engine, stops, checkpoint
        self._begin()
        recalled = checkpoint.recall() if checkpoint else None
        if recalled is not None:
            try:
                self._go_on(recalled)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as e:
                self._refuse(f"{type(e).__name__}: {e}")

    def _begin(self) -> None:
        self.started = time.perf_counter()
        everybody = [*range(len(self.cells))]
        together = [everybody] if self.engine.together else [[place] for place in everybody]
        self.parts = [_Part(places) for places in together]
        self.left: list[_Left] = []
        self.pruned = np.zeros(len(everybody), np.int64)
        first = {cell: place for place, cell in reversed([*enumerate(self.cells)])}
        self.gone = np.array([first[cell] < place for place, cell in enumerate(self.cells)])
        self.stop = self.stops[0]

    def _go_on(self, recalled: Recalled) -> None:
        """Take over what the checkpoint has of the chunk's own cells."""
        state, mine = recalled.state, recalled.positions
        self.started -= state["seconds"] * len(mine) / recalled.cells
        place = {position: place for place, position in enumerate(mine)}

        def own(places: Sequence[int]) -> list[int]:
            return [row for row, position in enumerate(places) if position in place]

        parts = [
            _Part(one["places"], one["state"]).narrowed(self.engine, rows)
            for one in state["parts"]
            if (rows := own(one["places"]))
        ]
        left: list[_Left] = []
        for one in state["left"]:
            if rows := own(one["places"]):
                recorder = Recorder.part(one["recorder"], rows)
                left.append(_Left([one["places"][row] for row in rows], recorder, one["alone"]))
        for groups in (parts, left):
            for group in groups:
                group.places = [place[position] for position in group.places]
        self.parts, self.left, self.stop = parts, left, state["stop"]
        if any(part.epoch > self.stop for part in parts):
            raise ValueError("it is further than where it stops")
        self.pruned, self.gone = (state[name].numpy()[mine] for name in ("pruned", "gone"))

    def _refuse(self, why: str) -> None:
        """Begin anew, since the state is not what its key promises."""
        if self.checkpoint is not None:
            self.checkpoint.refuse(why)
        self._begin()

    def next(self) -> _Part | None:
        """The part to train next until the stop; None where all have come there."""
        return next((part for part in self.parts if part.epoch < self.stop), None)

    def takes_up(self, part: _Part, training: Training) -> bool:
        """Put a training that begins to where its part rests.

        False if what was kept is not of such a training: then all begins anew.
        """
        if part.state is None and not self.left:
            return True
        own = training.state()
        for left in self.left:
            form = Recorder.part(own["recorder"], [0] * len(left.places))
            if not fits(left.recorder, form):
                self._refuse("its finished cells are of another form")
                return False
        if part.state is None:
            return True
        if not fits(part.state, own, free=OF_THE_USERS):
            self._refuse("it is of another form")
            return False
        try:
            training.restore(part.state)
        except Exception as e:  # objects of the user's refuse in their own ways
            self._refuse(f"{type(e).__name__}: {e}")
            return False
        return True

    def put(self, part: _Part, training: Training) -> None:
        """Take what a part has come to, where it stops."""
        if training.is_over():
            self.parts.remove(part)
            self.left.append(_Left(part.places, training.recorder.state(), training.epoch))
        else:
            part.state = training.state()

    def prune(self, pruner: Pruner, seed: int, metric: Metric) -> None:
        """Let those cells leave that the pruner gives up, and go on to the next stop."""
        self._look(pruner, seed, metric)
        self.parts = [rest for part in self.parts if (rest := self._rest(part))]
        self.stop = next((stop for stop in self.stops if stop > self.stop), self.stop)

    def _look(self, pruner: Pruner, seed: int, metric: Metric) -> None:
        """Ask the pruner for those that it gives up; who diverged is gone without that."""
        costs: dict[int, np.ndarray] = {}
        diverged: set[int] = set()
        for part in self.parts:
            assert part.state is not None
            recorder = part.state["recorder"]
            curves = recorder["curves"][metric.name].numpy()[:, : self.stop]
            for place, curve, lost in zip(
                part.places, curves, recorder["diverged_epoch"].tolist(), strict=True
            ):
                if not self.gone[place]:
                    costs[place] = metric.sign * curve.astype(float)
                    costs[place][lost - 1 if lost else self.stop :] = np.inf
                    diverged |= {place} if lost else set()
        if not costs:  # only such as stayed to fill up, in a part of a chunk that was split
            return
        places = sorted(costs)
        cells = [self.cells[place] for place in places]
        standing = Standing(seed, cells, np.array([costs[place] for place in places]))
        leaving = {
            place for place, leaves in zip(places, pruner.leaving(standing), strict=True) if leaves
        }
        self.gone[[*(leaving | diverged)]] = True
        self.pruned[[*(leaving - diverged)]] = self.stop

    def _rest(self, part: _Part) -> _Part | None:
        """A part without those that are gone; None where nobody is left.

        Where each number of cells costs time, it is halved again and again, and a few stay that
        nobody looks at any more.
        """
        staying = [row for row, place in enumerate(part.places) if not self.gone[place]]
        going = [row for row, place in enumerate(part.places) if self.gone[place]]
        if staying and self.engine.fixed:
            stowaways = halved(len(part.places), len(staying)) - len(staying)
            staying, going = sorted([*staying, *going[:stowaways]]), going[stowaways:]
        if going:
            assert part.state is not None
            recorder = Recorder.part(part.state["recorder"], going)
            alone = 0 if staying else part.epoch
            self.left.append(_Left([part.places[row] for row in going], recorder, alone))
        return part.narrowed(self.engine, staying) if staying else None

    def keep(self, part: _Part, training: Training) -> None:
        """Write the state, if it is time to."""
        if self.checkpoint is not None:
            self.checkpoint.keep(
                lambda: self._state(part, training), self._trained(part, training)
            )

    def _state(self, part: _Part, training: Training) -> State:
        """All that the rest depends on, while a part is being trained."""
        states = [training.state() if one is part else one.state for one in self.parts]
        return {
            "seconds": self._seconds(),
            "stop": self.stop,
            "pruned": torch.from_numpy(self.pruned),
            "gone": torch.from_numpy(self.gone),
            "parts": [
                {"places": one.places, "state": state}
                for one, state in zip(self.parts, states, strict=True)
            ],
            "left": [vars(left) for left in self.left],
        }

    def _trained(self, part: _Part, training: Training) -> float:
        """Epochs so far, of all that is trained one after the other."""
        others = sum(one.epoch for one in self.parts if one is not part)
        return sum(left.alone for left in self.left) + others + training.progress()

    def _seconds(self) -> float:
        """Of training so far."""
        return time.perf_counter() - self.started

    def outcome(self, panel: Panel, metric: Metric) -> Outcome:
        """What came of all cells, once they have left."""
        places = [place for left in self.left for place in left.places]
        order = np.argsort(places)
        recorders = [left.recorder for left in self.left]
        diverged = np.concatenate([one["diverged_epoch"].numpy() for one in recorders])[order]
        return Outcome(
            _together([one["curves"] for one in recorders], order),
            diverged,
            self._seconds(),
            solution=panel.schedule.solution(panel.epochs or 0),
            metric=metric,
            mechanism=_together([one["mechanism"] for one in recorders], order),
            pruned_epoch=self.pruned,
        )


def halved(cells: int, staying: int) -> int:
    """A number of cells, halved as often as it has room for those that stay."""
    while cells > 1 and -(-cells // 2) >= staying:
        cells = -(-cells // 2)
    return cells


def _together(parts: Sequence[Tensors], order: np.ndarray) -> dict[str, np.ndarray]:
    """Curves by name of all cells, [K, E], from those of each part of the chunk."""
    names = parts[0]
    return {name: np.concatenate([one[name].numpy() for one in parts])[order] for name in names}
