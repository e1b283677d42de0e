"""The entry: the group of commands, what it does about errors, and which ones there are."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Any

import click

from landscape_study.commands import data, databases, laws, looking, running, starting, translating
from landscape_study.study.environment.interruption import exit_code, interruptible
from landscape_study.study.environment.spinning import spin_little
from landscape_study.study.errors import LandscapeError
from landscape_study.study.printable import printable_lines, without_secrets

FULL = (errno.ENOSPC, errno.EDQUOT)
BROKEN_PIPE = 141  # exit code of a command whose reader has gone, as shells have it


class Commands(click.Group):
    """A group of commands that shows a user's mistake as one message, never as a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn a domain error into its message and exit code."""
        with interruptible(insist=True):
            try:
                return super().invoke(ctx)
            except LandscapeError as e:
                click.echo(printable_lines(without_secrets(f"Error: {e}")), err=True)
                ctx.exit(e.exit_code)
            except KeyboardInterrupt:
                with contextlib.suppress(OSError):  # the terminal may be gone
                    click.echo("\nstopped", err=True)
                ctx.exit(exit_code())
            except BrokenPipeError:  # as after `| head`
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                ctx.exit(BROKEN_PIPE)
            except OSError as e:
                if e.errno not in FULL:
                    raise
                click.echo(f"Error: {e}: free some space; what is recorded is safe", err=True)
                ctx.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Show the commands in the order of their use rather than of the alphabet."""
        return list(self.commands)


def _adapt_to_surroundings() -> None:
    """Write "?" for what cannot be written, draw into files, and leave the processor to others."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    os.environ["MPLBACKEND"] = "Agg"
    spin_little()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="landscape-study", prog_name="landscape")
def main() -> None:
    """Study how learning rate α and weight decay λ interact.

    Trains whole α × λ grids for optimizer/regularization pairs into a database, resumes what
    was interrupted, and draws the heatmaps. `landscape run` alone runs the embedded study.
    """
    _adapt_to_surroundings()


for command in (
    starting.new,
    starting.try_,
    running.run,
    running.resume,
    running.worker,
    running.extend,
    running.refine,
    looking.status,
    looking.list_studies,
    looking.show,
    looking.plot,
    looking.export,
    looking.report,
    looking.compare,
    laws.law,
    databases.import_,
    databases.check,
    databases.merge,
    data.data,
    data.pairs,
    translating.translate,
    data.tasks,
    data.presets,
):
    main.add_command(command)


if __name__ == "__main__":
    main(prog_name="landscape")
