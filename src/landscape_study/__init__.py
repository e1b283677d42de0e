"""How do learning rate α and weight decay λ interact for my optimizer, model and data?

    import landscape_study as ls

    ls.run("digits-fig2")
    ls.heatmaps("results/landscapes.db", "digits-fig2")

Its names are those of `study`, which trains, and of `landscapes`, which reads and draws.
"""

from typing import TYPE_CHECKING, Any

from landscape_study import landscapes, study

if TYPE_CHECKING:
    from landscape_study.landscapes import *  # noqa: F403
    from landscape_study.study import *  # noqa: F403

__all__ = [*study.__all__, *landscapes.__all__, "landscapes", "study"]


def __getattr__(name: str) -> Any:
    for room in (study, landscapes):
        if name in room.__all__:
            return getattr(room, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
