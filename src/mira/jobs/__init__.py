"""Durable long work: jobs that outlive requests and processes, and who is told when they end."""
