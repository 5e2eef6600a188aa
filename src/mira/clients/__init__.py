"""How the programs that people use are pointed at Mira: one table for the command line and for the portal."""
