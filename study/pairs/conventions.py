"""What others call weight decay: their optimizers, and the pair that each of them is.

A convention is exact where the update rule is; defaults and groups are the user's business.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from landscape_study.study.pairs.registry import PAIRS, Pair, pair_called


@dataclass(frozen=True)
class Convention:
    """An optimizer of somebody's, as it is called there.

    Attributes:
        name: of it.
        pair: the pair that it is, its learning rate being η·α and its weight decay λ.
        rate, decay: how it calls these.
        remark: what else to mind; "" where it acts on all parameters that it is handed.
        holds_gradients: whether its momentum buffer does, where the pair's holds η·α·g.
    """

    name: str
    pair: str
    rate: str = "lr"
    decay: str = "weight_decay"
    remark: str = ""
    holds_gradients: bool = False

    @property
    def known_pair(self) -> Pair:
        """The pair."""
        return PAIRS[self.pair]


MASKED = "`mask` says which parameters it acts on; every one, if nothing does"
TIMM = "made by create_optimizer, it leaves biases, norms and other 1-D parameters alone"
EPSILON = (
    "its ε stands beside √v before that is corrected, so it counts for more in the first steps"
)
SPELLED = ("learning_rate", "weight_decay")  # what Optax, Keras and TensorFlow call them

CONVENTIONS: dict[str, Convention] = {
    one.name: one
    for one in (
        Convention("torch.optim.SGD", "sgd", holds_gradients=True),
        Convention("torch.optim.Adam", "adam"),
        Convention("torch.optim.AdamW", "adamw-torch"),
        Convention("torch.optim.NAdam", "nadam-l2"),
        Convention("torch.optim.RAdam", "radam-l2"),
        Convention("torch.optim.Adagrad", "adagrad-l2"),
        Convention("torch.optim.RMSprop", "rmsprop-l2"),
        Convention("optax.adamw", "adamw-torch", *SPELLED, MASKED),
        Convention("optax.lion", "lion-scaled", *SPELLED, MASKED),
        Convention("keras.optimizers.AdamW", "adamw-torch", *SPELLED, EPSILON),
        Convention("keras.optimizers.Lion", "lion-scaled", *SPELLED),
        Convention("timm.adamw", "adamw-torch", remark=TIMM),
        Convention("timm.lion", "lion-scaled", remark=TIMM),
        Convention("lion_pytorch.Lion", "lion-scaled"),
        Convention("schedulefree.AdamWScheduleFree", "schedulefree-adam-scaled"),
        Convention("schedulefree.SGDScheduleFree", "schedulefree-sgd-scaled"),
        Convention(
            "tfa.optimizers.AdamW",
            "adam-unscheduled",
            *SPELLED,
            "`adamw` of the paper if its weight_decay follows the same schedule, as a callable; "
            + EPSILON,
        ),
    )
}


ROOMS = {"torch": "torch.optim", "keras": "keras.optimizers", "tfa": "tfa.optimizers"}


def convention_called(name: str) -> Convention:
    """The optimizer of that name, `torch.AdamW` for short, or the pair of this tool's.

    Raises:
        ValueError: there is none, or several.
    """
    room, _, last = name.rpartition(".")
    whole = f"{ROOMS.get(room, room)}.{last}"
    for known, convention in CONVENTIONS.items():
        if known.lower() in (name.lower(), whole.lower()):
            return convention
    alone = _ending_in(name)
    if len(alone) == 1 and name not in PAIRS:
        return CONVENTIONS[alone[0]]
    try:
        pair = pair_called(name).name
    except ValueError as e:
        raise ValueError(_not_called(name) or str(e)) from e
    return Convention(pair, pair, "α", "λ")


def _ending_in(name: str) -> list[str]:
    """The optimizers of others that are called so, in whatever room."""
    return [one for one in CONVENTIONS if one.lower().endswith(f".{name.lower()}")]


def _not_called(name: str) -> str:
    """What of others could be meant; "" where nothing is near."""
    meant = _ending_in(name)
    if len(meant) > 1:
        own = [pair for pair in PAIRS if pair == name.lower()]
        listed = ", ".join([*meant, *(f"{pair} (the paper's)" for pair in own)])
        return f"'{name}' means different things: choose one of {listed}"
    close = difflib.get_close_matches(name, CONVENTIONS, n=3, cutoff=0.7)
    return f"unknown optimizer '{name}': did you mean {' or '.join(close)}?" if close else ""
