"""Which column is the training loss, whatever it is called."""

from __future__ import annotations

import pytest

from landscape_study.landscapes.reading.foreign.tables.column_names import training_loss


@pytest.mark.parametrize(
    ("names", "metric", "found"),
    [
        (["val_loss", "loss_train"], "val_loss", "loss_train"),
        (["val_loss", "loss"], "val_loss", "loss"),
        (["accuracy", "loss"], "accuracy", None),  # of what, nobody knows
        (["val_loss", "loss"], "loss", None),
        (["train_loss_step", "train_loss_epoch", "val_acc"], "val_acc", "train_loss_epoch"),
        (["train_box_loss", "val_map"], "val_map", None),  # a part of it
        (["train_loss", "loss_train", "val_acc"], "val_acc", None),  # it has its name already
        (["epoch", "seed", "val_acc"], "val_acc", None),
        ([], "", None),
    ],
)
def test_of_several_names(names, metric, found):
    assert training_loss(names, metric) == found
