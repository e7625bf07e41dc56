"""A real Slurm on one machine, broken on purpose: does the check drain the node, does training agree?"""
