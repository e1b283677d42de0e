"""A script of your own, with scikit-learn: a small network on handwritten digits.

    landscape run examples/scripts/sklearn-digits.toml

It knows nothing of landscapes: it takes numbers as options and prints a line of JSON an epoch.
"""

import argparse
import json
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

BATCH = 50


def main() -> None:
    """Train once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--wd", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args()

    inputs, targets = load_digits(return_X_y=True)
    split = train_test_split(inputs / 16, targets, test_size=0.5, random_state=0)
    train_inputs, test_inputs, train_targets, test_targets = split
    network = MLPClassifier(
        hidden_layer_sizes=(32,),
        solver=options.optimizer,
        learning_rate_init=options.lr,
        alpha=options.wd * BATCH,  # scikit-learn adds alpha / batch size times the weight
        batch_size=BATCH,
        random_state=options.seed,
    )
    for epoch in range(1, options.epochs + 1):
        try:
            network.partial_fit(train_inputs, train_targets, classes=np.arange(10))
        except ValueError:  # so scikit-learn says that weights are no finite numbers any more
            print(json.dumps({"epoch": epoch, "test_loss": float("nan")}))
            return
        shares = network.predict_proba(test_inputs)
        record = {
            "epoch": epoch,
            "train_loss": network.loss_,
            "test_loss": log_loss(test_targets, shares, labels=np.arange(10)),
            "test_error": 100 * (1 - network.score(test_inputs, test_targets)),
        }
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what overflows says so by its loss
        main()
