"""Pure rules: conversation, usage, prices, ledger. No I/O, no clock, no randomness: the caller passes those in."""
