"""`python -m harness` is `cufft-harness`."""

from harness.cli import main

main()
