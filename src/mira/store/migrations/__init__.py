"""The steps that bring a database from one version to the next; HEAD names the last one."""

HEAD = "0013"
