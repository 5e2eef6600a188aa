"""Wire protocols, both directions, as pure functions and feed/close machines over typed data."""
