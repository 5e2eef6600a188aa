"""The embedded node: a small model that answers on this machine without any account."""
