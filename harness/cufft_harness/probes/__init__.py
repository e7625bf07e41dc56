"""Experiments on this machine: one a file, each run in a child process with a time limit."""
