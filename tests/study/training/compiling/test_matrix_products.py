"""Products of matrices and matrices turned, of all the sizes where their code takes turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor

from landscape_study.study.training.compiling import library
from landscape_study.study.training.compiling.cell_graph import cell_graph
from landscape_study.study.training.compiling.program_source import source_of
from tests.study.training.compiling.calling import called

pytestmark = [
    pytest.mark.slow,
    pytest.mark.arithmetic,
    pytest.mark.skipif(library.why_not() is not None, reason=str(library.why_not())),
]

KINDS = [torch.float32, torch.float64]
# Around whole vectors of 4, 8 and 16 numbers, and tiles of several of them.
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 33, 48, 50, 64, 65, 79, 80, 81, 96, 100, 129)
LONG = (64, 100, 129, 250, 800)  # numbers of a sum


@pytest.fixture(scope="module", autouse=True)
def _one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What all programs have in common is compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("matrices")))
        yield


def whole(kind: torch.dtype, *sizes: int) -> Tensor:
    """Small whole numbers, whose sums are exact in any order."""
    numbers = torch.randint(-4, 5, sizes, generator=torch.Generator().manual_seed(sum(sizes)))
    return numbers.to(kind)


def assert_exact(functions: Sequence[Callable[[], Tensor]], *given: Tensor) -> str:
    """What each function gives of the tensors, in one program; its text."""

    def together(*tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(function(*tensors) for function in functions)

    source = source_of(cell_graph(together, given))
    found = called(library.load(library.compiled(source)), [tensor[None] for tensor in given])
    for one, expected in zip(found, together(*given), strict=True):
        assert torch.equal(one[0], expected)
    return source.text


def cut(m: int, k: int, n: int) -> Callable[..., Tensor]:
    """The product of the first rows and columns of two matrices, as they lie."""
    return lambda a, b: a[:m, :k] @ b[:k, :n]


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_products_of_all_sizes(kind: torch.dtype):
    a, b = whole(kind, 129, 33), whole(kind, 33, 129)
    columns = [cut(7, 33, n) for n in SIZES]
    rows = [cut(m, 5, n) for m in SIZES for n in (3, 17, 64, 100)]
    text = assert_exact([*columns, *rows], a, b)
    assert "product_" in text
    assert "few_columns_" in text


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_products_of_what_is_turned(kind: torch.dtype):
    a, b = whole(kind, 129, 130), whole(kind, 130, 129)
    some = [(m, k, n) for m in (2, 16, 17, 50) for k in (3, 33, 129) for n in (2, 10, 16, 65)]
    left = [lambda a, b, s=s: a[: s[1], : s[0]].t() @ b[: s[1], : s[2]] for s in some]
    right = [lambda a, b, s=s: a[: s[0], : s[1]] @ b[: s[2], : s[1]].t() for s in some]
    both = [lambda a, b, s=s: a[: s[1], : s[0]].t() @ b[: s[2], : s[1]].t() for s in some]
    biased = [lambda a, b, s=s: torch.addmm(b[0, : s[2]], *_pair(a, b, s)) for s in some]
    assert "turned_" in assert_exact([*left, *right, *both, *biased], a, b)


def _pair(a: Tensor, b: Tensor, sizes: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    m, k, n = sizes
    return a[:m, :k], b[:n, :k].t()


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_long_sums(kind: torch.dtype):
    a, b = whole(kind, 9, 800), whole(kind, 21, 800)
    some = [(m, n, k) for m in (2, 3, 4, 5, 9) for n in (2, 4, 9, 21) for k in LONG]
    functions = [lambda a, b, s=s: a[: s[0], : s[2]] @ b[: s[1], : s[2]].t() for s in some]
    assert "long_sums_" in assert_exact(functions, a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_products_of_batches(kind: torch.dtype):
    a, b = whole(kind, 3, 20, 33), whole(kind, 3, 33, 100)
    few, long = (lambda a, b: a @ b[..., :10]), (lambda a, b: b[:, :2] @ b[:, :7].mT)
    text = assert_exact([torch.matmul, few, long, lambda a, b: b.mT @ a.mT], a, b)
    assert all(f"i++) {name}" in text for name in ("product_", "few_columns_", "long_sums_"))


@pytest.mark.parametrize("kind", KINDS)
def test_matrices_turned(kind: torch.dtype):
    a, images = whole(kind, 81, 129), whole(kind, 17, 3, 5, 4)
    sizes = [(m, n) for m in (8, 9, 16, 31, 64, 81) for n in (8, 15, 17, 33, 100, 129)]
    functions = [lambda a, b, s=s: a[: s[0], : s[1]].t().clone(**CLOSE) for s in sizes]
    functions += [lambda a, b, d=d: b.movedim(0, d).clone(**CLOSE) for d in (1, 2, 3)]
    assert "turned_" in assert_exact(functions, a, images)


CLOSE = {"memory_format": torch.contiguous_format}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_stays_where_it_is(value: float):
    """Columns that are computed for nothing, and numbers that are left out, spoil no other."""
    for function in (lambda a, b: a @ b.t()[:, :10], lambda a, b: a[:3] @ b[:5].t()):
        a, b = whole(torch.float32, 20, 100), whole(torch.float32, 20, 100)
        a[1, 99] = value
        source = source_of(cell_graph(lambda *t, f=function: (f(*t),), [a, b]))
        (found,) = called(library.load(library.compiled(source)), [a[None], b[None]])
        assert found[0].isfinite().equal(function(a, b).isfinite())
