"""Gradients at which optimizers of others and ours do their steps.

Letters: P parameters, T steps.
"""

import numpy as np

ALPHA, BETA1, BETA2, EPS = 0.01, 0.9, 0.99, 1e-3  # a large ε: where it stands shows
PARAMETERS, STEPS = 5, 60
GRADIENTS = np.random.default_rng(0).normal(size=(STEPS, PARAMETERS))  # [T, P]
GRADIENTS *= np.linspace(1, 0.02, STEPS)[:, None]
MATRICES = [np.random.default_rng(1).normal(size=shape) for shape in ((6, 2), (2, 6))]
