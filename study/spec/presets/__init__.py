"""The studies that come with the tool, one TOML file each."""

from importlib.resources import files

from landscape_study.study.errors import MissingStudyError
from landscape_study.study.spec.study import Study

DEFAULT = "digits-fig2"

# The paper is "Decoupled Weight Decay Regularization" (Loshchilov & Hutter, ICLR 2019). Those of
# the first half take minutes on two CPU cores and need no download, the others need a GPU.
PRESETS: dict[str, str] = {
    "digits-fig1": "Figure 1 on 5,000 MNIST digits: Adam + L2 and AdamW under three schedules",
    "digits-fig2": "Figure 2 on scikit-learn's digits: SGD + L2, SGDW, Adam + L2 and AdamW",
    "digits-fig3": "Figure 3 on digits: learning curves and generalization over the decay",
    "digits-fig4": "Figure 4 on digits: anytime performance of warm restarts",
    "digits-fig4-mnist5k": "Figure 4 on 5,000 MNIST digits",
    "digits-supp1": "Supplementary Figure 1: every schedule, drawn without training",
    "digits-supp2": "Supplementary Figure 2 on digits: Adam + L2 at a fixed rate, long budget",
    "digits-supp3": "Supplementary Figure 3 on digits: raw and normalized decay, three budgets",
    "digits-supp3-mnist5k": "the same on 5,000 MNIST digits: AdamW and SGDW, normalized decay",
    "digits-supp4": "Supplementary Figure 4: Figure 3 on 5,000 MNIST digits",
    "digits-supp5": "Supplementary Figure 5: Figure 4 on digits, with training loss",
    "digits-supp6": "Supplementary Figure 6: Figure 4 on 5,000 MNIST digits, with training loss",
    "digits-torch": "SGDW and AdamW beside torch's convention, λ multiplied by α, on digits",
    "digits-placements": "every place where λ can enter Adam, on digits",
    "digits-rules": "optimizers of today, each with decoupled decay, on digits",
    "mnist5k-fig2": "Figure 2 on 5,000 MNIST digits, where Adam + L2 is coupled too",
    "mnist5k-torch": "AdamW beside torch's convention on 5,000 MNIST digits",
    "mnist5k-placements": "every place where λ can enter Adam, on 5,000 MNIST digits",
    "mnist5k-rules": "optimizers of today, each with decoupled decay, on 5,000 MNIST digits",
    "chars-fig2": "Adam + L2, AdamW and torch's AdamW for a small GPT on characters",
    "chars-placements": "every place where λ can enter Adam, for a small GPT on characters",
    "fig1": "Figure 1 on CIFAR-10: Adam + L2 and AdamW under three schedules",
    "fig2": "Figure 2 on CIFAR-10: SGD + L2, SGDW, Adam + L2 and AdamW",
    "fig3": "Figure 3 on CIFAR-10: learning curves and generalization over the decay",
    "fig4": "Figure 4, left, on CIFAR-10: anytime performance of warm restarts",
    "fig4-imagenet32": "Figure 4, right, on ImageNet32x32: the same, Top-5 error",
    "supp1": "Supplementary Figure 1: the schedule of warm restarts, drawn without training",
    "supp2": "Supplementary Figure 2 on CIFAR-10: Adam + L2 at a fixed rate, long budget",
    "supp3": "Supplementary Figure 3 on CIFAR-10: raw and normalized decay at three budgets",
    "supp3-imagenet32": "Supplementary Figure 3 on ImageNet32x32: AdamW and SGDW",
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
        raise MissingStudyError(
            f"unknown preset '{name}': choose one of {', '.join(PRESETS)}, "
            "or name a study file ending in .toml"
        )
    text = (files(__package__) / f"{name}.toml").read_text(encoding="utf-8")
    return Study.from_toml(text, f"preset '{name}'")
