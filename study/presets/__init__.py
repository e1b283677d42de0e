"""The studies that come with the tool, one TOML file each."""

from importlib.resources import files

from study.errors import UsageError
from study.spec import Study

DEFAULT = "digits-fig2"

PRESETS: dict[str, str] = {
    "digits-fig2": "the paper's Figure 2 on scikit-learn's digits: 2 minutes on two CPU cores",
}


def load_preset(name: str) -> Study:
    """The study of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in PRESETS:
        raise UsageError(
            f"unknown preset '{name}': choose one of {', '.join(PRESETS)}, "
            "or name a study file ending in .toml"
        )
    text = (files(__package__) / f"{name}.toml").read_text(encoding="utf-8")
    return Study.from_toml(text, f"preset '{name}'")
