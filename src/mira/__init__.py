"""Mira: a self-hosted AI gateway that bills exactly."""

__version__ = "0.1.0"
