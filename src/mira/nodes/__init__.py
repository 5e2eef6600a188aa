"""The kinds of upstream: where they listen, how they authenticate, what they serve, how well they are."""
