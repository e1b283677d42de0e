"""What is recorded of a cell after every epoch. Errors are percent, losses means."""

METRICS = ("train_loss", "test_loss", "test_error")
TOP5 = "top5_error"  # a further metric of tasks with more than TOP5_CLASSES classes
TOP5_CLASSES = 10
ERROR_NAMES = {"test_error": "test error", TOP5: "Top-5 test error"}  # in sentences


def metrics_of(classes: int) -> tuple[str, ...]:
    """The metrics that are recorded for a task of so many classes."""
    return (*METRICS, TOP5) if classes > TOP5_CLASSES else METRICS
