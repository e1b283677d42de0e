"""The names of the engines, apart from their code, which is slow to import."""

ENGINE_NAMES = ("compiled", "captured", "vmap", "referee")
FORMER_NAMES = {"one-by-one": "referee"}  # in older databases, and in commands that used it


def engine_name(name: str) -> str:
    """Today's name of an engine."""
    return FORMER_NAMES.get(name, name)
