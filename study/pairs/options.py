"""What a step needs besides α, λ and η."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from landscape_study.study.validation import Frozen, without_unused


def _patterns(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(f"'{value}' is no list of patterns: write [\"{value}\"]")
    return value


Share = Annotated[float, Field(ge=0, lt=1)]
Epsilon = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns), Field(strict=False)]
Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Norm = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


# What update rules make use of, and nobody else does.
OF_RULES = ("momentum", "beta1", "beta2", "eps", "rest_alpha", "rest_lambda")


class Options(Frozen):
    """What a step needs besides α, λ and η. Defaults are the paper's."""

    momentum: Share = 0.9  # β1 of sgd, nesterov and schedulefree-sgd
    beta1: Share = 0.9  # of adam and its kin, and of lion
    beta2: Share = 0.999  # likewise, and of rmsprop
    eps: Epsilon = 1e-8  # of what divides by √v
    rest_alpha: Factor = 1.0  # of what muon leaves to adam: times α
    rest_lambda: Factor = 1.0  # likewise: times λ
    decay_1d: bool = True  # whether λ acts on 1-D parameters (biases, norms) too
    no_decay: Patterns = ()  # names of parameters that λ does not act on
    clip_norm: Norm = math.inf  # the gradient of a cell is no longer than this
    accumulate: Count = 1  # parts of a batch whose gradients make one step
    label_smoothing: Share = 0.0  # in training, of a task whose loss is cross entropy
    dropout: Share | None = None  # of the network's modules for it; None: as it has
    precision: Literal["float32", "float64"] = "float32"
    bf16: bool = False  # whether matrix products and convolutions round to bfloat16 (autocast)
    tf32: bool = False  # whether a GPU's float32 products round to TensorFloat-32
    channels_last: bool = False  # whether images lie in memory as [B, H, W, C]

    def of_rule(self, defaults: Mapping[str, float]) -> Options:
        """With a rule's own defaults, where these are still those of the paper."""
        plain = Options()
        update = {k: v for k, v in defaults.items() if getattr(self, k) == getattr(plain, k)}
        return self.model_copy(update=update)

    def changed(self, own: PanelOptions | None) -> Options:
        """With what a panel says for itself."""
        said = {} if own is None else own.model_dump(exclude_none=True)
        return self.model_copy(update=said)

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not made use of, as before there was any of it."""
        unused = {"no_decay": (), "clip_norm": math.inf, "accumulate": 1}
        unused |= {"label_smoothing": 0.0, "dropout": None}
        return without_unused(self, dump(self), unused | {"rest_alpha": 1.0, "rest_lambda": 1.0})

    @model_validator(mode="after")
    def _roundings_of_float32(self) -> Options:
        if self.precision == "float64" and (self.bf16 or self.tf32):
            raise ValueError("bf16 and tf32 round float32: leave them out with float64")
        return self


class PanelOptions(Frozen):
    """The options that a panel may have for itself; None is as the study says."""

    momentum: Share | None = None
    beta1: Share | None = None
    beta2: Share | None = None
    eps: Epsilon | None = None
    rest_alpha: Factor | None = None
    rest_lambda: Factor | None = None
    decay_1d: bool | None = None
    no_decay: Patterns | None = None
    clip_norm: Norm | None = None
    accumulate: Count | None = None
    label_smoothing: Share | None = None
    dropout: Share | None = None
