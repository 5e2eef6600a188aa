"""The HTTP edges: one table of routes, thin handlers, the server that listens."""
