"""Pages whose text is made by scripts: a browser of the system, which reaches the web through the egress alone."""
