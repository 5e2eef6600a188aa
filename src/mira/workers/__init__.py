"""The side process: libraries too heavy for the gateway's own memory and start, behind a pipe."""
