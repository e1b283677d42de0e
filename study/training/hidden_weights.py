"""Which parameters of a network are hidden matrices: Muon's."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from landscape_study.study.pairs.registry import Pair
from landscape_study.study.pairs.rules import rule_called

Matrix = tuple[int, int]  # rows, columns


def hidden_matrices(network: nn.Module) -> dict[str, Matrix]:
    """Rows and columns of the hidden matrices among the trained parameters, by name.

    Hidden are weights of PyTorch's own layers (linear, convolutional, attention, recurrent) that
    are neither the first nor the last parameter of two dimensions or more: input and output of a
    network go otherwise, and so do embeddings. Of a convolution, rows are output channels.
    """
    layers = {path for path, module in network.named_modules() if _is_layer(module)}
    large = {name: p for name, p in network.named_parameters() if p.requires_grad and p.ndim >= 2}
    return {
        name: (len(large[name]), large[name].numel() // len(large[name]))
        for name in list(large)[1:-1]
        if name.rpartition(".")[0] in layers and not large[name].is_complex()
    }


def matrices_for(
    pair: Pair, network: nn.Module, names: Iterable[str]
) -> list[Matrix | None] | None:
    """Which of the named parameters a pair treats as matrices; None where its rule treats none."""
    if not rule_called(pair.rule).takes_matrices:
        return None
    hidden = hidden_matrices(network)
    return [hidden.get(name) for name in names]


def _is_layer(module: nn.Module) -> bool:
    """Whether it is one of PyTorch's own, and no embedding."""
    is_torchs = type(module).__module__.startswith("torch.nn.")
    return is_torchs and not isinstance(module, nn.Embedding | nn.EmbeddingBag)
