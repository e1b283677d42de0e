"""Programs: functions of tensors, traced once into graphs of plain operations.

A function may work in place on its arguments. All that changes from call to call must be among
them: everything else is frozen by tracing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule

from landscape_study.study.pairs.optimizer import TensorFunction
from landscape_study.study.training.engines.base import Programs, Run, Shapes, quiet_fallbacks
from landscape_study.study.training.tracing import trace


class Program:
    """Replays what `function` did when it was first called, on arguments of the same shapes.

    Args:
        function: of tensors, to a tuple of tensors; traced on copies, so that tracing leaves
            neither its arguments nor the random state changed. It is called as it is for other
            shapes, which are few and rare: a last partial batch.
        name: what tells it from others, in the same task and study.
        programs: where the graphs of earlier chunks are.
    """

    def __init__(self, function: TensorFunction, name: str, programs: Programs) -> None:
        self.function, self.name, self.programs = function, name, programs
        self.replayed: tuple[Shapes, Run] | None = None

    def __call__(self, *tensors: Tensor) -> Sequence[Tensor]:
        """What the function gives for these tensors."""
        shapes = tuple(tensor.shape for tensor in tensors)
        if self.replayed is None:
            self.replayed = shapes, self._prepare(shapes, tensors)
        run = self.replayed[1] if shapes == self.replayed[0] else self.function
        found: Sequence[Tensor] = run(*tensors)
        return found

    def _prepare(self, shapes: Shapes, tensors: Sequence[Tensor]) -> Run:
        key, known = (self.name, shapes), self.programs.graphs
        if key not in known:
            known[key] = replayed(self.function, tensors)
        # What a GPU records belongs to this chunk's tensors.
        on_gpu = tensors[0].device.type == "cuda"
        return CudaGraph(known[key], tensors) if on_gpu else known[key]


def replayed(function: TensorFunction, tensors: Sequence[Tensor]) -> GraphModule:
    """What does again what the function does on tensors of these shapes; they stay as they are."""
    cuda = sorted({t.device.index or 0 for t in tensors if t.device.type == "cuda"})
    with torch.random.fork_rng(cuda), torch.no_grad(), quiet_fallbacks():
        return trace(function, [tensor.clone() for tensor in tensors])


class CudaGraph:
    """A graph recorded once on the GPU and replayed by one call from the host.

    Arguments that stay where they were when it was recorded (parameters, moments, buffers) are
    used in place; others (batches) are copied there. What it returns is overwritten by the next
    call.
    """

    WARM_UP = 3  # calls before recording, which let libraries choose and allocate

    def __init__(self, graph: Run, tensors: Sequence[Tensor]) -> None:
        self.held = [_lasting(tensor) for tensor in tensors]
        before = [tensor.clone() for tensor in self.held]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), torch.no_grad():
            for _ in range(self.WARM_UP):
                graph(*self.held)
        torch.cuda.current_stream().wait_stream(stream)
        self.recorded = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self.recorded):
            self.results = graph(*self.held)
        for tensor, value in zip(self.held, before, strict=True):
            tensor.copy_(value)

    def __call__(self, *tensors: Tensor) -> Sequence[Tensor]:
        """Replay on these tensors."""
        copy_where_moved(self.held, tensors)
        self.recorded.replay()
        return self.results


def _lasting(tensor: Tensor) -> Tensor:
    """The tensor itself, or a copy where it is a view into something larger, as test batches."""
    whole = tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if whole else tensor.clone()


def copy_where_moved(held: Sequence[Tensor], tensors: Sequence[Tensor]) -> None:
    """Copy into each held tensor what is now elsewhere in memory."""
    for there, tensor in zip(held, tensors, strict=True):
        if there.data_ptr() != tensor.data_ptr():
            there.copy_(tensor)
