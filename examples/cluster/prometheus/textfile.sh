#!/bin/sh
# For node_exporter's textfile collector, from cron: one gauge, 1 where cuFFT works on all of the machine's GPUs.
#   */15 * * * * root /opt/cufft-harness/textfile.sh /var/lib/node_exporter/textfile_collector
PATH="${CUFFT_HARNESS_PATH:-/opt/cufft-harness/bin:/usr/local/bin:/usr/bin:/bin}"
export PATH
folder="${1:?the folder of the textfile collector}"
cufft-harness check --limit 10 > /dev/null 2>&1 && works=1 || works=0
{
  echo "# HELP cufft_works FFTs with cuFFT are right on all GPUs of this machine."
  echo "# TYPE cufft_works gauge"
  echo "cufft_works $works"
} > "$folder/cufft.prom.$$" && mv "$folder/cufft.prom.$$" "$folder/cufft.prom"
