"""What engines are broken on: tiny networks with all that a fault may touch.

Letters: B batch, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.task import Task

WORDS, LENGTH, CLASSES = 7, 6, 3
TRAIN, TEST = 61, 120  # in batches of 16, the last one has 13; two slices of 60
BATCH = 16  # more examples than a trial's batches have
EPOCHS = 16  # four times as many as a trial's
CHUNKS = (  # of cells that are trained together, one after the other; λ is normalized
    (Cell(0.05, 0.1), Cell(0.02, 0.03), Cell(0.03, 0.2)),
    (Cell(0.1, 0.05), Cell(0.04, 0.3), Cell(0.01, 0.02)),
)


class Reader(nn.Module):
    """Embedding, convolution, batch norm, dropout, and a branch that gets no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 4)
        self.convolution = nn.Conv1d(4, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(6)
        self.dropout = nn.Dropout(0.2)
        self.side, self.head = nn.Linear(6, 6), nn.Linear(6, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        """Outputs [B, C] of tokens [B, LENGTH]."""
        h = self.norm(self.convolution(self.embedding(tokens).transpose(1, 2)))
        h = self.dropout(torch.tanh(h).mean(dim=2))
        return self.head(h + torch.tanh(self.side(h)).detach())


class Keeper(nn.Module):
    """Keeps a constant that it drew, and a counter: each third step leaves out a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.steps = torch.randn(LENGTH, 8), 0
        self.extra, self.head = nn.Linear(8, 8), nn.Linear(8, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        """Outputs [B, C] of tokens [B, LENGTH]."""
        self.steps += self.training
        h = torch.tanh(
            (tokens % CLASSES - 1.0).to(self.head.weight) @ self.matrix.to(self.head.weight)
        )
        if not self.training or self.steps % 3:
            h = h + torch.tanh(self.extra(h))
        return self.head(h)


def sentences() -> Data:
    """Random tokens; the class is that of most words, by their rest when divided by C."""
    words = torch.randint(
        WORDS, (TRAIN + TEST, LENGTH), generator=torch.Generator().manual_seed(0)
    )
    targets = nn.functional.one_hot(words % CLASSES, CLASSES).sum(dim=1).argmax(dim=1)
    return Data(words[:TRAIN], targets[:TRAIN], words[TRAIN:], targets[TRAIN:])


READER = Task("reader", Reader, sentences, CLASSES, BATCH, EPOCHS)
KEEPER = Task("keeper", Keeper, sentences, CLASSES, BATCH, EPOCHS)
