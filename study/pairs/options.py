"""What the update rules need besides α and λ."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from landscape_study.study.validation import Frozen


class Options(Frozen):
    """What the update rules need besides α and λ. Defaults are the paper's."""

    momentum: float = Field(default=0.9, ge=0, lt=1)  # β1 of sgd
    beta1: float = Field(default=0.9, ge=0, lt=1)  # of adam
    beta2: float = Field(default=0.999, ge=0, lt=1)  # of adam
    eps: float = Field(default=1e-8, gt=0, allow_inf_nan=False)  # of adam
    decay_1d: bool = True  # whether λ acts on 1-D parameters (biases, norms) too
    no_decay: tuple[str, ...] = Field(default=(), strict=False)  # names that λ does not act on
    clip_norm: float | None = Field(default=None, gt=0, allow_inf_nan=False)  # of the gradient
    accumulate: int = Field(default=1, ge=1)  # parts of a batch whose gradients make one step
    precision: Literal["float32", "float64"] = "float32"
    bf16: bool = False  # whether matrix products and convolutions round to bfloat16 (autocast)
    tf32: bool = False  # whether a GPU's float32 products round to TensorFloat-32
    channels_last: bool = False  # whether images lie in memory as [B, H, W, C]

    @field_validator("no_decay", mode="before")
    @classmethod
    def _patterns(cls, no_decay: Any) -> Any:
        if isinstance(no_decay, str):
            raise ValueError(f"'{no_decay}' is no list of patterns: write [\"{no_decay}\"]")
        return no_decay

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not made use of, as before there was any of it."""
        table: dict[str, Any] = dump(self)
        fields = type(self).model_fields
        for key in ("no_decay", "clip_norm", "accumulate"):
            if key in table and getattr(self, key) == fields[key].default:
                del table[key]
        return table

    @model_validator(mode="after")
    def _roundings_of_float32(self) -> Options:
        if self.precision == "float64" and (self.bf16 or self.tf32):
            raise ValueError("bf16 and tf32 round float32: leave them out with float64")
        return self
