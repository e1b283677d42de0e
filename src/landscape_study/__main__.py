"""`python -m landscape_study` is the command line."""

from landscape_study.cli import main

main(prog_name="landscape")
