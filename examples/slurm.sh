#!/usr/bin/env bash
# A study on a Slurm cluster: every task of the array is a worker that trains what is open.
#
# Once, on a machine that reaches the database (PostgreSQL: workers are on several machines). It
# need not be able to train: nothing is tried or compiled there.
#
#     export LANDSCAPE_STORE=postgresql+psycopg://me@server/landscapes
#     landscape run STUDY --queue --chunk 256      # cells trained together on one GPU
#
# Then, as often and with as many tasks as there is room for:
#
#     sbatch --array=0-15 examples/slurm.sh STUDY
#
# What stands after STUDY goes to `landscape worker`. A study that runs a command of your own, one
# job a cell (`run --queue` says how many cells there are; at most 16 jobs at a time):
#
#     sbatch --array=1-144%16 examples/slurm.sh STUDY --trust-command --workers 1 --cells 1
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
#SBATCH --open-mode=append        # a job that is queued again goes on in its log
#SBATCH --requeue                 # lets Slurm queue it again on preemption
#SBATCH --signal=B:USR1@120       # tells this script that its time ends in two minutes
set -euo pipefail

study=${1:?name the study: sbatch --array=0-15 examples/slurm.sh STUDY}

# The environment in which the tool is installed. Put here what your cluster needs: module load, …
if [[ -n ${LANDSCAPE_VENV:-} ]]; then
    # shellcheck disable=SC1091
    source "$LANDSCAPE_VENV/bin/activate"
fi
command -v landscape >/dev/null || {
    echo "there is no 'landscape' here: sbatch --export=ALL,LANDSCAPE_VENV=/path/to/.venv …" >&2
    exit 2
}

# Since Slurm 22.05 srun does not take over --cpus-per-task by itself.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

worker='' time_is_over=''

# shellcheck disable=SC2317,SC2329  # the trap calls it
stop_worker() {
    time_is_over=yes
    kill -TERM "$worker" 2>/dev/null || true # it gives back what it holds, within seconds
}
trap stop_worker USR1
trap : TERM # what Slurm tells the worker on preemption; this script waits for what comes

# --no-wait: an idle GPU is for others.
srun landscape worker "$study" --no-wait "${@:2}" &
worker=$!
[[ -z $time_is_over ]] || stop_worker # the signal came before the worker had a number

code=0
wait "$worker" || code=$?
while kill -0 "$worker" 2>/dev/null; do # a signal ends `wait` before the worker
    code=0
    wait "$worker" || code=$?
done

if [[ $time_is_over ]]; then
    echo "the time of this job is over: it is queued again"
    scontrol requeue "$SLURM_JOB_ID"
elif [[ $code -eq 143 ]]; then
    # A job that ends by itself is not queued again. On preemption Slurm does so, and ends this
    # script; so does scancel, without queueing.
    echo "the worker was told to stop: waiting for Slurm"
    sleep "${LANDSCAPE_PATIENCE:-600}" &
    wait $! || true
fi
exit "$code"
