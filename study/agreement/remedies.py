"""What to change in a network that an engine does not train as the referee does.

The words that PyTorch (2.6 to 2.13) says of what it cannot do, and the finding's own.
"""

from __future__ import annotations

import re

REMEDIES: tuple[tuple[str, str], ...] = (  # the first whose pattern is found
    (
        r"\.item\(\) on a Tensor",
        "keep the number a tensor: `x / x.abs().max()` in place of `x / x.abs().max().item()`",
    ),
    (
        r"data-dependent control flow|_local_scalar_dense",
        "torch.where in place of `if` (and of `assert`) on what a tensor holds",
    ),
    (
        r"indexing with a boolean mask|masked_select|dynamic shape",
        "torch.where, or a product with the mask, in place of what picks values by their size",
    ),
    (
        r"have storage|numpy",
        "torch's own functions in place of numpy's in the network",
    ),
    (
        r"not being vmapped over|is not possible because there exists a Tensor",
        "begin with `torch.zeros_like(x)` of what the network computed, or build the result with "
        "torch.cat or torch.stack, in place of writing into a tensor made anew",
    ),
    (
        r"setup_context",
        "give the autograd.Function a setup_context, and `generate_vmap_rule = True`",
    ),
    (
        r"CheckpointError",
        "leave out torch.utils.checkpoint: activations of small networks fit into memory",
    ),
    (
        r"aten::(lstm|gru|rnn\w*)\.",
        "nn.GRUCell in a loop over time, an LSTM's gates by nn.Linear, or attention",
    ),
    (
        r"[Ss]parse",
        "dense tensors: `nn.Embedding(…, sparse=False)`, `matrix.to_dense()`",
    ),
    (
        r"hooks are lost",
        "do it in forward(), or in the loss, in place of a hook",
    ),
    (
        r"accessing `data`",
        "under torch.no_grad(), change the tensor itself (`weight.clamp_(0)`), not its `.data`",
    ),
    (
        r"doesn't match the broadcast shape|size of tensor a",
        "buffers whose shape stays as it is, filled in place",
    ),
    (
        r"changes from step to step",
        "keep it as a buffer that is changed in place (`self.steps += 1`), and take torch.where "
        "for what depends on it",
    ),
    (
        r"begins or ends on the way",
        "let requires_grad be the same from the first step to the last",
    ),
    (
        r"parameters of kind",
        "real parameters, of which torch.view_as_complex makes complex ones in forward()",
    ),
    (
        r"the buffer `",
        "give the buffer the type of what is written into it",
    ),
    (
        r"the training loss",
        "draw random numbers from torch, not from numpy or Python, and keep in buffers what "
        "changes from step to step",
    ),
)


def remedy(why: str) -> str | None:
    """What to change, of why an engine does not train a network; None where nothing is known."""
    return next((told for pattern, told in REMEDIES if re.search(pattern, why)), None)
