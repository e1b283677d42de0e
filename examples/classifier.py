"""Bring your own training: a function that trains one cell, here with scikit-learn.

    landscape run --task examples/classifier.py:train --metric val_loss \
        --pair plain --pair averaged \
        --alpha '{ base = 1.0, log2 = [0, -8] }' --lambda '{ base = 1.0, log2 = [0, -12] }'

The function is called in a process of its own for each cell: α, λ and the seed are in `cell`, and
so is the pair, which is a label of your own. What it reports are the curves, what it returns is
the result. What the module does at its top, as the imports and the data below, is done once for
each worker.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from landscape_study import objective

EPOCHS = 20

inputs, targets = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(
    inputs / 16, targets, train_size=500, random_state=0, stratify=targets
)


@objective
def train(cell, run):
    """Multinomial regression by SGD, plain or with averaged weights."""
    model = SGDClassifier(
        loss="log_loss",
        learning_rate="constant",
        eta0=cell.alpha,
        alpha=cell.lambda_,  # scikit-learn's name for λ
        average=cell.pair == "averaged",
    )
    order = np.random.default_rng(cell.seed)
    for epoch in range(1, EPOCHS + 1):
        chosen = order.permutation(len(train_x))
        model.partial_fit(train_x[chosen], train_y[chosen], classes=np.unique(targets))
        test_loss = log_loss(test_y, model.predict_proba(test_x))
        run.report(epoch, val_loss=test_loss, accuracy=model.score(test_x, test_y))
    return test_loss
