"""What Mira loads from addresses that clients name: behind one guard, and nowhere else."""
