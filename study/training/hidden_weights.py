"""Which parameters of a network are hidden matrices: Muon's."""

from __future__ import annotations

from torch import nn

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


def _is_layer(module: nn.Module) -> bool:
    """Whether it is one of PyTorch's own, and no embedding."""
    is_torchs = type(module).__module__.startswith("torch.nn.")
    return is_torchs and not isinstance(module, nn.Embedding | nn.EmbeddingBag)
