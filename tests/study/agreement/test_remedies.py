"""What is told to change makes a network one that every engine trains."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from landscape_study.study.agreement.remedies import remedy
from tests.study.agreement.trials import tried
from tests.study.conftest import CLASSES


class Scores(nn.Module):
    """Linear scores, and something done with them."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, CLASSES)
        self.register_buffer("steps", torch.zeros(()))
        self.calls = 0

    def forward(self, x):
        return self.then(self.layer(x))

    def then(self, y):
        return y


class ReadsANumber(Scores):
    def then(self, y):
        return y / (1 + y.abs().max().item())


class KeepsItATensor(Scores):
    def then(self, y):
        return y / (1 + y.abs().max())


class Branches(Scores):
    def then(self, y):
        return y * 2 if y.sum() > 0 else y


class Selects(Scores):
    def then(self, y):
        return torch.where(y.sum() > 0, y * 2, y)


class PicksByMask(Scores):
    def then(self, y):
        y = y.clone()
        y[y > 0] = 0.5 * y[y > 0]
        return y


class WeighsByMask(Scores):
    def then(self, y):
        return torch.where(y > 0, 0.5 * y, y)


class FillsANewTensor(Scores):
    def then(self, y):
        filled = torch.zeros(len(y), CLASSES, dtype=y.dtype)
        filled[:, :2] = y[:, :2]
        return y + filled


class FillsOneLikeIt(Scores):
    def then(self, y):
        filled = torch.zeros_like(y)
        filled[:, :2] = y[:, :2]
        return y + filled


class OldDoubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


class Doubling(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x * 2

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


class OldFunction(Scores):
    def then(self, y):
        return OldDoubling.apply(y)


class NewFunction(Scores):
    def then(self, y):
        return Doubling.apply(y)


class Recomputes(Scores):
    def forward(self, x):
        return checkpoint(self.layer, x, use_reentrant=False)


class Recurrent(Scores):
    def __init__(self):
        super().__init__()
        self.memory = nn.LSTM(2, 6, batch_first=True)

    def forward(self, x):
        return self.layer(self.memory(x.view(len(x), 3, 2))[0][:, -1])


class RecurrentInALoop(Scores):
    def __init__(self):
        super().__init__()
        self.memory = nn.GRUCell(2, 6)

    def forward(self, x):
        h = x.new_zeros(len(x), 6)
        for part in x.split(2, dim=1):
            h = self.memory(part, h)
        return self.layer(h)


class LstmInALoop(Scores):
    """The gates of an LSTM by a linear layer."""

    def __init__(self):
        super().__init__()
        self.gates = nn.Linear(8, 24)

    def forward(self, x):
        h = c = x.new_zeros(len(x), 6)
        for part in x.split(2, dim=1):
            i, f, g, o = self.gates(torch.cat([part, h], dim=1)).chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.layer(h)


class ClampsData(Scores):
    def forward(self, x):
        self.layer.weight.data.clamp_(0)
        return self.layer(x)


class ClampsInPlace(Scores):
    def forward(self, x):
        with torch.no_grad():
            self.layer.weight.clamp_(0)
        return self.layer(x)


class CountsInPython(Scores):
    def then(self, y):
        self.calls += self.training
        return y * 2 if self.calls > 3 else y


class CountsInABuffer(Scores):
    def then(self, y):
        if self.training:
            self.steps += 1
        return torch.where(self.steps > 3, y * 2, y)


class NumpysFunction(Scores):
    def then(self, y):
        return y + torch.from_numpy(0.1 * y.detach().numpy())


class TorchsFunction(Scores):
    def then(self, y):
        return y + 0.1 * y.detach()


class SparseEmbedding(Scores):
    sparse = True

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(2, 6, sparse=self.sparse)

    def forward(self, x):
        return self.layer(x + self.words((x[:, 0] > 0).long()))


class DenseEmbedding(SparseEmbedding):
    sparse = False


def hooked() -> nn.Module:
    network = Scores()
    network.layer.weight.register_hook(lambda gradient: gradient.clamp(-0.01, 0.01))
    return network


class ComplexWeights(Scores):
    def __init__(self):
        super().__init__()
        self.phases = nn.Parameter(torch.randn(6, dtype=torch.complex64))

    def forward(self, x):
        return self.layer((x * self.phases).abs())


class PairsOfNumbers(Scores):
    def __init__(self):
        super().__init__()
        self.phases = nn.Parameter(torch.randn(6, 2))

    def forward(self, x):
        return self.layer((x * torch.view_as_complex(self.phases)).abs())


class TruncatesABuffer(Scores):
    kind = torch.int64

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones((), dtype=self.kind))

    def then(self, y):
        if self.training:
            self.scale = self.scale + 0.5
        return y / self.scale


class FitsItsBuffer(TruncatesABuffer):
    kind = torch.float32

    def then(self, y):
        if self.training:
            self.scale += 0.5
        return y / self.scale


class NumpysNoise(Scores):
    def then(self, y):
        return y * float(np.random.rand())


class TorchsNoise(Scores):
    def then(self, y):
        return functional.dropout(y, 0.5, self.training)


CURED = {  # what fails, the engine that does not train it, a word of the remedy, what is trained
    "a number": (ReadsANumber, "vmap", "a tensor", KeepsItATensor),
    "a branch": (Branches, "vmap", "torch.where", Selects),
    "a mask": (PicksByMask, "vmap", "torch.where", WeighsByMask),
    "a new tensor": (FillsANewTensor, "vmap", "zeros_like", FillsOneLikeIt),
    "a function": (OldFunction, "vmap", "setup_context", NewFunction),
    "checkpoints": (Recomputes, "vmap", "leave out", Scores),
    "an LSTM": (Recurrent, "vmap", "GRUCell", RecurrentInALoop),
    "an LSTM by hand": (Recurrent, "vmap", "gates by nn.Linear", LstmInALoop),
    "data": (ClampsData, "vmap", "no_grad", ClampsInPlace),
    "a count": (CountsInPython, "captured", "a buffer", CountsInABuffer),
    "numpy": (NumpysFunction, "vmap", "torch's own", TorchsFunction),
    "an embedding": (SparseEmbedding, "vmap", "sparse=False", DenseEmbedding),
    "a hook": (hooked, "vmap", "in forward", Scores),
    "complex weights": (ComplexWeights, "vmap", "view_as_complex", PairsOfNumbers),
    "a buffer of whole numbers": (TruncatesABuffer, "vmap", "the type", FitsItsBuffer),
    "numpy's noise": (NumpysNoise, "captured", "from torch", TorchsNoise),
}


@pytest.mark.some(5)
@pytest.mark.slow
@pytest.mark.parametrize("name", CURED)
def test_what_is_told_to_change_makes_it_trained(name, make_task):
    failing, engine, word, cured = CURED[name]
    why = tried(make_task(failing), engine)[engine].why_not
    assert why is not None
    assert word in (remedy(why) or "")
    assert tried(make_task(cured), engine)[engine].why_not is None


def test_nothing_is_told_of_what_is_not_known():
    assert remedy("KeyError: 'weights'") is None
