"""`python -m cufft_harness` is `cufft-harness`."""

from cufft_harness.cli.app import main

main()
