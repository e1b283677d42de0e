"""A small network whose copies are trained by a pair, with stacked parameters.

Letters: K cells, P parameters.
"""

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from landscape_study.study.pairs.decay_groups import decaying
from landscape_study.study.pairs.optimizer import PairOptimizer
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.schedules import Cosine, WarmRestarts, WarmupStableDecay
from landscape_study.study.training.hidden_weights import hidden_matrices

STEPS = 120  # many more, and the layer norm of weights that decay makes rounding large
BATCHES_PER_EPOCH = 4
EPOCHS = STEPS // BATCHES_PER_EPOCH
PAPERS = Options()
SCHEDULES = {
    "cosine": Cosine(),
    "restarts": WarmRestarts(t_0=4, t_mult=2),
    "warmup": WarmupStableDecay(warmup=0.2, decay=0.4),
}

# α and λ of the stacked cells; λ = 0 and λ·α far apart are among them.
CELLS = [(0.02, 0.0), (0.02, 0.01), (0.005, 0.1), (0.001, 0.001)]
ALPHA = torch.tensor([alpha for alpha, _ in CELLS], dtype=torch.float64)
LAMBDA = torch.tensor([lambda_ for _, lambda_ in CELLS], dtype=torch.float64)


def small_network():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(5, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)
    ).double()


def smooth_network():
    """Without the layer norm, over which decaying weights make rounding large."""
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def deep_network():
    """Likewise, with a hidden matrix."""
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)
    ).double()


def batch(step):
    generator = torch.Generator().manual_seed(step % BATCHES_PER_EPOCH)
    inputs = torch.randn(10, 5, generator=generator, dtype=torch.float64)
    return inputs, inputs[:, :3].argmax(dim=1)


class StackedNetworks:
    """K copies of a network with flat parameters theta [K, P], and their gradients."""

    def __init__(self, network, cells):
        self.network = network
        self.shapes = {name: p.shape for name, p in network.named_parameters()}
        self.widths = [shape.numel() for shape in self.shapes.values()]
        self.theta = nn.utils.parameters_to_vector(network.parameters()).detach().repeat(cells, 1)

        def loss(flat, inputs, targets):
            parts = flat.split([shape.numel() for shape in self.shapes.values()])
            views = zip(self.shapes.items(), parts, strict=True)
            named = {name: part.view(shape) for (name, shape), part in views}
            return nn.functional.cross_entropy(functional_call(network, named, inputs), targets)

        hidden = hidden_matrices(network)
        self.hidden = [hidden.get(name) for name in self.shapes]
        self.gradients = vmap(grad(loss), in_dims=(0, None, None))

    def matrices(self, widths):
        """Hidden ones, where columns are those of the network's parameters."""
        return self.hidden if widths == self.widths else None


def train_stacked(
    pair,
    alpha,
    lambda_,
    *,
    options=PAPERS,
    schedule=SCHEDULES["cosine"],
    steps=STEPS,
    epochs=EPOCHS,
    decays=None,
    network=small_network,
):
    """Parameters [K, P] after `steps` steps of PairOptimizer."""
    stack = StackedNetworks(network(), len(alpha))
    widths = stack.widths if decays is None else [1] * len(decays)
    decays = decays or decaying({name: len(s) for name, s in stack.shapes.items()}, options)
    optimizer = PairOptimizer(
        pair, stack.theta, alpha, lambda_, options, decays, widths, stack.matrices(widths)
    )
    for step in range(steps):
        eta = schedule.eta(step / BATCHES_PER_EPOCH, epochs)
        optimizer.step(stack.gradients(stack.theta, *batch(step)), eta)
    return stack.theta


def largest_difference(a, b):
    return (a - b).abs().max().item()
