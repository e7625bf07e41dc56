#!/bin/sh
# Slurm's Prolog: a job never starts on a node whose FFTs fail; Slurm drains the node and queues the job again.
#   slurm.conf:  Prolog=/etc/slurm/prolog.sh
#                PrologFlags=Alloc
PATH="${CUFFT_HARNESS_PATH:-/opt/cufft-harness/bin:/usr/local/bin:/usr/bin:/bin}"
export PATH
exec cufft-harness check --style slurm --limit 10
