"""Results on disk, and REPORT.md made from them and from nothing else."""
