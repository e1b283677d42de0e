"""Bring an update rule of your own: Signum, which moves θ by the sign of its momentum.

    landscape pairs examples/own_rule.py
    landscape run examples/own_rule.toml

Source: Bernstein et al., "signSGD: Compressed Optimisation for Non-Convex Problems" (ICML 2018).
"""

from landscape_study import Rule


class Signum(Rule):
    """θ loses η·α·sign(m), with m = β1·m + (1−β1)·g."""

    moments = 1  # tensors that it keeps from step to step, from 0: m

    def update(self, g, rate, moments, corrections):
        """What θ loses; all tensors are [cells, parameters], and rate is η·α, [cells, 1]."""
        (m,) = moments
        m.mul_(self.beta1).add_(g, alpha=1 - self.beta1)  # in place
        return m.sign() * rate
