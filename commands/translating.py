"""The command that says what a weight decay is elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from landscape_study.commands.output import echo_wrapped

if TYPE_CHECKING:
    from landscape_study.study.pairs.conventions import Convention
    from landscape_study.study.pairs.translation import Translation

HEADS = {
    "under any schedule": "The same under any schedule:",
    "under this schedule": "The same under this schedule:",
    "in the long run": "The same in the long run:",
    "on average": "The same on average over the schedule, not at each step:",
    "never": "Not the same, whatever λ is:",
}


@click.command()
@click.argument("optimizer")
@click.option("--lr", "alpha", type=float, required=True, help="Its learning rate, at the peak.")
@click.option("--weight-decay", "lambda_", type=float, required=True, help="Its weight decay.")
@click.option("--to", metavar="OPTIMIZER", help="Only this one; else all of its update rule.")
@click.option(
    "--schedule", metavar="NAME", help="Of the learning rate: cosine, linear, constant, …"
)
@click.option(
    "--momentum",
    type=float,
    default=0.9,
    show_default=True,
    help="Of SGD; torch's own default is 0.",
)
@click.option("--to-lr", "to_alpha", type=float, help="Rules of thumb for this learning rate.")
@click.option(
    "--batch-size-times",
    "batch_size",
    type=float,
    default=1.0,
    metavar="X",
    help="Rules of thumb for batches X times as large, over as many epochs.",
)
@click.option(
    "--epochs-times",
    "epochs",
    type=float,
    default=1.0,
    metavar="X",
    help="Rules of thumb for X times as many epochs.",
)
def translate(
    optimizer: str,
    alpha: float,
    lambda_: float,
    to: str | None,
    schedule: str | None,
    momentum: float,
    to_alpha: float | None,
    batch_size: float,
    epochs: float,
) -> None:
    """Say what the weight decay of OPTIMIZER is elsewhere, and for another training.

    OPTIMIZER is one of torch, optax, keras, timm, lion_pytorch or tfa, as torch.AdamW, or a pair
    of `landscape pairs`. Nothing is trained.

    \b
    Examples:
      landscape translate torch.AdamW --lr 3e-4 --weight-decay 0.1
      landscape translate adamw --lr 0.001 --weight-decay 1e-4 --to optax.adamw
      landscape translate torch.AdamW --lr 3e-4 --weight-decay 0.1 --batch-size-times 4
    """  # noqa: D301
    from landscape_study.study.pairs.conventions import convention_called
    from landscape_study.study.pairs.published_laws import LINEAR
    from landscape_study.study.pairs.translation import rescale
    from landscape_study.study.pairs.translation import translate as translated

    found = translated(optimizer, alpha, lambda_, to=to, schedule=schedule, momentum=momentum)
    source = convention_called(optimizer)
    placement = source.known_pair.entering
    used = f", with momentum {momentum:g}" if source.known_pair.rule in LINEAR else ""
    echo_wrapped(f"{source.name}: {placement.about} (pair {source.pair}{used})")
    _show(found)
    if to_alpha is None and (batch_size, epochs) == (1, 1):
        return
    advice = rescale(
        *(optimizer, alpha, lambda_),
        to_alpha=to_alpha,
        batch_size=batch_size,
        epochs=epochs,
        momentum=momentum,
    )
    click.echo(f"\nRules of thumb, for {source.name} with")
    for one in advice:
        echo_wrapped(f"  {_setting(source, one.alpha, one.lambda_)}")
        echo_wrapped(f"    {one.name} ({one.source})")


def _show(found: list[Translation]) -> None:
    """Those together of which the same is true."""
    for holds, head in HEADS.items():
        some = [one for one in found if one.holds == holds]
        if some:
            click.echo()
            echo_wrapped(head)
        for one in some:
            if one.lambda_ is None:
                echo_wrapped(f"  {one.to.name}: {one.why}")
                continue
            echo_wrapped(f"  {one.to.name}: {_setting(one.to, one.alpha, one.lambda_)}")
            for remark in filter(None, (one.why, one.to.remark)):
                echo_wrapped(f"    {remark}")


def _setting(of: Convention, alpha: float, lambda_: float) -> str:
    return f"{of.rate} = {alpha:.4g}, {of.decay} = {lambda_:.4g}"
