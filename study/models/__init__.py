"""Networks used by the built-in tasks."""
