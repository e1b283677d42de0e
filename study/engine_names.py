"""The names of the engines, apart from their code, which is slow to import."""

ENGINE_NAMES = ("compiled", "captured", "vmap", "one-by-one")
