"""A small GPT: a decoder of pre-norm blocks of causal attention and an MLP, on class numbers.

After Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2, 2019): layer
norms before attention and MLP and at the end, start weights of standard deviation 0.02, those of
what joins the residual stream divided by √(2 · blocks), biases 0.

Letters: B batch, T positions, V classes, D width, H heads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SPREAD = 0.02  # standard deviation of start weights


class Attention(nn.Module):
    """Causal self-attention, [B, T, D] to [B, T, D]."""

    mask: Tensor

    def __init__(self, length: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(width, 3 * width)  # queries, keys, values
        self.outputs = nn.Linear(width, width)
        ahead = torch.ones(length, length, dtype=torch.bool).triu(1)
        self.register_buffer("mask", ahead, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix positions with those before them."""
        batch, length, width = x.shape
        parts = self.inputs(x).view(batch, length, 3, self.heads, width // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)  # each [B, H, T, D/H]
        scores = queries @ keys.transpose(-1, -2) / math.sqrt(width // self.heads)
        shares = scores.masked_fill(self.mask[:length, :length], -math.inf).softmax(dim=-1)
        return self.outputs((shares @ values).transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """Attention and an MLP, each with a layer norm before it, that join the residual stream."""

    def __init__(self, length: int, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(length, width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Class numbers [B, T] to scores of the next class at each position, [B, T, V].

    Args:
        classes: V.
        length: most positions T.
        width: D, a multiple of `heads`.
        heads: H.
        blocks: how many.
    """

    def __init__(self, classes: int, length: int, width: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, width)
        self.positions = nn.Parameter(torch.zeros(length, width))
        self.blocks = nn.Sequential(*(Block(length, width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes, bias=False)
        self._start(blocks)

    @torch.no_grad()
    def _start(self, blocks: int) -> None:
        for name, p in self.named_parameters():
            joins = name.endswith(("outputs.weight", "mlp.2.weight"))
            if p.ndim > 1:
                p.normal_(0, SPREAD / math.sqrt(2 * blocks) if joins else SPREAD)
            elif name.endswith("bias"):
                p.zero_()

    def forward(self, classes: Tensor) -> Tensor:
        """Scores of what comes next."""
        x = self.embedding(classes) + self.positions[: classes.shape[1]]
        scores: Tensor = self.head(self.norm(self.blocks(x)))
        return scores
