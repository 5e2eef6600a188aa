"""The commands: `mira serve`, and clients of the operator API for everything else."""
