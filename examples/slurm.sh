#!/usr/bin/env bash
# A study on a Slurm cluster: every task of the array is a worker that trains what is open.
#
# Once, on a machine that reaches the database (PostgreSQL: workers are on several machines):
#
#     export LANDSCAPE_STORE=postgresql+psycopg://me@server/landscapes
#     landscape run STUDY --queue --chunk 256      # cells trained together on one GPU
#
# Then, as often and with as many tasks as there is room for:
#
#     sbatch --array=0-15 examples/slurm.sh STUDY
#
# Tasks may start late, end early or be preempted: what they hold is given back, or free for
# others when their lease ends, and goes on from its last checkpoint where the folder results/ is
# shared. `landscape status STUDY` shows who trains what; `landscape plot STUDY` draws what is there.
#
#SBATCH --job-name=landscape
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=12:00:00
#SBATCH --output=landscape-%A-%a.log
#SBATCH --signal=TERM@60    # a minute before the end of its time, to give back what it holds
#SBATCH --requeue
set -euo pipefail

study=${1:?name the study: sbatch --array=0-15 examples/slurm.sh STUDY}

# exec: the signal reaches the worker itself. --no-wait: an idle GPU is for others.
exec srun landscape worker "$study" --no-wait "${@:2}"
