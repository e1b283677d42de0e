"""Networks as people write them: what each does beside a plain forward pass.

Each was found to be trained wrongly by an engine that was not held against a plain loop, or stands
for its kind. `TRAINED` maps a name to the network, and the fastest engine that may train it.
"""

from __future__ import annotations

import random
import warnings
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tests.study.conftest import CLASSES
from tests.study.networks import mlp


class Around(nn.Module):
    """A small network, in whose forward pass something else happens too."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, CLASSES)
        self.prepare()

    def prepare(self):
        """Make what it needs."""

    def inner(self, h):
        """What happens between the layers."""
        return h

    def forward(self, x):
        return self.last(self.inner(torch.tanh(self.first(x))))


# ---- hooks --------------------------------------------------------------------------------------


def clipped_gradients():
    made = mlp()
    for p in made.parameters():
        p.register_hook(lambda g: g.clamp(-0.005, 0.005))
    return made


def pruned_gradients():
    made = mlp()
    mask = torch.arange(48).view(8, 6) % 2
    made[0].weight.register_hook(lambda g: g * mask)
    return made


def gradients_changed_once_they_are_there():
    made = mlp()

    def shrink(p):
        p.grad *= 0.1

    made[2].weight.register_post_accumulate_grad_hook(shrink)
    return made


class HookedActivation(Around):
    def inner(self, h):
        if h.requires_grad:
            h.register_hook(lambda g: 0.05 * g)
        return h


def backward_hook_of_a_module():
    made = mlp()
    made[2].register_full_backward_hook(lambda module, inputs, outputs: (0.1 * inputs[0],))
    made[1].register_full_backward_pre_hook(lambda module, outputs: (0.1 * outputs[0],))
    return made


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return -g


class GradientReversal(Around):
    def inner(self, h):
        return h + 0.5 * Reversed.apply(h)


# ---- buffers and weights that change in unexpected ways -----------------------------------------


class Centre(Around):
    def prepare(self):
        self.register_buffer("centre", torch.zeros(8))

    def inner(self, h):
        if self.training:
            self.move(h.detach().mean(0))
        return h - self.centre

    def move(self, mean):
        self.centre.data = 0.9 * self.centre.data + 0.1 * mean


class CentreInPlaceOfData(Centre):
    def move(self, mean):
        self.centre.data.mul_(0.9).add_(0.1 * mean)


class CentreByTheDictionary(Centre):
    def move(self, mean):
        self._buffers["centre"] = 0.9 * self._buffers["centre"] + 0.1 * mean


class CentreInPlace(Centre):
    def move(self, mean):
        self.centre.mul_(0.9).add_(0.1 * mean)


class IntegerTemperature(Around):
    start = torch.tensor(1)

    def prepare(self):
        self.register_buffer("temperature", self.start.clone())

    def inner(self, h):
        if self.training:
            self.temperature = self.temperature * 0.97
        return h / (0.2 + self.temperature)


class SinglePrecisionTemperature(IntegerTemperature):
    start = torch.tensor(True)


class Growing(Around):
    def prepare(self):
        self.register_buffer("seen", torch.zeros(1, 8))

    def inner(self, h):
        if self.training:
            self.seen = torch.cat([self.seen, h.detach().mean(0, keepdim=True)])[-4:]
        return h - self.seen.mean(0)


class Shrinking(Growing):
    def prepare(self):
        self.register_buffer("seen", torch.ones(9, 8))

    def inner(self, h):
        if self.training and len(self.seen) > 1:
            self.seen = self.seen[1:]
        return h - 0.1 * self.seen.sum(0)


class Queue(Around):
    """A list of tensors, in no buffer at all."""

    def prepare(self):
        self.queue = []

    def inner(self, h):
        if self.training:
            self.queue = [*self.queue[-2:], h.detach().mean(0)]
        return h - sum(self.queue) / max(1, len(self.queue))


class MaxNorm(Around):
    def forward(self, x):
        self.project()
        return super().forward(x)

    def project(self):
        weight = self.first.weight
        weight.data = torch.renorm(weight.data, p=2, dim=0, maxnorm=0.25)


class MaxNormInPlace(MaxNorm):
    def project(self):
        with torch.no_grad():
            weight = self.first.weight
            weight.copy_(torch.renorm(weight, p=2, dim=0, maxnorm=0.25))


class NonNegative(MaxNorm):
    def project(self):
        self.first.weight.data.clamp_(min=0)


# ---- batches ------------------------------------------------------------------------------------


class ChangesItsInputs(Around):
    def forward(self, x):
        x.sub_(0.3).div_(1.5)
        return super().forward(x)


class RectifiesItsInputs(Around):
    def forward(self, x):
        return super().forward(functional.relu_(x))


class MasksItsInputs(Around):
    def forward(self, x):
        if self.training:
            x.mul_(torch.rand(x.shape, dtype=x.dtype) < 0.7)
        return super().forward(x)


class Recurrent(nn.Module):
    kind = nn.LSTM

    def __init__(self):
        super().__init__()
        self.rnn, self.last = self.kind(3, 5, batch_first=True), nn.Linear(5, CLASSES)
        self.steps = 0

    def forward(self, x):
        x.sub_(0.3)
        return self.last(self.rnn(x.view(len(x), 2, 3))[0][:, -1])


class Gated(Recurrent):
    kind = nn.GRU


# ---- state in Python ----------------------------------------------------------------------------


class CountingRecurrent(Recurrent):
    def forward(self, x):
        if self.training:
            self.steps += 1
        return super().forward(x) / (1 + 0.1 * self.steps)


class Counting(Around):
    """Changes after a while: later than any short probe of three batches sees."""

    def prepare(self):
        self.steps = 0

    def inner(self, h):
        if self.training:
            self.steps += 1
        return h * (0.1 if self.steps <= 8 else 1.0)


class CountingTests(Around):
    def prepare(self):
        self.counts = {"tests": 0}

    def inner(self, h):
        if not self.training:
            self.counts["tests"] += 1
        return h / (1 + self.counts["tests"])


class Annealing(Around):
    def prepare(self):
        self.history = [1.0]

    def inner(self, h):
        if self.training:
            self.history.append(0.9 * self.history[-1])
        return h * self.history[-1]


class Warming(nn.Sequential):
    """Freezes its first layer until it was told to train for the second time."""

    def __init__(self):
        super().__init__(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, CLASSES))
        self.times = 0

    def train(self, mode=True):
        self.times += mode
        self[0].requires_grad_(self.times > 1)
        return super().train(mode)


class Clock:
    """A counter that is no number."""

    def __init__(self):
        self.time = 0


class CountingInAnObject(Around):
    """Which shows long after any trial."""

    def prepare(self):
        self.clock = Clock()

    def inner(self, h):
        self.clock.time += self.training
        return h if self.clock.time < 1000 else 2 * h


class CountingInAnArray(Around):
    def prepare(self):
        self.times = np.zeros(1)

    def inner(self, h):
        self.times += self.training
        return h if self.times[0] < 1000 else 2 * h


class CountingAnewEachEpoch(Around):
    def train(self, mode=True):
        self.place = 0
        return super().train(mode)

    def inner(self, h):
        self.place += 1
        return h if self.place < 1000 else 2 * h


# ---- parameters without a gradient --------------------------------------------------------------


class Frozen(Around):
    def forward(self, x):
        with torch.no_grad():
            h = torch.tanh(self.first(x))
        return self.last(h)


class Detached(Around):
    def prepare(self):
        self.extra = nn.Linear(8, 8)

    def inner(self, h):
        return h + torch.tanh(self.extra(h)).detach()


class UnusedHead(Around):
    def prepare(self):
        self.unused = nn.Linear(8, 7)


class Skipping(Around):
    """Stochastic depth by torch's random numbers."""

    def prepare(self):
        self.extra = nn.Linear(8, 8)

    def is_skipped(self):
        return torch.rand(()) < 0.5

    def inner(self, h):
        if self.training and self.is_skipped():
            return h
        return h + torch.tanh(self.extra(h))


class SkippingByPython(Skipping):
    def is_skipped(self):
        return random.random() < 0.5


class SkippingInTurn(Skipping):
    def prepare(self):
        super().prepare()
        self.turn = 0

    def is_skipped(self):
        self.turn += 1
        return self.turn % 2 == 0


# ---- randomness that is not torch's -------------------------------------------------------------


def drawn_by_numpy():
    made = mlp()
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(torch.from_numpy(0.3 * np.random.randn(*p.shape)))
    return made


def drawn_by_python():
    made = mlp()
    with torch.no_grad():
        for _ in range(24):
            made[0].weight.view(-1)[random.randrange(48)] = 0
    return made


class NumpysNoise(Around):
    def inner(self, h):
        noise = np.random.randn(*h.shape[-2:]) if self.training else 0.0
        return h + 0.3 * torch.as_tensor(noise)


class NumpysDropout(Around):
    def inner(self, h):
        if not self.training:
            return h
        return h * torch.from_numpy(np.random.binomial(1, 0.5, h.shape[-1:])).to(h)


# ---- kinds of numbers ---------------------------------------------------------------------------


class Fourier(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(0.3 * torch.randn(4, 8, dtype=torch.cfloat))
        self.last = nn.Linear(8, CLASSES)

    def forward(self, x):
        spectrum = torch.fft.rfft(x)
        return self.last((spectrum.to(self.weight.dtype) @ self.weight).abs())


class ComplexBias(Fourier):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(8, dtype=torch.cfloat))

    def forward(self, x):
        spectrum = torch.fft.rfft(x)
        turned = spectrum.to(self.weight.dtype) @ self.weight + self.bias
        return self.last(torch.view_as_real(turned).sum(-1))


class ComplexBuffer(Around):
    def prepare(self):
        self.register_buffer("phases", torch.exp(1j * torch.arange(8.0)))

    def inner(self, h):
        return (h * self.phases).imag + h


class PairsOfNumbers(nn.Module):
    """Weights kept as pairs of real numbers, behind an odd number of others."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))
        self.shift = nn.Parameter(torch.zeros(3))
        self.last = nn.Linear(8, CLASSES)
        self.pairs = nn.ParameterList([nn.Parameter(0.3 * torch.randn(4, 8, 2))])

    def forward(self, x):
        weight = torch.view_as_complex(self.pairs[0])
        spectrum = torch.fft.rfft(x * self.scale + self.shift.repeat(2))
        return self.last((spectrum.to(weight.dtype) @ weight).abs())


class PairsBehindAScalar(PairsOfNumbers):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))
        self.turn = nn.Parameter(0.2 * torch.randn(5, 2))

    def forward(self, x):
        turn = torch.view_as_complex(self.turn).abs().sum()
        weight = torch.view_as_complex(self.pairs[0]) * turn
        spectrum = torch.fft.rfft(x * self.scale + self.shift)
        return self.last((spectrum.to(weight.dtype) @ weight).abs())


class Scaled(Around):
    def prepare(self):
        self.log_scale = nn.Parameter(torch.tensor(0.0))

    def inner(self, h):
        return h * self.log_scale.exp()


class InfiniteMask(Around):
    """As attention has one for what comes later."""

    def prepare(self):
        self.register_buffer("mask", torch.full((8,), -torch.inf).where(torch.arange(8) > 5, 0.0))

    def inner(self, h):
        return h + torch.softmax(h + self.mask, dim=-1)


class InfiniteFrozenMask(InfiniteMask):
    def prepare(self):
        super().prepare()
        mask = self.mask
        del self.mask
        self.mask = nn.Parameter(mask, requires_grad=False)


class WholeNumbers(Around):
    def prepare(self):
        self.order = nn.Parameter(torch.arange(7, -1, -1), requires_grad=False)

    def inner(self, h):
        return h[..., self.order] + h


MEAN = torch.linspace(-1, 1, 8)


class SharedConstant(Around):
    def prepare(self):
        self.register_buffer("mean", MEAN)

    def inner(self, h):
        return h - self.mean.to(h.dtype)


class SparseNeighbours(Around):
    """As graphs have them."""

    def prepare(self):
        self.register_buffer("neighbours", (torch.eye(8) + torch.eye(8).roll(1, 0)).to_sparse())

    def inner(self, h):
        return torch.sparse.mm(self.neighbours, h.T).T


class SparseNeighboursInRows(Around):
    """The same in compressed rows, which know no elements of their own."""

    def prepare(self):
        neighbours = torch.eye(8) + torch.eye(8).roll(1, 0)
        with warnings.catch_warnings(action="ignore"):  # PyTorch calls the layout a beta
            self.register_buffer("neighbours", neighbours.to_sparse_csr())

    def inner(self, h):
        return (self.neighbours @ h.T).T


class MoreState(Around):
    """Keeps other things than tensors in its state."""

    def get_extra_state(self):
        return {"version": 3}

    def set_extra_state(self, state):
        assert state["version"] == 3


class PlainTensors(Around):
    """Tensors that are neither parameters nor buffers, in single precision."""

    def prepare(self):
        self.scale = torch.linspace(0.5, 2, 8)

    def inner(self, h):
        return h * self.scale


class DoubleStatistics(Around):
    """A buffer that is to be in double precision whatever the rest is."""

    def prepare(self):
        self.register_buffer("total", torch.zeros(8, dtype=torch.float64))

    def inner(self, h):
        if self.training:
            self.total += h.detach().sum(0)
        return h + 0.01 * torch.tanh(self.total).to(h.dtype)


# ---- random numbers along the memory, and what depends on the batch -----------------------------


class DropoutOfTransposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, CLASSES)
        self.drop = nn.Dropout(0.3)

    def noisy(self, h):
        return self.drop(h)

    def forward(self, x):
        return self.last(self.noisy(self.first(x.view(len(x), 2, 3)).transpose(1, 2)).mean(2))


class NoiseOnTransposed(DropoutOfTransposed):
    def noisy(self, h):
        return h + 0.3 * torch.randn_like(h) if self.training else h


class DropoutOfChannelsLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 2), nn.Linear(4, CLASSES)

    def forward(self, x):
        h = self.first(x.view(len(x), 1, 2, 3)).permute(0, 2, 3, 1)
        h = functional.dropout(h, 0.4, self.training)
        return self.last(h.mean((1, 2)))


class WithoutRunningStatistics(Around):
    def prepare(self):
        self.norm = nn.BatchNorm1d(8, track_running_stats=False, affine=False)

    def inner(self, h):
        return self.norm(h)


class ComparedWithOthers(Around):
    """Each example less the mean of its batch, also in tests."""

    def inner(self, h):
        return h - h.mean(0, keepdim=True)


TRAINED = {
    "hooks on parameters": (clipped_gradients, "referee"),
    "a hook that prunes": (pruned_gradients, "referee"),
    "a hook after accumulation": (gradients_changed_once_they_are_there, "referee"),
    "a hook on an activation": (HookedActivation, "referee"),
    "backward hooks of modules": (backward_hook_of_a_module, "referee"),
    "gradient reversal": (GradientReversal, "referee"),
    "buffer.data assigned": (Centre, "referee"),
    "buffer.data in place": (CentreInPlaceOfData, "referee"),
    "buffer by the dictionary": (CentreByTheDictionary, "captured"),
    "buffer in place": (CentreInPlace, "captured"),
    "a float assigned to an integer": (IntegerTemperature, "referee"),
    "a float assigned to a truth value": (SinglePrecisionTemperature, "referee"),
    "a buffer that grows": (Growing, "referee"),
    "a buffer that shrinks": (Shrinking, "referee"),
    "a list of tensors": (Queue, "vmap"),
    "max-norm by .data": (MaxNorm, "referee"),
    "max-norm in place": (MaxNormInPlace, "captured"),
    "non-negative weights": (NonNegative, "referee"),
    "inputs changed in place": (ChangesItsInputs, "captured"),
    "inputs rectified in place": (RectifiesItsInputs, "captured"),
    "inputs masked in place": (MasksItsInputs, "captured"),
    "LSTM, inputs changed in place": (Recurrent, "referee"),
    "GRU, inputs changed in place": (Gated, "referee"),
    "a counter, with an LSTM": (CountingRecurrent, "referee"),
    "a counter that switches late": (Counting, "vmap"),
    "a counter of tests": (CountingTests, "vmap"),
    "a list of numbers": (Annealing, "vmap"),
    "a counter in an object": (CountingInAnObject, "vmap"),
    "a counter in an array": (CountingInAnArray, "vmap"),
    "a counter that begins anew each epoch": (CountingAnewEachEpoch, "vmap"),
    "a layer that thaws": (Warming, "referee"),
    "features without a gradient": (Frozen, "captured"),
    "a detached branch": (Detached, "captured"),
    "a head that nothing uses": (UnusedHead, "captured"),
    "layers skipped at random": (Skipping, "vmap"),
    "layers skipped by Python": (SkippingByPython, "vmap"),
    "layers skipped in turn": (SkippingInTurn, "vmap"),
    "start weights by numpy": (drawn_by_numpy, "captured"),
    "start weights by Python": (drawn_by_python, "captured"),
    "noise by numpy": (NumpysNoise, "vmap"),
    "dropout by numpy": (NumpysDropout, "vmap"),
    "complex weights": (Fourier, "referee"),
    "complex weights and biases": (ComplexBias, "referee"),
    "a complex buffer": (ComplexBuffer, "captured"),
    "pairs viewed as complex": (PairsOfNumbers, "captured"),
    "pairs behind a scalar": (PairsBehindAScalar, "captured"),
    "a scalar parameter": (Scaled, "captured"),
    "plain tensors": (PlainTensors, "captured"),
    "an infinite mask": (InfiniteMask, "captured"),
    "an infinite frozen parameter": (InfiniteFrozenMask, "captured"),
    "a parameter of whole numbers": (WholeNumbers, "captured"),
    "a constant that all networks share": (SharedConstant, "captured"),
    "a state with more than tensors": (MoreState, "captured"),
    "a sparse buffer": (SparseNeighbours, "referee"),
    "a sparse buffer in rows": (SparseNeighboursInRows, "referee"),
    "statistics in double precision": (DoubleStatistics, "captured"),
    "dropout of what was transposed": (DropoutOfTransposed, "captured"),
    "noise on what was transposed": (NoiseOnTransposed, "captured"),
    "dropout of what was permuted": (DropoutOfChannelsLast, "captured"),
    "batch norm without statistics": (WithoutRunningStatistics, "captured"),
    "examples compared with each other": (ComparedWithOthers, "captured"),
}


# ---- what is refused ----------------------------------------------------------------------------


class SeveralOutputs(Around):
    def forward(self, x):
        outputs = super().forward(x)
        return outputs, outputs.mean()


class NamedOutputs(Around):
    def forward(self, x):
        return {"logits": super().forward(x)}


class OtherOutputsInTests(Around):
    def forward(self, x):
        outputs = super().forward(x)
        return outputs if self.training else (outputs, None)


class Unregistered(Around):
    """Layers in a plain list: nothing trains them."""

    def prepare(self):
        self.more = [nn.Linear(8, 8)]

    def inner(self, h):
        return self.more[0](h)


class CentreLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(CLASSES, CLASSES))

    def forward(self, outputs, targets):
        distance = (outputs - self.centres.to(outputs.dtype)[targets]).square().mean()
        return functional.cross_entropy(outputs, targets) + distance


def loss_with(weight, outputs, targets):
    return functional.cross_entropy(outputs * weight, targets)


def tied_by_data():
    made = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, CLASSES))
    made[1].weight.data = made[0].weight.data
    return made


def buffer_in_a_parameter():
    made = mlp()
    made.register_buffer("copy", made[0].weight.data)
    return made


class Calls:
    """A network whose start depends on how often it was asked for."""

    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        made = mlp()
        made[0].weight.data.mul_(self.count)
        return made


def unseeded():
    made = mlp()
    noise = np.random.default_rng().standard_normal(made[0].weight.shape)
    made[0].weight.data.add_(torch.from_numpy(noise))
    return made


SHARED = nn.Linear(6, 8)
MADE = mlp()


def scripted():
    return torch.jit.script(mlp())


def lazy():
    return nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(CLASSES))


def lazy_norm():
    return nn.Sequential(nn.Linear(6, 8), nn.LazyBatchNorm1d(affine=False), nn.Linear(8, CLASSES))


REFUSED = {
    "the same network each time": ({"network": lambda: MADE}, "the same object at every call"),
    "a shared layer": (
        {"network": lambda: nn.Sequential(SHARED, nn.Tanh(), nn.Linear(8, CLASSES))},
        "networks that share '0.weight', so that training one would change the others",
    ),
    "weights tied by .data": (
        {"network": tied_by_data},
        "'1.weight' in the memory of '0.weight', a parameter; expected tensors apart",
    ),
    "a buffer in a parameter's memory": (
        {"network": buffer_in_a_parameter},
        "'copy' in the memory of '0.weight', a parameter; expected tensors apart",
    ),
    "a generator without a seed": ({"network": unseeded}, "other values of '0.weight'"),
    "a count of its calls": ({"network": Calls()}, "other values of '0.weight'"),
    "a scripted network": ({"network": scripted}, "expected the module itself, not scripted"),
    "a scripted part": (
        {"network": lambda: nn.Sequential(scripted(), nn.Identity())},
        "expected the module itself, not scripted",
    ),
    "DataParallel": (
        {"network": lambda: nn.DataParallel(mlp())},
        "a network wrapped in DataParallel; expected the module itself",
    ),
    "DataParallel inside": (
        {"network": lambda: nn.Sequential(nn.DataParallel(mlp()))},
        "a network wrapped in DataParallel; expected the module itself",
    ),
    "lazy layers": ({"network": lazy}, "tensors without a shape (0.weight, 0.bias, 2.weight"),
    "lazy statistics": ({"network": lazy_norm}, "tensors without a shape (1.running_mean"),
    "half precision": (
        {"network": lambda: mlp().half()},
        "parameter '0.weight' in float16, while the study trains in float32",
    ),
    "double precision": (
        {"network": lambda: mlp().double()},
        "parameter '0.weight' in float64, while the study trains in float32",
    ),
    "several outputs": (
        {"network": SeveralOutputs},
        "gave a tuple, no tensor; expected the class",
    ),
    "named outputs": ({"network": NamedOutputs}, "gave a dict, no tensor; expected the class"),
    "other outputs in tests": (
        {"network": OtherOutputsInTests},
        "the network in eval mode on a batch of 17 gave a tuple, no tensor",
    ),
    "layers in a list": (
        {"network": Unregistered},
        "the loss depends on a tensor of shape [8, 8] and a tensor of shape [8], with requires",
    ),
    "a loss with parameters": (
        {"loss": CentreLoss()},
        "the loss depends on its own parameter 'centres', with requires_grad",
    ),
    "a loss with a tensor that is trained": (
        {"loss": partial(loss_with, torch.ones(CLASSES, requires_grad=True))},
        "the loss depends on a tensor of shape [3], with requires_grad",
    ),
    "class weights in a partial": (
        {"loss": partial(functional.cross_entropy, weight=torch.ones(CLASSES))},
        "loss() in float64 failed: RuntimeError: expected scalar type",
        torch.float64,
    ),
}
