"""Optimizers of users, for the tests of pairs that are optimizers."""

from __future__ import annotations

from typing import Any

import torch


class Averaged(torch.optim.SGD):
    """SGD that is tested with the mean of its weights, and says so as schedule-free ones do.

    Between `eval()` and `train()` the parameters are the means, and it does no step.
    """

    def __init__(self, params: Any, lr: float = 0.1, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)
        for group in self.param_groups:
            group["training"], group["steps"] = True, 0

    def train(self) -> None:
        self._switch(True)

    def eval(self) -> None:
        self._switch(False)

    @torch.no_grad()
    def _switch(self, training: bool) -> None:
        for group in self.param_groups:
            if group["training"] != training and group["steps"]:
                for p in group["params"]:
                    other = self.state[p]["other"]
                    held = p.clone()
                    p.copy_(other)
                    other.copy_(held)
            group["training"] = training

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        assert all(group["training"] for group in self.param_groups)
        super().step()
        for group in self.param_groups:
            group["steps"] += 1
            for p in group["params"]:
                mean = self.state[p].setdefault("other", torch.zeros_like(p))
                mean.lerp_(p, 1 / group["steps"])


class Forgetful(torch.optim.SGD):
    """SGD that counts its steps where no checkpoint looks, and goes slower by them."""

    steps = 0

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        self.steps += 1
        for group in self.param_groups:
            group["lr"] /= self.steps
        super().step()


class Deaf(torch.optim.Optimizer):
    """It keeps its learning rate to itself."""

    def __init__(self, params: Any, lr: float, weight_decay: float) -> None:
        super().__init__(params, {"weight_decay": weight_decay})
        self.lr = lr

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        pass
