#!/usr/bin/env bash
# tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of train.py]
# A process a GPU, on as many machines as that takes. Slurm's warning comes two minutes before the time is over, and
# the training then saves and ends; the same command with --resume goes on.
# Environment: GPUS (default: 8), GPUS_PER_NODE (8), CPUS_PER_TASK (5), SRUN_ARGS (further options of srun),
# PYTHON (python).
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG [options of train.py]" >&2
    exit 2
fi
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
if [ "$gpus" -lt "$per_node" ]; then
    per_node=$gpus
fi

# SRUN_ARGS is split into words on purpose.
# shellcheck disable=SC2086
exec srun --partition="$1" --job-name="$2" --gres="gpu:$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 --signal=USR1@120 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$3" --launcher slurm "${@:4}"
