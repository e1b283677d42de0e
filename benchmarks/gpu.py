"""What the tool reaches on a GPU: `python -m benchmarks.gpu`, in less than 8 minutes.

On made-up data of the tasks' shapes: nothing is loaded or downloaded. The most telling rows come
first; what does not fit into the time is left out, and the results say so. What is measured and
how to read it: README.md beside this file.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import torch

from benchmarks import card
from benchmarks.gpu_rows import ROW_SECONDS, SLOTS, Bench, Row, best_row
from benchmarks.measure import stop_when_terminated
from benchmarks.networks import NETWORKS
from benchmarks.results import RESULTS, Facts, Settings, record
from benchmarks.synthetic import SYNTHETIC, Synthetic, epoch_flops
from benchmarks.tables import PAGE, render, update
from landscape_study.study.planning.cost import Setting, cell_bytes

BUDGET = 390.0  # seconds after which nothing more is begun


def measure_card(
    settings: Settings, device: str, budget: float, networks: Sequence[Synthetic]
) -> Facts:
    """Everything, as far as it fits into so many seconds."""
    bench = Bench(settings, device, budget)
    # First what must not be lost when the card fails later.
    described, rates = card.facts(device), card.product_rates(device, quick=settings.quick)
    for precision, rate in rates.items():
        settings.tell(f"{precision} products: {rate['median'] / 1e12:.3g} Tflop/s")
    about = {n.name: network_facts(n, bench.setting(n, "float32")) for n in networks}
    try:
        measure_rows(bench, networks)
    except KeyboardInterrupt:
        settings.tell("interrupted: what was measured is kept")
    return {
        "settings": {
            **{"device": device, "budget_s": budget, "row_s": ROW_SECONDS},
            **{"slots": SLOTS, "lap_s": bench.lap_seconds, "pair": "adamw"},
        },
        "card": described,
        "rates": rates,
        "networks": {
            name: facts | {"comparisons": comparisons(name, bench.rows, rates, facts)}
            for name, facts in about.items()
        },
        "rows": bench.rows,
        "slots": bench.slots,
    }


def measure_rows(bench: Bench, networks: Sequence[Synthetic]) -> None:
    """The rows, the most telling ones first."""
    for network in networks:
        bench.row(network, "referee", "float32", 1)
        bench.ladder(network, "captured")
    for network in networks:
        for arithmetic in network.arithmetic[1:]:
            bench.row(network, "referee", arithmetic, 1)
            if best := best_row(bench.rows, network.name, "float32"):
                bench.row(network, best["engine"], arithmetic, best["cells"])
    bench.side_by_side(networks)
    for network in networks:
        bench.ladder(network, "vmap")


def network_facts(network: Synthetic, setting: Setting) -> Facts:
    """What a network asks of the card."""
    on_host = replace(setting, data=setting.data.to("cpu", torch.float32), device="cpu")
    return {
        "network": NETWORKS[network.name].title,
        "asked": network.asked,
        "batch_size": setting.batch_size,
        "epochs": setting.study.panels[0].epochs,
        "epoch_flops": epoch_flops(setting),
        "planned_bytes_per_cell": cell_bytes(on_host),
    }


def comparisons(network: str, rows: Sequence[Row], rates: Facts, facts: Facts) -> Facts:
    """For each arithmetic the best row of a network, beside one by one and the card's limit."""
    alone = {
        row["arithmetic"]: row["cells_per_s"]
        for row in rows
        if (row["network"], row["engine"]) == (network, "referee") and "failed" not in row
    }
    found = {}
    for arithmetic, cells_per_s in alone.items():
        if best := best_row(rows, network, arithmetic):
            limit = facts["epoch_flops"] / rates[arithmetic.partition(",")[0]]["median"]
            found[arithmetic] = {
                "best": best,
                "one_by_one_cells_per_s": cells_per_s,
                "ratio": best["cells_per_s"]["median"] / cells_per_s["median"],
                "share": limit / best["epoch_s"]["median"],
            }
    return found


@click.command()
@click.option("--device", default="cuda:0", show_default=True, help="Or cuda:1, …, or cpu.")
@click.option("--quick", is_flag=True, help="Tiny sizes, once: shows that everything works.")
@click.option("--only", multiple=True, type=click.Choice(list(SYNTHETIC)), help="Only this one.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--budget", type=float, default=BUDGET, show_default=True, metavar="SECONDS")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where results and their page go.  [default: benchmarks/results and docs/speed.md; "
    "with --quick or on a CPU a temporary folder]",
)
def main(
    device: str,
    quick: bool,
    only: tuple[str, ...],
    repeats: int,
    budget: float,
    output: Path | None,
) -> None:
    """Measure what the tool reaches on a GPU, beside one cell after the other on the same card."""
    stop_when_terminated()
    if card.is_gpu(device) and not torch.cuda.is_available():
        click.echo("gpu: not measured, PyTorch sees no GPU here; try --device cpu --quick")
        return
    if output is None and (quick or not card.is_gpu(device)):
        output = Path(tempfile.mkdtemp(prefix="benchmarks-gpu-"))
    folder = output or RESULTS
    settings = Settings(
        1 if quick else repeats, quick, folder, lambda line: click.echo(f"  {line}")
    )
    networks = [network for name, network in SYNTHETIC.items() if not only or name in only]
    part = functools.partial(measure_card, device=device, budget=budget, networks=networks)
    record("gpu", part, settings, "benchmarks.gpu")
    page = PAGE if output is None else output / PAGE.name
    update(page, folder)
    click.echo(f"{render(folder, ['gpu'])}\nwritten: {folder}, {page}")


if __name__ == "__main__":
    main()
