"""Every pair against torch.optim in float64, and the paper's three propositions.

Letters: K cells, P parameters.
"""

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from landscape_study.study.pairs.decay_groups import decaying
from landscape_study.study.pairs.normalization import normalizer
from landscape_study.study.pairs.optimizer import PairOptimizer
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.placements import PLACEMENTS
from landscape_study.study.pairs.registry import PAIRS, Pair
from landscape_study.study.pairs.rules import RULES
from landscape_study.study.pairs.schedules import Cosine, WarmRestarts, WarmupStableDecay
from tests.study.references import REFERENCES, Group, groups_of

pytestmark = [pytest.mark.arithmetic, pytest.mark.slow]

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

        self.gradients = vmap(grad(loss), in_dims=(0, None, None))


def train_stacked(
    pair, alpha, lambda_, *, options=PAPERS, schedule=SCHEDULES["cosine"], steps=STEPS, decays=None
):
    """Parameters [K, P] after `steps` steps of PairOptimizer."""
    stack = StackedNetworks(small_network(), len(alpha))
    widths = stack.widths if decays is None else [1] * len(decays)
    decays = decays or decaying({name: len(s) for name, s in stack.shapes.items()}, options)
    optimizer = PairOptimizer(pair, stack.theta, alpha, lambda_, options, decays, widths)
    for step in range(steps):
        eta = schedule.eta(step / BATCHES_PER_EPOCH, EPOCHS)
        optimizer.step(stack.gradients(stack.theta, *batch(step)), eta)
    return stack.theta


def train_reference(pair_name, alpha, lambda_, *, options, schedule, steps=STEPS):
    """Parameters [P] of one cell after the same steps of torch.optim."""
    network = small_network()
    groups = groups_of(network, lambda_, options)
    step_once = REFERENCES[pair_name](groups, alpha, options)
    for step in range(steps):
        inputs, targets = batch(step)
        network.zero_grad()
        nn.functional.cross_entropy(network(inputs), targets).backward()
        if options.clip_norm < math.inf:
            nn.utils.clip_grad_norm_(network.parameters(), options.clip_norm)
        step_once(schedule.eta(step / BATCHES_PER_EPOCH, EPOCHS), 1.0)
    return nn.utils.parameters_to_vector(network.parameters()).detach()


def largest_difference(a, b):
    return (a - b).abs().max().item()


def test_every_pair_has_a_reference():
    assert REFERENCES.keys() == PAIRS.keys()


def test_every_rule_comes_with_every_place_for_lambda():
    assert {(p.rule, p.placement) for p in PAIRS.values()} == {
        (r, w) for r in RULES for w in PLACEMENTS
    }


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("name", PAIRS)
def test_stacked_cells_equal_torch_optim_cell_by_cell(name, schedule):
    theta = train_stacked(PAIRS[name], ALPHA, LAMBDA, schedule=schedule)
    assert theta.dtype == torch.float64
    start = nn.utils.parameters_to_vector(small_network().parameters())
    for k, (alpha, lambda_) in enumerate(CELLS):
        expected = train_reference(name, alpha, lambda_, options=Options(), schedule=schedule)
        assert largest_difference(expected, start) > 0.01  # something was trained
        assert largest_difference(theta[k], expected) < 1e-12, f"α = {alpha}, λ = {lambda_}"


@pytest.mark.parametrize(
    "options",
    [
        Options(momentum=0.0, beta1=0.0, beta2=0.0, eps=0.1),
        Options(momentum=0.5, beta1=0.7, beta2=0.9, eps=1e-3),
        Options(decay_1d=False),
        Options(no_decay=("*.bias", "1*")),
        Options(clip_norm=0.3),
    ],
    ids=["no memory", "short memory", "no decay of 1-D parameters", "no decay by name", "clipped"],
)
@pytest.mark.parametrize("name", PAIRS)
def test_options_mean_what_they_mean_to_torch_optim(name, options):
    k, run = 1, {"options": options, "schedule": SCHEDULES["cosine"], "steps": 60}
    theta = train_stacked(PAIRS[name], ALPHA, LAMBDA, **run)
    expected = train_reference(name, *CELLS[k], **run)
    assert largest_difference(theta[k], expected) < 1e-12


def lacking(step):
    """Which of the eight parameters lack a gradient: one always, others in some steps."""
    return {2, *([4, 5] if step % 3 == 0 else []), *([7] if step < 5 else [])}


@pytest.mark.parametrize("decay_1d", [True, False], ids=["all decay", "matrices decay"])
@pytest.mark.parametrize("name", PAIRS)
def test_what_has_no_gradient_is_left_alone_as_by_torch_optim(name, decay_1d):
    """No decay, no step by momentum, and no step counted by Adam's corrections."""
    k, options, schedule = 1, Options(decay_1d=decay_1d), SCHEDULES["cosine"]
    stack = StackedNetworks(small_network(), len(CELLS))
    widths = stack.widths
    decays = [decay_1d or len(shape) > 1 for shape in stack.shapes.values()]
    optimizer = PairOptimizer(
        PAIRS[name], stack.theta, ALPHA, LAMBDA, options, decays=decays, widths=widths
    )
    network = small_network()
    groups = groups_of(network, CELLS[k][1], options)
    step_once = REFERENCES[name](groups, CELLS[k][0], options)
    for step in range(40):
        eta = schedule.eta(step / BATCHES_PER_EPOCH, EPOCHS)
        gradients = stack.gradients(stack.theta, *batch(step))
        present = [i not in lacking(step) for i in range(len(widths))]
        optimizer.step(gradients, eta, present=present)
        network.zero_grad()
        inputs, targets = batch(step)
        nn.functional.cross_entropy(network(inputs), targets).backward()
        for i, p in enumerate(network.parameters()):
            if i in lacking(step):
                p.grad = None
        step_once(eta, 1.0)
    expected = nn.utils.parameters_to_vector(network.parameters()).detach()
    assert largest_difference(stack.theta[k], expected) < 1e-12
    start = nn.utils.parameters_to_vector(small_network().parameters()).split(widths)
    assert torch.equal(stack.theta[k].split(widths)[2], start[2])


@pytest.mark.parametrize("name", PAIRS)
def test_without_lambda_it_does_not_matter_where_lambda_enters(name):
    zero = torch.zeros_like(ALPHA)
    plain = Pair("plain", PAIRS[name].rule, "l2", "")
    assert torch.equal(
        train_stacked(PAIRS[name], ALPHA, zero, steps=20),
        train_stacked(plain, ALPHA, zero, steps=20),
    )


@pytest.mark.parametrize("name", PAIRS)
def test_a_cell_does_not_depend_on_its_neighbours(name):
    together = train_stacked(PAIRS[name], ALPHA, LAMBDA, steps=20)
    for k in range(len(CELLS)):
        alone = train_stacked(PAIRS[name], ALPHA[k : k + 1], LAMBDA[k : k + 1], steps=20)
        assert largest_difference(together[k], alone[0]) < 1e-14


@pytest.mark.parametrize(
    ("where", "decay"), [("decoupled", 0.5 * 0.25), ("scaled", 0.5 * 0.1 * 0.25)]
)
@pytest.mark.parametrize("rule", RULES)
def test_without_gradient_theta_decays_by_exactly_what_the_paper_says(rule, where, decay):
    theta = torch.tensor([[2.0, -4.0]], dtype=torch.float64)
    alpha, lambda_ = theta.new_tensor([0.1]), theta.new_tensor([0.25])
    optimizer = PairOptimizer(Pair("", rule, where, ""), theta, alpha, lambda_, Options())
    optimizer.step(torch.zeros(1, 2, dtype=torch.float64), eta=0.5)
    torch.testing.assert_close(
        theta, theta.new_tensor([[2.0, -4.0]]) * (1 - decay), rtol=1e-15, atol=0
    )


@pytest.mark.parametrize("name", ["sgdw", "adamw"])
def test_a_decay_of_few_ulps_is_not_biased_by_rounding_in_float32(name):
    """θ·(1 − 2.5e-7) would decay all weights by 2.38e-7: 4.6 % too little, each step again."""
    theta = torch.rand(1, 10_000, generator=torch.Generator().manual_seed(0))
    old, lambda_ = theta.double(), 2.5e-7
    optimizer = PairOptimizer(
        PAIRS[name], theta, torch.tensor([0.1]), torch.tensor([lambda_]), Options()
    )
    optimizer.step(torch.zeros_like(theta), eta=1.0)
    lost = (old - theta.double()).sum() / old.sum()
    assert lost.item() == pytest.approx(lambda_, rel=0.01)


@pytest.mark.parametrize("name", PAIRS)
def test_lambda_scale_multiplies_lambda(name):
    thetas = []
    for lambda_, scale in ((LAMBDA, 0.125), (LAMBDA * 0.125, 1.0)):
        stack = StackedNetworks(small_network(), len(CELLS))
        optimizer = PairOptimizer(PAIRS[name], stack.theta, ALPHA, lambda_, Options())
        for step in range(10):
            optimizer.step(stack.gradients(stack.theta, *batch(step)), 0.7, scale)
        thetas.append(stack.theta)
    assert largest_difference(*thetas) < 1e-14


# The paper's propositions


def test_proposition_1_for_sgd_l2_with_lambda_over_alpha_is_decoupled_decay():
    plain = Options(momentum=0.0)
    l2 = train_stacked(PAIRS["sgd"], ALPHA, LAMBDA / ALPHA, options=plain)
    decoupled = train_stacked(PAIRS["sgdw"], ALPHA, LAMBDA, options=plain)
    assert largest_difference(l2, decoupled) < 1e-12


def mismatch(pair, decoupled_pair, factors, options):
    """How far L2 training is from decoupled training for each L2 factor, [K].

    Relative to what decay does at all: 1 is as far as training without decay.
    """
    alpha = torch.tensor([0.02], dtype=torch.float64)
    lambda_ = alpha.clone()
    run = {"options": options, "steps": 40}
    wanted = train_stacked(decoupled_pair, alpha, lambda_, **run)
    undecayed = train_stacked(decoupled_pair, alpha, 0 * lambda_, **run)
    found = train_stacked(pair, alpha.expand(len(factors)), factors, **run)
    return (found - wanted).norm(dim=1) / (undecayed - wanted).norm()


def best_mismatch(pair, decoupled_pair, options):
    """The least mismatch over all L2 factors, by a grid that closes in on its best point."""
    low, high = math.log(1e-6), math.log(1e3)
    best = math.inf
    for _ in range(9):
        exponents = torch.linspace(low, high, 33, dtype=torch.float64)
        found = mismatch(pair, decoupled_pair, exponents.exp(), options)
        k = int(found.argmin())
        best = min(best, found[k].item())
        low, high = exponents[max(k - 1, 0)].item(), exponents[min(k + 1, 32)].item()
    return best


def test_proposition_2_for_adam_no_l2_factor_is_decoupled_decay_while_for_sgd_one_is():
    memoryless = Options(momentum=0.0)
    assert best_mismatch(PAIRS["sgd"], PAIRS["sgdw"], memoryless) < 1e-9
    assert best_mismatch(PAIRS["adam"], PAIRS["adamw"], memoryless) > 0.05


class FixedPreconditioner:
    """θ loses η_t·α·g / s, with s drawn once: Proposition 3's optimizer."""

    moments = 0

    def __init__(self, options):
        pass

    def corrections(self, t):
        return ()

    def update(self, g, rate, moments, corrections):
        return rate * g / scales(g.shape[1])


def scales(parameters):
    generator = torch.Generator().manual_seed(9)
    return torch.rand(parameters, generator=generator, dtype=torch.float64) * 3 + 0.2


def test_proposition_3_for_a_fixed_preconditioner_decoupled_decay_is_l2_scaled_by_s(monkeypatch):
    monkeypatch.setitem(RULES, "fixed", FixedPreconditioner)
    l2, decoupled = Pair("", "fixed", "l2", ""), Pair("", "fixed", "decoupled", "")
    s = scales(sum(p.numel() for p in small_network().parameters()))
    wanted = train_stacked(decoupled, ALPHA, LAMBDA)
    assert (
        largest_difference(train_stacked(l2, ALPHA, LAMBDA / ALPHA, decays=s.tolist()), wanted)
        < 1e-12
    )
    assert best_mismatch(l2, decoupled, Options()) > 0.05  # unscaled L2 is something else


@pytest.mark.parametrize(
    ("batch_size", "examples", "epochs", "factor"),
    [(1, 1, 1, 1.0), (128, 50_000, 100, math.sqrt(128 / 5_000_000)), (50, 500, 10, 0.1)],
)
def test_normalizer_is_the_papers_formula(batch_size, examples, epochs, factor):
    assert normalizer(batch_size, examples, epochs) == pytest.approx(factor, rel=1e-15)


def test_groups_of_the_reference_split_by_dimension():
    """Guards the reference itself: without this, decay_1d would be compared with itself."""
    matrices, vectors = groups_of(small_network(), 0.5, Options(decay_1d=False))
    assert isinstance(matrices, Group)
    assert (len(matrices.parameters), matrices.lambda_) == (3, 0.5)
    assert (len(vectors.parameters), vectors.lambda_) == (5, 0.0)
