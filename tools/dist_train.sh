#!/usr/bin/env bash
# tools/dist_train.sh CONFIG GPUS [options of train.py]
# GPUS processes on this machine, one a GPU; without GPUs, CPU processes.
# Environment: PORT (default: a free one), and for several machines NNODES, NODE_RANK, MASTER_ADDR.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of train.py]" >&2
    exit 2
fi
config=$1
gpus=$2

if [ "${NNODES:-1}" = 1 ] && [ -z "${PORT:-}" ]; then
    launch=(--standalone --nproc-per-node="$gpus")
else
    launch=(--nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" --nproc-per-node="$gpus")
    launch+=(--master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}")
fi
exec "${PYTHON:-python}" "$(dirname "$0")/launch.py" "${launch[@]}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"
