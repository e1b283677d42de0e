"""Rules of users, for the tests of what trains by them."""

from __future__ import annotations

from landscape_study import Rule


class MyLion(Rule):
    """The built-in one, written anew."""

    moments = 1
    defaults = {"beta2": 0.99}  # noqa: RUF012

    def update(self, g, rate, moments, corrections):
        (m,) = moments
        found = (m * self.beta1).add_(g, alpha=1 - self.beta1).sign_().mul_(rate)
        m.mul_(self.beta2).add_(g, alpha=1 - self.beta2)
        return found


class MyAdam(Rule):
    """Likewise, with corrections and two moments."""

    moments = 2

    def corrections(self, t):
        return 1 - self.beta1**t, 1 - self.beta2**t

    def update(self, g, rate, moments, corrections):
        (m, v), (of_m, of_v) = moments, corrections
        m.lerp_(g, 1 - self.beta1)
        v.mul_(self.beta2).add_(g * g * (1 - self.beta2))
        return rate * (m / of_m) / ((v / of_v).sqrt() + self.eps)


class Stepwise(Rule):
    """Slower after some steps, which it asks in Python: what is traced decides it once."""

    moments = 0

    def corrections(self, t):
        return (float(t),)

    def update(self, g, rate, moments, corrections):
        return g * rate if float(corrections[0]) < 4 else 0.1 * g * rate
