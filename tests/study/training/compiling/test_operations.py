"""What compiled programs compute, operation by operation, against PyTorch in double precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from landscape_study.study.training.compiling import library
from landscape_study.study.training.compiling.cell_graph import cell_graph
from landscape_study.study.training.compiling.program_source import source_of
from landscape_study.study.training.compiling.values import NotCompilableError
from tests.study.training.compiling.calling import called

pytestmark = [
    pytest.mark.slow,
    pytest.mark.arithmetic,
    pytest.mark.skipif(library.why_not() is not None, reason=str(library.why_not())),
]

CELLS = 3
NAN, INF = float("nan"), float("inf")

# Functions of x and y [4, 5], positive p [4, 5], whole i [4] of 0 to 3, images m [2, 3, 6, 7].
GROUPS: dict[str, list[Callable[..., Any]]] = {
    "arithmetic": [
        lambda x, y, p, i, m: x + y,
        lambda x, y, p, i, m: torch.add(x, y, alpha=3),
        lambda x, y, p, i, m: x - 2,
        lambda x, y, p, i, m: torch.sub(x, y, alpha=0.5),
        lambda x, y, p, i, m: 3 - x,
        lambda x, y, p, i, m: x * y[0],
        lambda x, y, p, i, m: x / p,
        lambda x, y, p, i, m: x.div(p, rounding_mode="floor"),
        lambda x, y, p, i, m: x.div(p, rounding_mode="trunc"),
        lambda x, y, p, i, m: x.remainder(p),
        lambda x, y, p, i, m: (i - 2) // 2,
        lambda x, y, p, i, m: (i - 2) % 2,
        lambda x, y, p, i, m: torch.addcmul(x, y, p, value=0.3),
        lambda x, y, p, i, m: torch.addcdiv(x, y, p, value=0.3),
        lambda x, y, p, i, m: x.lerp(y, 0.25),
        lambda x, y, p, i, m: -x.abs() + x.sign(),
        lambda x, y, p, i, m: i * 2 + x[:, 0],
    ],
    "functions": [
        lambda x, y, p, i, m: x.exp() + p.log() + x.expm1() + p.log1p() + p.log2(),
        lambda x, y, p, i, m: p.sqrt() + p.rsqrt() + p.reciprocal(),
        lambda x, y, p, i, m: x.sin() + x.cos() + x.tanh() + x.erf() + x.sigmoid(),
        lambda x, y, p, i, m: x**2 + x**3 + p**0.5 + p**1.7 + p**y + 2.0**x,
        lambda x, y, p, i, m: x.floor() + x.ceil() + x.round() + x.trunc(),
        lambda x, y, p, i, m: F.relu(x) + F.leaky_relu(x, 0.1) + F.elu(x) + F.silu(x),
        lambda x, y, p, i, m: F.gelu(x) + F.gelu(x, approximate="tanh") + F.softplus(x),
        lambda x, y, p, i, m: F.hardtanh(x) + F.hardswish(x) + F.mish(x) + F.logsigmoid(x),
        lambda x, y, p, i, m: torch.atan2(x, y),
    ],
    "comparisons": [
        lambda x, y, p, i, m: torch.stack([x > y, x >= 0, x < y, x <= 0, x == y, x != y]),
        lambda x, y, p, i, m: (x > 0) & (y > 0) | ~(p > 1),
        lambda x, y, p, i, m: torch.logical_and(x > 0, y > 0) ^ torch.logical_not(x > y),
        lambda x, y, p, i, m: torch.where(x > 0, x, y.exp()),
        lambda x, y, p, i, m: x.masked_fill(x > 0, -INF),
        lambda x, y, p, i, m: x.clamp(-0.5, 0.5) + x.clamp(min=y) + x.clamp(max=0),
        lambda x, y, p, i, m: torch.maximum(x, y) - torch.minimum(x, y),
        lambda x, y, p, i, m: (i == 2).long() + (i > 1.5).long(),
        lambda x, y, p, i, m: x.prod() + x.prod(1) + x[:, 0].fmod(0.3) + (i - 2).fmod(2),
    ],
    "collecting": [
        lambda x, y, p, i, m: x.sum(),
        lambda x, y, p, i, m: x.sum(0) + x.mean(0),
        lambda x, y, p, i, m: x.sum(1, keepdim=True) * x,
        lambda x, y, p, i, m: m.sum((0, 2, 3)) + m.mean((0, 2, 3)),
        lambda x, y, p, i, m: m.permute(1, 0, 3, 2).sum((1, 3)),
        lambda x, y, p, i, m: torch.stack([x.var(), x.std(), x.var(correction=0)]),
        lambda x, y, p, i, m: m.var((0, 2), keepdim=True),
        lambda x, y, p, i, m: x.amax(1) + x.amin(0)[:4] + x.max() + x.min(),
        lambda x, y, p, i, m: x.argmax(1) + x.argmin(1) + x.argmax(),
        lambda x, y, p, i, m: torch.cat([*x.max(0)][:1] + [*x.min(1, keepdim=True)][:1][0:0]),
        lambda x, y, p, i, m: torch.stack([(x > 2).any(), (x > -9).all(), (x > y).any(0)[0]]),
        lambda x, y, p, i, m: x.norm() + x.norm(dim=1).sum() + x.logsumexp(1).sum(),
        lambda x, y, p, i, m: x.softmax(1) + x.log_softmax(0),
        lambda x, y, p, i, m: F.cross_entropy(x, i) + F.cross_entropy(x, i, label_smoothing=0.1),
        lambda x, y, p, i, m: F.mse_loss(x, y) + F.huber_loss(x, y) + F.l1_loss(x, y),
        lambda x, y, p, i, m: F.layer_norm(x, (5,)) + F.normalize(x),
        lambda x, y, p, i, m: F.group_norm(m, 3) + F.batch_norm(m, None, None, training=True),
    ],
    "products": [
        lambda x, y, p, i, m: x @ y.t(),
        lambda x, y, p, i, m: x.t() @ y,
        lambda x, y, p, i, m: (x + 1) @ (y * p).t(),
        lambda x, y, p, i, m: F.linear(x, y, y[:, 0]),
        lambda x, y, p, i, m: F.linear(x, y[:1], y[:1, 0]),
        lambda x, y, p, i, m: x[:1] @ y.t() + x @ y[0],
        lambda x, y, p, i, m: torch.bmm(m[0], m[1].transpose(1, 2)),
        lambda x, y, p, i, m: m @ m.transpose(2, 3),
        lambda x, y, p, i, m: torch.addmm(x @ y.t(), x, y.t(), beta=2, alpha=0.5),
        lambda x, y, p, i, m: torch.einsum("ab,cb->ac", x, y) + torch.outer(x[:, 0], y[:, 1]),
        lambda x, y, p, i, m: torch.stack([x[0] @ y[0], (i @ i).double()]),
        lambda x, y, p, i, m: (m.flatten(1) @ m.flatten(1).t()).relu(),
    ],
    "places": [
        lambda x, y, p, i, m: x[i] + x[i, i][:, None],
        lambda x, y, p, i, m: x[:, i[:2]],
        lambda x, y, p, i, m: x.gather(1, i[:, None]) + x[torch.arange(4), -1 - i][:, None],
        lambda x, y, p, i, m: F.embedding(i[None], x),
        lambda x, y, p, i, m: x.index_add(0, i, y) + x.scatter(1, i[:, None], 7.0),
        lambda x, y, p, i, m: x.scatter_add(0, i[None].expand(2, 4), y[:2, :4]),
        lambda x, y, p, i, m: x.index_put((i,), y, accumulate=True),
        lambda x, y, p, i, m: x.index_select(1, i).t(),
        lambda x, y, p, i, m: torch.cat([x, y[:1], x[:0]]).flip(0) + torch.stack([x[0]] * 5),
        lambda x, y, p, i, m: F.pad(m, (1, 2, 0, 1), value=0.5) + F.pad(m, (2, 1, 1, 0)),
        lambda x, y, p, i, m: F.pad(m, (-1, 1, 2, -2)),
        lambda x, y, p, i, m: m.flatten(1).view(2, 7, 18).transpose(1, 2).reshape(4, -1),
        lambda x, y, p, i, m: m[:, 1, ::2, 1:6].unfold(2, 3, 2) * 2,
        lambda x, y, p, i, m: (m * 2).permute(2, 0, 3, 1)[..., None].expand(6, 2, 7, 3, 2).sum(4),
        lambda x, y, p, i, m: x.repeat(2, 3) + x.tile(2, 3) + x.roll(1, 1).repeat(2, 3),
        lambda x, y, p, i, m: x.tril() + x.triu(1) + torch.eye(4, 5),
        lambda x, y, p, i, m: torch.arange(5) * x + torch.linspace(0, 1, 5),
        lambda x, y, p, i, m: sum(
            part.sum() for part in (*x.chunk(2), *x.split(2, 1), *x.unbind())
        ),
    ],
    "collecting one": [
        lambda x, y, p, i, m: x[:1].sum(0),
        lambda x, y, p, i, m: x[:1, :1].sum(),
        lambda x, y, p, i, m: x[0, 0].sum(),
        lambda x, y, p, i, m: (x[:1] * 2).mean(0),
        lambda x, y, p, i, m: x[:, 1:2].prod(1, keepdim=True),
        lambda x, y, p, i, m: m[1:, :, :1].amax((0, 2)),
        lambda x, y, p, i, m: (x[2:3] > 0).any(0),
        lambda x, y, p, i, m: x[2:3].argmax(0),
        lambda x, y, p, i, m: torch.var_mean(m[:1], dim=(0, 2), correction=0)[0],
        lambda x, y, p, i, m: x[:1].softmax(0),
    ],
    "pooling": [
        lambda x, y, p, i, m: F.max_pool2d(m, 2),
        lambda x, y, p, i, m: F.max_pool2d(m, 3, stride=2, padding=1),
        lambda x, y, p, i, m: F.max_pool1d(m[0], 3),
        lambda x, y, p, i, m: F.avg_pool2d(m, 2),
        lambda x, y, p, i, m: F.avg_pool2d(m, 3, stride=2, padding=1),
        lambda x, y, p, i, m: F.avg_pool2d(m, 3, padding=1, count_include_pad=False),
        lambda x, y, p, i, m: F.adaptive_avg_pool2d(m, 1),
    ],
}


@pytest.fixture(scope="module", autouse=True)
def _one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Products of matrices are compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("operations")))
        yield


def arguments() -> list[Tensor]:
    """Of all cells, [K, …]."""
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(2, CELLS, 4, 5, generator=generator, dtype=torch.float64)
    images = torch.randn(CELLS, 2, 3, 6, 7, generator=generator, dtype=torch.float64)
    numbers = torch.stack([torch.randperm(4, generator=generator) for _ in range(CELLS)])
    return [x, y, y.abs() + 0.1, numbers, images]


def assert_same(function: Callable[..., Any], tensors: list[Tensor]) -> None:
    """Compiled, it gives every cell what PyTorch gives it, and moves what that moves."""
    ours, theirs = [t.clone() for t in tensors], [t.clone() for t in tensors]
    source = source_of(cell_graph(function, [t[0] for t in tensors]))
    found = called(library.load(library.compiled(source)), ours)
    for k in range(CELLS):
        for one, other in zip(found, function(*(t[k] for t in theirs)), strict=True):
            torch.testing.assert_close(one[k], other, rtol=1e-12, atol=1e-12, equal_nan=True)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.some(3)
@pytest.mark.parametrize("name", list(GROUPS))
def test_operations(name: str):
    """All of a group in one program."""
    assert_same(lambda *tensors: tuple(f(*tensors) for f in GROUPS[name]), arguments())


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["functions", "collecting", "collecting one", "products", "places", "pooling"]
)
def test_gradients(name: str):
    """Of whatever has one, with respect to all that it depends on."""

    def gradients(*tensors: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            leaves = [t.detach().requires_grad_(t.is_floating_point()) for t in tensors]
            outputs = [one(*leaves) for one in GROUPS[name]]
            total = sum((o * o.detach().cos()).sum() for o in outputs if o.requires_grad)
            wanted = [leaf for leaf in leaves if leaf.requires_grad]
            return torch.autograd.grad(total, wanted, materialize_grads=True)

    assert_same(gradients, arguments())


def test_what_is_changed_in_place_is():
    def change(x: Tensor, y: Tensor, p: Tensor, i: Tensor, m: Tensor) -> tuple[Tensor]:
        before = x.sum()
        x.mul_(2).add_(y)
        y[1:].copy_(x[:-1])
        m[:, 0].zero_()
        x, y = y, x  # two that change, each read by the other
        p.copy_(y)
        i.add_(1)
        return (before + m.sum(),)

    assert_same(change, arguments())


def test_arguments_that_change_into_each_other():
    def change(x: Tensor, y: Tensor, p: Tensor, i: Tensor, m: Tensor) -> tuple[Tensor]:
        old = x.clone()
        x.copy_(y * 2)
        y.copy_(old * 3)
        p.copy_(p.flip(0) + 1)
        m.copy_(m.permute(0, 1, 2, 3) * 2)
        m[0].copy_(m[1])
        i.copy_(i[i])
        return (x + y,)

    assert_same(change, arguments())


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_what_is_no_number_is_seen(value: float):
    """A NaN stays one, in extremes too: cells that diverge must be told."""
    tensors = arguments()
    tensors[0][1, 2, 3] = value

    def seen(x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        whole = (x.sum(), x.amax(), x.amin(), x.relu().sum(), x.softmax(1).sum(), x.exp().sum())
        rows = (x.amax(0), x.argmax(1), x.clamp(-1, 1), x.isnan(), x.isinf(), torch.sign(x))
        return (*whole, *rows, torch.maximum(x, x.flip(0)), x @ x.t())

    assert_same(seen, tensors)


def test_there_are_things_for_which_there_is_no_code():
    for function, word in (
        (lambda x, *_: (x.sort().values,), "aten.sort"),
        (lambda x, *_: (x.to(torch.complex128).abs(),), "complex128"),
        (lambda x, *_: (x.bfloat16().float(),), "bfloat16"),
        (lambda x, *_: (torch.bernoulli(x.sigmoid()),), "random numbers of"),
    ):
        with pytest.raises(NotCompilableError, match=word):
            source_of(cell_graph(function, [t[0] for t in arguments()]))
