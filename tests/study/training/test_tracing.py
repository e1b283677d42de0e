"""Traced functions against the functions themselves, and against PyTorch's own tracer."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.func import functionalize, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from landscape_study.study.training.tracing import DataDependentError, trace

OWN = torch.arange(4.0)
LAYERS = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.GELU(), nn.Linear(6, 3)).double()


def gradient(w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        p = w.detach().requires_grad_()
        loss = (torch.tanh(x @ p).exp() * torch.tensor(2.0)).mean()
        (found,) = torch.autograd.grad(loss, [p])
    w.sub_(found)
    return found, loss.detach()


def of_all_cells(w: Tensor, x: Tensor) -> Tensor:
    with torch.enable_grad():
        p = w.expand(3, 4, 4).clone().requires_grad_()
        losses = vmap(lambda one: torch.softmax(x @ one, dim=1).square().sum())(p)
        (found,) = torch.autograd.grad(losses.sum(), [p])
    return found


def with_own_numbers(w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """Numbers from elsewhere, numbers made here and changed, and one that Python looks at."""
    made = torch.tensor([1.0, 2.0, 3.0, 4.0])
    made += OWN
    factor = torch.tensor(3.0).item()
    return x * OWN, x * made, x * factor


def in_pieces(w: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    values, places = x.sort(dim=1)
    first, *_ = w.split(2, dim=0)
    return values, places, first.view(-1).t_().clone()


def with_temporaries(w: Tensor, x: Tensor) -> Tensor:
    """Whose memory, and whose identity in Python, others may have afterwards."""
    total = torch.zeros_like(x)
    for step in range(20):
        total = total + (x * step).cos()
    return total


def in_layers(w: Tensor, x: Tensor) -> Tensor:
    return LAYERS.train()(x.double())


FUNCTIONS = [gradient, of_all_cells, with_own_numbers, in_pieces, with_temporaries, in_layers]


def arguments(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(4, 4, generator=generator), torch.randn(5, 4, generator=generator)]


def called(function, seed: int) -> list[Tensor]:
    """What it gives, and what becomes of its arguments and of the layers' buffers."""
    before = {name: b.clone() for name, b in LAYERS.named_buffers()}
    given = arguments(seed)
    with torch.no_grad():
        found = function(*given)
    found = [found] if isinstance(found, Tensor) else [*found]
    buffers = dict(LAYERS.named_buffers())
    after = [buffer.clone() for buffer in buffers.values()]
    for name, value in before.items():
        buffers[name].copy_(value)
    return [*found, *given, *after]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_a_graph_does_what_the_function_does_also_with_other_numbers(function, seed: int):
    with torch.no_grad():
        graph = trace(function, arguments(0))
    LAYERS[1].reset_running_stats()  # tracing was a call
    for ours, plain in zip(called(graph, seed), called(function, seed), strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=0)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_it_writes_down_what_pytorchs_own_tracer_does(function):
    def operations(graph) -> list[str]:
        graph.graph.eliminate_dead_code()
        nodes = [node for node in graph.graph.nodes if node.op == "call_function"]
        return [str(node.target) for node in nodes if "detach" not in str(node.target)]

    with torch.no_grad():
        ours = trace(function, arguments(0))
        theirs = make_fx(function)(*arguments(0))
        assert operations(ours) == operations(theirs)
        ours = trace(functionalize(ours), arguments(0))
        theirs = make_fx(functionalize(theirs))(*arguments(0))
        assert operations(ours) == operations(theirs)


def test_forms_are_told_without_numbers():
    with torch.no_grad():
        graph = trace(lambda x: x.t().contiguous().double(), [torch.ones(2, 3)])
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    shown = output.args[0].meta["val"]
    assert (shown.shape, shown.stride(), shown.dtype) == ((3, 2), (2, 1), torch.float64)
    assert shown.device.type == "meta"


def test_what_nobody_needs_is_left_out_but_what_acts_is_not():
    def function(x: Tensor) -> Tensor:
        x.exp()
        torch.rand(2)
        x.add_(1)
        return torch.zeros(2)

    with torch.no_grad():
        graph = trace(function, [torch.ones(2)])
    called = [str(n.target) for n in graph.graph.nodes if n.op == "call_function"]
    assert called == ["aten.rand.default", "aten.add_.Tensor", "aten.zeros.default"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 2 if x.sum() > 0 else x,
        lambda x: x * x.max().item(),
        lambda x: x * int(torch.rand(1) + x[0]),
        lambda x: x * torch.rand(()).item(),  # another number at each call
    ],
)
def test_whoever_looks_at_a_number_is_told(function):
    with torch.no_grad(), pytest.raises(DataDependentError, match="data-dependent control flow"):
        trace(function, [torch.ones(3)])


def test_casts_of_a_step_are_written_down_each_time():
    weight = torch.ones(4, 4)

    def function(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return x @ weight @ weight

    with torch.no_grad():
        function(torch.ones(2, 4))
        graph = trace(function, [torch.ones(2, 4)])
    x = torch.randn(2, 4)
    assert torch.equal(graph(x), function(x))
    assert torch.is_autocast_cache_enabled()


def test_it_imports_no_compiler():
    program = (
        "import sys, torch\n"
        "from landscape_study.study.training.tracing import trace\n"
        "graph = trace(lambda x: torch.func.vmap(torch.sin)(x), [torch.ones(3)])\n"
        "print(len(graph.graph.nodes), 'torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["3", "False"], done.stderr
