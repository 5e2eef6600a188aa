"""The steps of the relay, one file each; `mira.relay` tells in which order they are taken."""
