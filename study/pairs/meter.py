"""What happens inside of a chunk's cells, by epoch: norms of gradients and steps, clipped steps.

Letters: K cells, P parameters of one cell.

    weight_norm    ‖θ‖ at the end of the epoch
    gradient_norm  ‖g‖ before clipping, without λ·θ; root mean square over measured steps
    update_norm    ‖θ_t − θ_{t−1}‖ of whole steps, decay included; over the same steps
    clipped_share  of all steps of the epoch, those whose gradient was clipped; 0 to 1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

MECHANISM = ("weight_norm", "gradient_norm", "update_norm", "clipped_share")
MEASURED = 8  # steps of an epoch whose norms are taken, at most: more say little more
AT_ONCE = 64  # steps whose clipping is counted together
SPARED = 8  # steps to each of these, at least: norms take a tenth of a small network's step


def measured_steps(steps: int) -> list[int]:
    """Which of an epoch's steps, from 0, have their norms taken: evenly spread, at least one.

    Each stands in the middle of its share of the epoch, so that the first step, which a warmup
    lets move nothing, and the last one, of a partial batch, are no more than others.

    >>> measured_steps(40)
    [4, 12, 20, 28, 36]
    >>> measured_steps(7)
    [3]
    """
    count = max(1, min(MEASURED, steps // SPARED))
    return [(2 * i + 1) * steps // (2 * count) for i in range(count)]


def squares_of(g: Tensor, moved: Tensor) -> Tensor:
    """Squared norms of gradients and of what they changed θ by, both [K, P]; [K, 2], double."""
    import torch  # not before it is needed: it takes seconds

    return torch.stack([each.norm(dim=1) for each in (g, moved)], dim=1).double().square()


class Meter:
    """Collects what the steps of an epoch say of K cells.

    Squares are summed in double precision: those of float32 numbers may lie beyond its range.

    Args:
        theta: parameters [K, P]; what is collected lies where they do.
        clips: whether gradients are clipped.

    Attributes:
        steps: how many the epoch has had so far.
        due: which of an epoch's steps have their norms taken, from 0.
    """

    due: Sequence[int] = ()

    def __init__(self, theta: Tensor, *, clips: bool) -> None:
        self.squares = theta.new_zeros(len(theta), 2).double()  # of gradients, of steps
        self.clipped = self.squares.new_zeros(len(theta)) if clips else None  # steps
        self.factors: list[Tensor] = []  # of steps that are not counted yet, each [K, 1]
        self.steps = self.measured = 0

    @property
    def quantities(self) -> tuple[str, ...]:
        """Those of `MECHANISM` that are known of these cells."""
        return MECHANISM if self.clipped is not None else MECHANISM[:-1]

    def is_due(self, further: int = 0) -> bool:
        """Whether the norms of the next step, or one further on, are taken."""
        return self.steps + further in self.due

    def count(self, clip: Tensor | None = None) -> None:
        """A step is done, whose gradients were multiplied by `clip` [K, 1], if at all."""
        self.steps += 1
        if clip is not None:
            self.factors.append(clip)
            if len(self.factors) == AT_ONCE:
                self._count_clipped()

    def _count_clipped(self) -> None:
        """Many steps together: one by one they take a hundredth of a small network's time."""
        if self.clipped is not None and self.factors:
            import torch  # not before it is needed: it takes seconds

            self.clipped += (torch.cat(self.factors, dim=1) < 1).sum(dim=1)
        self.factors.clear()

    def measure(self, g: Tensor, moved: Tensor) -> None:
        """Take the norms of a step's gradients and of what it changed θ by, both [K, P]."""
        self.measured += 1
        self.squares += squares_of(g, moved)

    def tensors(self) -> list[Tensor]:
        """What is collected of each cell: squared norms [K, 2], and clipped steps [K], if any."""
        return [self.squares] if self.clipped is None else [self.squares, self.clipped]

    def passed(self, steps: int) -> None:
        """So many steps are done, of which somebody else has taken what they say."""
        self.measured += sum(map(self.is_due, range(steps)))
        self.steps += steps

    def taken(self) -> dict[str, Tensor]:
        """What the epoch was, by name of `MECHANISM` but for the weights, [K]; begins anew."""
        gradient, update = (self.squares / self.measured).sqrt().unbind(dim=1)
        found = {"gradient_norm": gradient, "update_norm": update}
        if self.clipped is not None:
            self._count_clipped()
            found["clipped_share"] = self.clipped / self.steps
            self.clipped.zero_()
        self.squares.zero_()
        self.steps = self.measured = 0
        return found

    def state(self) -> dict[str, Any]:
        """What was collected so far, on the CPU."""
        self._count_clipped()
        return {
            "squares": self.squares.T.cpu(),
            "clipped": None if self.clipped is None else self.clipped.cpu(),
            "steps": self.steps,
            "measured": self.measured,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where that was the state."""
        self.squares.copy_(state["squares"].T)
        if self.clipped is not None:
            self.clipped.copy_(state["clipped"])
        self.steps, self.measured = state["steps"], state["measured"]
        self.factors.clear()

    @staticmethod
    def part(state: dict[str, Any], cells: Sequence[int]) -> dict[str, Any]:
        """A state as it would be of some of the cells."""
        clipped = state["clipped"]
        return state | {
            "squares": state["squares"][:, cells],
            "clipped": None if clipped is None else clipped[cells],
        }
