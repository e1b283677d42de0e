"""The studies that come with the tool, one TOML file each."""

from importlib.resources import files

from study.errors import UsageError
from study.spec import Study

DEFAULT = "digits-fig2"

# The paper is "Decoupled Weight Decay Regularization" (Loshchilov & Hutter, ICLR 2019).
PRESETS: dict[str, str] = {
    "digits-fig2": "the paper's Figure 2 on scikit-learn's digits: 2 minutes on two CPU cores",
    "fig1": "Figure 1: Adam + L2 and AdamW under three schedules, CIFAR-10",
    "fig2": "Figure 2: SGD + L2, SGDW, Adam + L2 and AdamW, CIFAR-10",
    "fig3": "Figure 3: learning curves and generalization over the decay, CIFAR-10",
    "fig4": "Figure 4, left: anytime performance of warm restarts, CIFAR-10",
    "fig4-imagenet32": "Figure 4, right: the same on ImageNet32x32, Top-5 error",
    "supp1": "Supplementary Figure 1: the schedule of warm restarts, drawn without training",
    "supp2": "Supplementary Figure 2: Adam + L2 at a fixed rate, long budget, CIFAR-10",
    "supp3": "Supplementary Figure 3, above: raw and normalized decay at three budgets, CIFAR-10",
    "supp3-imagenet32": "Supplementary Figure 3, below: AdamW and SGDW, ImageNet32x32",
    "supp4": "Supplementary Figure 4: Figure 3 on ImageNet32x32",
    "supp5": "Supplementary Figure 5: Figure 4, left, with training loss",
    "supp6": "Supplementary Figure 6: Figure 4, right, with training loss",
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
