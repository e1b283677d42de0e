"""The long siege: hundreds of kills, on SQLite and on PostgreSQL, and what the ledger found.

    python -m tests.crashes [--kills 500] [--postgres-kills 200] [--sampler-kills 100]
                            [--run-kills 20] [--script-kills 50] [--seed 0]
                            [--bytes 10000] [--exit 30] [--identity 100]

Exits with 1 unless no cell is lost, doubled, stuck or torn, runs of the command line that were
killed end with the bits of one that was not, and what is damaged, taken away or something else
gives the truth, a message, or nothing.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from tests.crashes.damage import change_bytes, hold_something_else, take_away
from tests.crashes.harness import Report, Siege, report_lines
from tests.crashes.runs import besiege
from tests.crashes.scripts import KINDS, besiege_scripts
from tests.postgres import Server, binaries, fresh_database, running_server

RESTART = 8.0  # seconds between crashes of the server
SAMPLERS = ("random", "tpe", "verdict")


@click.command()
@click.option("--kills", default=500, show_default=True, help="On SQLite.")
@click.option("--postgres-kills", default=200, show_default=True)
@click.option("--sampler-kills", default=100, show_default=True, help="Of each, on each.")
@click.option("--run-kills", default=20, show_default=True, help="Of `landscape run`.")
@click.option("--script-kills", default=50, show_default=True, help="Of each kind, on each.")
@click.option("--bytes", "bytes_", default=10_000, show_default=True, help="That are changed.")
@click.option("--exit", "exits", default=30, show_default=True, help="Databases taken away.")
@click.option("--identity", default=100, show_default=True, help="Workers with other data.")
@click.option("--workers", default=4, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(
    kills: int,
    postgres_kills: int,
    sampler_kills: int,
    run_kills: int,
    script_kills: int,
    bytes_: int,
    exits: int,
    identity: int,
    workers: int,
    seed: int,
) -> None:
    """Kill workers until so many are dead, then count; and do other harm. 0 leaves a part out."""
    if postgres_kills and binaries() is None:
        raise click.UsageError("PostgreSQL is not installed: give --postgres-kills 0")
    found = False
    for title, siege in _sieges(kills, postgres_kills, sampler_kills, workers, seed):
        report: Report = siege()
        click.echo(f"{title}: " + "\n".join(report_lines(report)))
        found = found or bool(report.counts)
    if run_kills:
        with tempfile.TemporaryDirectory(prefix="crashes-") as folder:
            died, wrong = besiege(Path(folder), run_kills, seed)
        told = ", ".join(f"{way} {count}" for way, count in died.items())
        click.echo("\n".join([f"landscape run: {told}; {len(wrong)} differences", *wrong]))
        found = found or bool(wrong)
    for title, died, wrong in _script_sieges(script_kills, seed, postgres=postgres_kills > 0):
        told = ", ".join(f"{way} {count}" for way, count in sorted(died.items()))
        click.echo("\n".join([f"{title}: killed {told}; {len(wrong)} faults", *wrong]))
        found = found or bool(wrong)
    for title, harm, count in (
        ("changed bytes", change_bytes, bytes_),
        ("databases taken away", take_away, exits),
        ("workers with other data", hold_something_else, identity),
    ):
        if count:
            with tempfile.TemporaryDirectory(prefix="crashes-") as folder:
                results = harm(Path(folder), count, seed)
            lines = (f"  {result}: {times}" for result, times in sorted(results.items()))
            click.echo("\n".join([f"{title}: {count}", *lines]))
            found = found or any("FALSE" in result for result in results)
    raise SystemExit(found)


def _script_sieges(kills: int, seed: int, *, postgres: bool) -> Iterator[tuple]:
    """Of users' scripts and functions, on both kinds of database."""
    for kind in KINDS if kills else ():
        with tempfile.TemporaryDirectory(prefix="crashes-") as name:
            folder = Path(name)
            url = f"sqlite:///{folder}/scripts.db"
            yield f"{kind}s, SQLite", *besiege_scripts(url, folder, kind, kills, seed)
            if postgres:
                with running_server() as server, fresh_database(server.url) as url:
                    yield f"{kind}s, PostgreSQL", *besiege_scripts(url, folder, kind, kills, seed)


def _sieges(
    kills: int, postgres_kills: int, sampler_kills: int, workers: int, seed: int
) -> Iterator[tuple]:
    for sampler in SAMPLERS if sampler_kills else ():
        with tempfile.TemporaryDirectory(prefix="crashes-") as name:
            folder = Path(name)
            url = f"sqlite:///{folder}/crashes.db"
            yield (
                f"{sampler} asks, SQLite",
                Siege(url, folder, sampler_kills, seed, workers, sampler=sampler),
            )
            if postgres_kills:
                with running_server() as server, fresh_database(server.url) as url:
                    yield (
                        f"{sampler} asks, PostgreSQL",
                        Siege(url, folder, sampler_kills, seed, workers, sampler=sampler),
                    )
    with tempfile.TemporaryDirectory(prefix="crashes-") as name:
        folder = Path(name)
        if kills:
            url = f"sqlite:///{folder}/crashes.db"
            yield "SQLite", Siege(url, folder, kills, seed, workers)
        if postgres_kills:
            (folder / "postgres").mkdir()
            with running_server() as server, fresh_database(server.url) as url:
                disturb = Restarts(server)
                siege = Siege(
                    url, folder / "postgres", postgres_kills, seed, workers, disturb=disturb
                )
                yield "PostgreSQL", siege
                click.echo(f"  the server crashed {disturb.times} times")


class Restarts:
    """Crashes the server now and then, and starts it again."""

    def __init__(self, server: Server, every: float = RESTART) -> None:
        self.server, self.every, self.times = server, every, 0
        self.next = time.monotonic() + every

    def __call__(self) -> None:
        if time.monotonic() > self.next:
            self.server.stop()
            time.sleep(0.5)
            self.server.start()
            self.times += 1
            self.next = time.monotonic() + self.every


if __name__ == "__main__":
    main()
