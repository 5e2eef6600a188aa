"""Mira's own HTTP/1.1 client for every upstream node; use it through `mira.transport.client`."""
