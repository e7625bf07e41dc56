"""What `cufft-harness run` does inside the program that it runs."""
