"""Every pair against torch.optim in float64, and the paper's three propositions.

Letters: K cells, P parameters.
"""

import math
import re
from itertools import product

import pytest
import torch
from torch import nn

from landscape_study.study.pairs.normalization import normalizer
from landscape_study.study.pairs.optimizer import PairOptimizer
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.placements import PLACEMENTS
from landscape_study.study.pairs.registry import PAIRS, Pair, pair_called
from landscape_study.study.pairs.rules import RULES
from tests.study.pairs.stacked_networks import (
    ALPHA,
    BATCHES_PER_EPOCH,
    CELLS,
    EPOCHS,
    LAMBDA,
    SCHEDULES,
    STEPS,
    StackedNetworks,
    batch,
    largest_difference,
    small_network,
    train_stacked,
)
from tests.study.references import CLASSIC, REFERENCES, SOME, Group, groups_of
from tests.study.references import SHORT as SHORT_NAMES

pytestmark = [pytest.mark.arithmetic, pytest.mark.slow]


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


def test_every_pair_has_a_reference():
    assert REFERENCES.keys() == PAIRS.keys()


def test_every_rule_comes_with_every_place_for_lambda():
    found = {(p.rule, p.placement, p.cautious) for p in PAIRS.values()}
    every = set(product(RULES, PLACEMENTS, (False, True)))
    assert every - found == {(rule, "l2", True) for rule in RULES}
    assert not found - every


def test_names_are_those_of_rule_and_placement():
    for pair in PAIRS.values():
        whole = f"{pair.rule}-{pair.placement}{'-cautious' * pair.cautious}"
        assert pair_called(whole) == pair_called(pair.name) == pair
    assert len({pair.title for pair in PAIRS.values()}) == len(PAIRS)
    assert [pair.name for pair in map(pair_called, SHORT_NAMES)] == list(SHORT_NAMES.values())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lion", "pair 'lion' does not say where λ enters: choose one of lion-l2, "),
        ("lion-scald", "unknown pair 'lion-scald': did you mean lion-scaled or "),
        ("adam-l2-cautious", "λ in the gradient cannot be cautious: leave that out"),
        ("lion-l2-cautious", "λ in the gradient cannot be cautious: leave that out"),
        ("§", "unknown pair '§': `landscape pairs` lists all"),
    ],
)
def test_wrong_names_are_told(name: str, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        pair_called(name)


@pytest.mark.some(12)
@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        *(pytest.param(*one, id="-".join(one)) for one in product(CLASSIC, SCHEDULES)),
        *(
            pytest.param(name, "cosine", id=name, marks=() if name in SOME else pytest.mark.long)
            for name in PAIRS
            if name not in CLASSIC
        ),
    ],
)
def test_stacked_cells_equal_torch_optim_cell_by_cell(name, schedule):
    schedule = SCHEDULES[schedule]
    careful, steps = caution(name), STEPS if name in SOME else STEPS // 2
    how = {"schedule": schedule, "steps": steps}
    theta = train_stacked(PAIRS[name], careful * ALPHA, LAMBDA, **how)
    assert theta.dtype == torch.float64
    start = nn.utils.parameters_to_vector(small_network().parameters())
    for k, (alpha, lambda_) in enumerate(CELLS):
        expected = train_reference(name, careful * alpha, lambda_, options=Options(), **how)
        assert largest_difference(expected, start) > 1e-3  # something was trained
        assert largest_difference(theta[k], expected) < 1e-12, f"α = {alpha}, λ = {lambda_}"


@pytest.mark.some(20)
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
@pytest.mark.parametrize("name", SOME)
def test_options_mean_what_they_mean_to_torch_optim(name, options):
    if name.startswith("schedulefree") and options.beta1 == 0:
        options = options.model_copy(update={"momentum": 0.1, "beta1": 0.1})  # it needs some
    k, run = 1, {"options": options, "schedule": SCHEDULES["cosine"], "steps": 60}
    careful = caution(name)
    theta = train_stacked(PAIRS[name], careful * ALPHA, LAMBDA, **run)
    expected = train_reference(name, careful * CELLS[k][0], CELLS[k][1], **run)
    assert largest_difference(theta[k], expected) < 1e-12


def caution(name):
    """RMSprop's first steps are 1/√(1 − β2) times as large, and make rounding large."""
    return 0.05 if name.startswith("rmsprop") else 1.0


def lacking(step):
    """Which of the eight parameters lack a gradient: one always, others in some steps."""
    return {2, *([4, 5] if step % 3 == 0 else []), *([7] if step < 5 else [])}


@pytest.mark.some(10)
@pytest.mark.parametrize("decay_1d", [True, False], ids=["all decay", "matrices decay"])
@pytest.mark.parametrize("name", [name for name in SOME if name != "schedulefree-adam-scaled"])
def test_what_has_no_gradient_is_left_alone_as_by_torch_optim(name, decay_1d):
    """No decay, no step by momentum, and no step counted by Adam's corrections.

    Schedule-free Adam of its authors counts the steps of all parameters together.
    """
    k, options, schedule = 1, Options(decay_1d=decay_1d), SCHEDULES["cosine"]
    stack = StackedNetworks(small_network(), len(CELLS))
    widths = stack.widths
    decays = [decay_1d or len(shape) > 1 for shape in stack.shapes.values()]
    optimizer = PairOptimizer(
        *(PAIRS[name], stack.theta, caution(name) * ALPHA, LAMBDA, options),
        decays=decays,
        widths=widths,
        matrices=stack.hidden,
    )
    network = small_network()
    groups = groups_of(network, CELLS[k][1], options)
    step_once = REFERENCES[name](groups, caution(name) * CELLS[k][0], options)
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


@pytest.mark.parametrize("name", SOME)
def test_without_lambda_it_does_not_matter_where_lambda_enters(name):
    zero = torch.zeros_like(ALPHA)
    plain = Pair("plain", PAIRS[name].rule, "l2", "")
    assert torch.equal(
        train_stacked(PAIRS[name], ALPHA, zero, steps=20),
        train_stacked(plain, ALPHA, zero, steps=20),
    )


@pytest.mark.some(8)
@pytest.mark.parametrize("name", SOME)
def test_a_cell_does_not_depend_on_its_neighbours(name):
    together = train_stacked(PAIRS[name], ALPHA, LAMBDA, steps=20)
    for k in range(len(CELLS)):
        alone = train_stacked(PAIRS[name], ALPHA[k : k + 1], LAMBDA[k : k + 1], steps=20)
        assert largest_difference(together[k], alone[0]) < 1e-14


@pytest.mark.parametrize(
    ("where", "decay"),
    [
        ("decoupled", 0.5 * 0.25),
        ("scaled", 0.5 * 0.1 * 0.25),
        ("unscheduled", 0.25),
        ("corrected", 0.5**2 * 0.1 * 0.25),
        ("squared", 0.5**2 * 0.1**2 * 0.25),
    ],
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


@pytest.mark.parametrize("name", SOME)
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


@pytest.mark.long
def test_proposition_2_for_adam_no_l2_factor_is_decoupled_decay_while_for_sgd_one_is():
    memoryless = Options(momentum=0.0)
    assert best_mismatch(PAIRS["sgd"], PAIRS["sgdw"], memoryless) < 1e-9
    assert best_mismatch(PAIRS["adam"], PAIRS["adamw"], memoryless) > 0.05


class FixedPreconditioner:
    """θ loses η_t·α·g / s, with s drawn once: Proposition 3's optimizer."""

    moments = 0
    takes_matrices = averages = False

    def __init__(self, options):
        pass

    def corrections(self, t):
        return ()

    def update(self, g, rate, moments, corrections):
        return rate * g / scales(g.shape[1])


def scales(parameters):
    generator = torch.Generator().manual_seed(9)
    return torch.rand(parameters, generator=generator, dtype=torch.float64) * 3 + 0.2


@pytest.mark.long
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
