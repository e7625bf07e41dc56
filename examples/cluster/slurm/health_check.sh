#!/bin/sh
# Slurm's HealthCheckProgram: drains this node, with the cause as its reason, where cuFFT does not work.
#   slurm.conf:  HealthCheckProgram=/etc/slurm/health_check.sh
#                HealthCheckInterval=300
#                HealthCheckNodeState=IDLE,CYCLE
# slurmd gives it no PATH; say where the two programs are.
PATH="${CUFFT_HARNESS_PATH:-/opt/cufft-harness/bin:/usr/local/bin:/usr/bin:/bin}"
export PATH
node="${SLURMD_NODENAME:-$(hostname -s)}"
line=$(cufft-harness check --style slurm --limit 10) && exit 0
scontrol update NodeName="$node" State=DRAIN Reason="cufft-harness: $line"
