"""The small GPT against PyTorch's own transformer layers with the same weights."""

import math

import pytest
import torch
from torch import nn

from landscape_study.study.tasks.networks.gpt import GPT

V, T, D, H, L = 11, 7, 12, 3, 2


@pytest.fixture
def network() -> GPT:
    torch.manual_seed(0)
    return GPT(V, T, D, H, L).double()


def torchs_scores(network: GPT, classes: torch.Tensor) -> torch.Tensor:
    """What PyTorch's encoder layers under a causal mask make of the same weights."""
    x = network.embedding.weight[classes] + network.positions[: classes.shape[1]]
    mask = nn.Transformer.generate_square_subsequent_mask(classes.shape[1], dtype=x.dtype)
    for block in network.blocks:
        layer = nn.TransformerEncoderLayer(
            *(D, H, 4 * D), 0.0, "gelu", batch_first=True, norm_first=True
        ).double()
        named = {
            "self_attn.in_proj_weight": block.attention.inputs.weight,
            "self_attn.in_proj_bias": block.attention.inputs.bias,
            "self_attn.out_proj.weight": block.attention.outputs.weight,
            "self_attn.out_proj.bias": block.attention.outputs.bias,
            **{f"linear1.{n}": p for n, p in block.mlp[0].named_parameters()},
            **{f"linear2.{n}": p for n, p in block.mlp[2].named_parameters()},
            **{f"norm1.{n}": p for n, p in block.norm1.named_parameters()},
            **{f"norm2.{n}": p for n, p in block.norm2.named_parameters()},
        }
        layer.load_state_dict(named)
        x = layer(x, src_mask=mask)
    return network.head(network.norm(x))


@pytest.mark.parametrize("length", [T, 3, 1])
def test_it_gives_what_pytorchs_layers_give(network, length):
    classes = torch.randint(V, (5, length))
    scores = network(classes)
    assert scores.shape == (5, length, V)
    torch.testing.assert_close(scores, torchs_scores(network, classes), rtol=1e-12, atol=1e-14)


def test_no_position_sees_what_comes_after_it(network):
    classes = torch.randint(V, (2, T))
    other = classes.clone()
    other[:, 4:] = (other[:, 4:] + 1) % V
    before, after = network(classes), network(other)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:], after[:, 4:])


def test_start_weights_spread_as_gpt_2s():
    torch.manual_seed(0)
    spreads = {
        name: p.std().item() for name, p in GPT(90, 32, 64, 4, 8).named_parameters() if p.ndim > 1
    }
    for name, spread in spreads.items():
        joins = name.endswith(("outputs.weight", "mlp.2.weight"))
        assert spread == pytest.approx(0.02 / (math.sqrt(16) if joins else 1), rel=0.1), name


def test_at_the_start_every_class_is_about_as_likely(network):
    shares = network(torch.randint(V, (3, T))).softmax(dim=-1)
    assert shares.std() < 0.01
